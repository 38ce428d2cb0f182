//! `groundswell dlq show`.

use super::text::{plain, readable, time};
use super::{Opened, Which};
use crate::cli::Failure;
use crate::cli::out::{note, say};
use groundswell_connectors::dlq::{Letter, Position};
use groundswell_core::record::Header;
use groundswell_core::time::EventTime;
use std::io::Write;
use std::ops::ControlFlow;

pub(super) fn run(which: &Which, position: &Position, all: bool, raw: bool) -> Result<(), Failure> {
    let filter = which.filter();
    let Opened { sink, mut letters, .. } = which.open()?;
    let (mut newest, mut others): (Option<Letter>, u64) = (None, 0);
    let mut failed = Ok(());
    letters
        .read(&mut |letter| {
            if letter.position() == *position && filter.takes(&letter) {
                if all {
                    failed = say(format_args!("{}\n", page(&letter)));
                    if failed.is_err() {
                        return ControlFlow::Break(());
                    }
                }
                others += u64::from(newest.is_some());
                if newest
                    .as_ref()
                    .is_none_or(|known| (known.tick, known.attempt) <= (letter.tick, letter.attempt))
                {
                    newest = Some(letter);
                }
            }
            ControlFlow::Continue(())
        })
        .map_err(Failure::of_letters)?;
    failed?;
    let Some(letter) = newest else {
        return Err(Failure::Other(format!(
            "the sink \"{sink}\" has no such letter at {position}; `groundswell dlq list` shows those there are"
        )));
    };
    if all {
        return Ok(());
    }
    if raw {
        let mut out = std::io::stdout().lock();
        out.write_all(&letter.payload)
            .and_then(|()| out.flush())
            .map_err(Failure::output)?;
    } else {
        say(page(&letter))?;
    }
    if others > 0 {
        note(format_args!(
            "groundswell: {others} older letters stand at this position; --all shows them"
        ));
    }
    Ok(())
}

/// A letter in full.
fn page(letter: &Letter) -> String {
    let mut lines = vec![
        ("position", letter.position().to_string()),
        ("stage", letter.stage.clone()),
        ("code", letter.code.clone()),
        ("message", letter.message.clone()),
        ("attempt", letter.attempt.to_string()),
        (
            "recorded",
            time(EventTime::try_from(letter.tick).unwrap_or(EventTime::MAX)),
        ),
        ("tick", letter.tick.to_string()),
    ];
    let mut maybe = |name, text: Option<String>| lines.extend(text.map(|text| (name, text)));
    maybe("topic", letter.topic.clone());
    maybe("written", letter.written_at.map(time));
    maybe("id", letter.id.clone());
    maybe("engine", letter.engine_version.clone());
    maybe("model", letter.model.clone());
    maybe("key", letter.key().map(readable));
    let header = |h: &Header| {
        let value = h.value.as_ref().map_or("null".to_owned(), |v| readable(v.as_bytes()));
        format!("{}: {value}", h.name)
    };
    let headers = letter.headers.iter().map(|h| ("header", header(h)));
    lines.extend(headers);
    let mut page: Vec<String> = lines
        .into_iter()
        .map(|(name, text)| format!("{name:10}{}", plain(&text, &[])))
        .collect();
    let value = match letter.value() {
        None => "null".to_owned(),
        Some(bytes) => format!("{} bytes\n\n{}", bytes.len(), readable(bytes)),
    };
    page.push(format!("payload   {value}"));
    page.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_all_there_is() {
        let letter = Letter {
            stage: "decode".into(),
            code: "missing_field".into(),
            message: "no \u{1b}[1m".into(),
            source: "posts".into(),
            partition: 2,
            offset: 9,
            payload: b"{\"a\":\n1}".into(),
            key: vec![0xFF],
            headers: vec![Header::default()],
            attempt: 2,
            ..Letter::default()
        };
        let page = page(&letter);
        for line in [
            "position  posts/2/9",
            "message   no \\u{1b}[1m",
            "attempt   2",
            "key       00000000  ff",
            "header    : null",
            "payload   8 bytes",
            "{\"a\":",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        let null = Letter {
            payload: vec![],
            ..letter
        };
        assert!(super::page(&null).ends_with("payload   null"));
    }
}
