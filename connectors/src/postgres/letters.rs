//! The letters in a sink's table.
//!
//! In: the table of dead letters of a pipeline. Out: its rows in the order they came, some at a time, so that no more than
//! that lies in memory. Nothing is locked, created or migrated.

use super::connect::{Connected, Target};
use super::error::PostgresError;
use super::layout::Layout;
use super::value::original_text;
use super::{close, limited};
use crate::dlq::{Letter, Letters, LettersError};
use groundswell_core::record::{Header, HeaderValue};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

/// Rows that are fetched at once.
const PAGE: i64 = 64;
/// Longest wait for a page.
const ANSWER: Duration = Duration::from_secs(60);

/// Reads the rows of a dead-letter table.
pub struct TableLetters {
    target: Target,
    runtime: tokio::runtime::Runtime,
}

impl TableLetters {
    /// The letters of a database; `schema` is the pipeline's name, `sink` the sink's.
    ///
    /// # Errors
    /// [`PostgresError`] if the URL cannot be used.
    pub fn new(url: &str, schema: &str, sink: &str, connect: Duration) -> Result<Self, PostgresError> {
        let target = Target::new(url, schema, sink, connect)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| PostgresError::Value(format!("cannot start a runtime: {e}")))?;
        Ok(TableLetters { target, runtime })
    }

    fn sql(&self) -> String {
        let path = Layout::dead_letters(&self.target.place.schema).path();
        format!(
            "select n, tick, source, partition, \"offset\", stage, code, message, id, key, payload, topic, \
             (extract(epoch from written_at) * 1000)::bigint, headers, engine_version, model, attempt \
             from {path} where n > $1 order by n limit {PAGE}"
        )
    }

    /// What to do about a table that is not as this version writes it.
    fn explain(&self, error: &tokio_postgres::Error) -> PostgresError {
        let place = &self.target.place;
        let path = Layout::dead_letters(&place.schema).path();
        match error.code() {
            Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code) => {
                PostgresError::Value(format!(
                    "there is no table {path} in {}: it is made when the pipeline runs for the first time",
                    place.server
                ))
            }
            Some(code) if *code == SqlState::UNDEFINED_COLUMN => PostgresError::Value(format!(
                "the table {path} in {} is of an older version: run the pipeline once with this one, which migrates it",
                place.server
            )),
            _ => place.statement(error),
        }
    }
}

impl Letters for TableLetters {
    fn read(&mut self, each: &mut dyn FnMut(Letter) -> ControlFlow<()>) -> Result<(), LettersError> {
        let named = |e: PostgresError| LettersError {
            unreachable: e.is_retriable(),
            message: e.to_string(),
        };
        let (target, runtime, sql) = (&self.target, &self.runtime, self.sql());
        let client: Connected = limited(runtime, target, ANSWER, target.connect()).map_err(named)?;
        let mut after = i64::MIN;
        let done = loop {
            let page = async {
                let rows = client.query(&sql, &[&after]).await;
                rows.map_err(|e| self.explain(&e))
            };
            let rows = limited(runtime, target, ANSWER, page).map_err(named)?;
            let Some(last) = rows.last() else { break Ok(()) };
            after = last.get(0);
            match rows.iter().try_for_each(|row| match letter(row) {
                Ok(letter) => each(letter).map_break(|()| None),
                Err(why) => ControlFlow::Break(Some(why)),
            }) {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(None) => break Ok(()),
                ControlFlow::Break(Some(why)) => {
                    let path = Layout::dead_letters(&target.place.schema).path();
                    break Err(LettersError::new(format!("a row of {path} is no dead letter: {why}")));
                }
            }
        };
        drop(client);
        close(runtime);
        done
    }
}

/// A row as a letter, with the text as it was before it was made fit for the table.
fn letter(row: &Row) -> Result<Letter, String> {
    let text = |i: usize| row.try_get::<_, &str>(i).map(original_text).map_err(|e| e.to_string());
    let maybe = |i: usize| {
        let text = row.try_get::<_, Option<&str>>(i).map_err(|e| e.to_string())?;
        Ok::<_, String>(text.map(original_text))
    };
    let count = |i: usize| row.try_get::<_, i64>(i).map_err(|e| e.to_string());
    let whole = |i: usize| u64::try_from(count(i)?).map_err(|e| e.to_string());
    let small = |i: usize| u32::try_from(count(i)?).map_err(|e| e.to_string());
    let bytes = |i: usize| row.try_get::<_, Vec<u8>>(i).map_err(|e| e.to_string());
    let headers: serde_json::Value = row.try_get(13).map_err(|e| e.to_string())?;
    let mut headers: Vec<Header> = serde_json::from_value(headers).map_err(|e| format!("headers: {e}"))?;
    for header in &mut headers {
        header.name = original_text(&header.name);
        if let Some(HeaderValue::Text(text)) = &mut header.value {
            *text = original_text(text);
        }
    }
    Ok(Letter {
        tick: whole(1)?,
        source: text(2)?,
        partition: small(3)?,
        offset: whole(4)?,
        stage: text(5)?,
        code: text(6)?,
        message: text(7)?,
        id: maybe(8)?,
        key: bytes(9)?,
        payload: bytes(10)?,
        topic: maybe(11)?,
        written_at: row.try_get(12).map_err(|e| e.to_string())?,
        headers,
        engine_version: maybe(14)?,
        model: maybe(15)?,
        attempt: small(16)?.max(1),
    })
}
