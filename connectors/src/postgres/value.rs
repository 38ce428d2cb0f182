//! Values on their way into a table: times, texts, and columns of them as arrays.
//!
//! Pure. Postgres' `text` holds no NUL character, and an index row no more than 2,704 bytes; group values may have the one
//! and exceed the other. [`key_text`] maps every value to one that can be stored, different values to different ones:
//! see `docs/adr/0006-postgres-sink.md`.

use bytes::BytesMut;
use groundswell_core::id::PostKey;
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Stands before `0` for a NUL character, and before itself.
const ESCAPE: char = '\u{2400}';
/// Longest key text that is stored as it is, in bytes. Four columns of the longest stored ones, two times and the headers
/// fit into an index row.
const LONGEST: usize = 600;

/// Text without NUL characters: `␀0` for a NUL, `␀␀` for a `␀`.
pub(super) fn plain_text(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => out.extend([ESCAPE, '0']),
            ESCAPE => out.extend([ESCAPE, ESCAPE]),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What [`plain_text`] was made from.
pub(super) fn original_text(stored: &str) -> String {
    let mut out = String::with_capacity(stored.len());
    let mut rest = stored.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            ESCAPE => match rest.next() {
                Some('0') => '\0',
                // A mark that stands for itself, or one that nobody wrote through us.
                Some(other) => other,
                None => ESCAPE,
            },
            c => c,
        });
    }
    out
}

/// Text as it is stored in a key column: [`plain_text`], and where that is longer than 600 bytes its beginning, `…` and the
/// digest of the original. What is cut stays longer than 600 bytes, so it never equals what is not.
pub(super) fn key_text(text: &str) -> Cow<'_, str> {
    let plain = plain_text(text);
    if plain.len() <= LONGEST {
        return plain;
    }
    let cut = plain.floor_char_boundary(LONGEST);
    Cow::Owned(format!("{}…{}", &plain[..cut], PostKey::of(text.as_bytes())))
}

/// The same for a name that is shared; copies only what has to change.
pub(super) fn key_name(name: Arc<str>) -> Text {
    match key_text(&name) {
        Cow::Borrowed(_) => Text(name),
        Cow::Owned(changed) => Text(changed.into()),
    }
}

/// Strings of a JSON value without NUL characters, which `jsonb` refuses as well.
pub(super) fn plain_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(changed) = plain_text(text) {
                *text = changed;
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(plain_json),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(plain_json),
        _ => {}
    }
}

/// A shared string as `text`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text(pub(super) Arc<str>);

impl ToSql for Text {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        (&*self.0).to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// Epoch milliseconds as `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Time(pub(super) i64);

impl Time {
    /// The time, if Postgres can store it: what a source says about a record may be anything.
    pub(super) fn storable(ms: i64) -> Option<Self> {
        (FIRST..=LAST).contains(&ms).then_some(Time(ms))
    }
}

/// The first and the last whole day of `timestamptz` (4713 BC and 294276 AD).
const FIRST: i64 = -210_866_716_800_000;
const LAST: i64 = 9_224_318_015_999_999;

/// 2000-01-01 in epoch milliseconds: where Postgres counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000;

impl ToSql for Time {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let micros = self.0.checked_sub(POSTGRES_EPOCH).and_then(|ms| ms.checked_mul(1000));
        let micros = micros.ok_or_else(|| format!("{} ms is beyond the times Postgres can store", self.0))?;
        micros.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

/// The values of one column, for `unnest`.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Text(Vec<Text>),
    MaybeText(Vec<Option<Text>>),
    Time(Vec<Time>),
    MaybeTime(Vec<Option<Time>>),
    Count(Vec<i64>),
    MaybeCount(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Json(Vec<serde_json::Value>),
    Bytes(Vec<Vec<u8>>),
}

impl Column {
    /// As a parameter.
    pub(super) fn param(&self) -> &(dyn ToSql + Sync) {
        match self {
            Column::Text(v) => v,
            Column::MaybeText(v) => v,
            Column::Time(v) => v,
            Column::MaybeTime(v) => v,
            Column::Count(v) => v,
            Column::MaybeCount(v) => v,
            Column::Real(v) => v,
            Column::Json(v) => v,
            Column::Bytes(v) => v,
        }
    }
}

/// All columns as parameters.
pub(super) fn params(columns: &[Column]) -> Vec<&(dyn ToSql + Sync)> {
    columns.iter().map(Column::param).collect()
}

/// An identifier in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn different_values_are_stored_differently() {
        let long = "a".repeat(10_000);
        let longer = format!("{long}b");
        let cut = key_text(&long).into_owned();
        let wide = "é".repeat(400);
        let values = [
            "",
            "a",
            "\0",
            "␀",
            "␀0",
            "0",
            "␀␀",
            "\0\0",
            "a\0b",
            "a␀b",
            &long,
            &longer,
            &long[..600],
            &long[..601],
            &cut,
            &wide,
        ];
        let stored: HashSet<_> = values.iter().map(|v| key_text(v).into_owned()).collect();
        assert_eq!(stored.len(), values.len());
        for text in &stored {
            assert!(!text.contains('\0') && text.len() <= 640, "{}", text.len());
        }
        assert_eq!(key_text("'; drop table x; -- \"ü\""), "'; drop table x; -- \"ü\"");
        assert!(cut.starts_with("aaa") && cut.contains('…') && cut.len() > LONGEST);
    }

    #[test]
    fn plain_text_is_undone() {
        for text in ["", "a", "\0", "␀", "␀0", "0␀\0␀␀x\0y0"] {
            assert_eq!(original_text(&plain_text(text)), text);
        }
    }

    #[test]
    fn times_beyond_the_calendar_of_postgres_are_none() {
        for (ms, stored) in [
            (0, true),
            (FIRST, true),
            (LAST, true),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            assert_eq!(Time::storable(ms).is_some(), stored, "{ms}");
        }
    }

    #[test]
    fn json_is_cleaned_all_the_way_down() {
        let mut value = serde_json::json!({"a": ["x\0", {"b": "\0"}], "c": 1});
        plain_json(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x␀0", {"b": "␀0"}], "c": 1}));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("live-threads"), "\"live-threads\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
