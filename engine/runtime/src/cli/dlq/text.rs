//! What strangers wrote, made fit for a terminal. Pure.

use groundswell_connectors::json::TimeJson;
use groundswell_core::time::EventTime;
use std::fmt::Write;

/// Bytes of one line of a dump.
const LINE: usize = 16;

/// Text without characters that a terminal would obey; `keep` are left as they are.
pub(super) fn plain(text: &str, keep: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Controls, and the marks that turn the direction of writing around.
        let obeyed =
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        if obeyed && !keep.contains(&c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The beginning of a text on one line, with `…` where it was cut.
pub(super) fn short(text: &str, most: usize) -> String {
    let plain = plain(text, &[]);
    if plain.chars().count() <= most {
        return plain;
    }
    let mut cut: String = plain.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Bytes as lines of offset and hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3 + bytes.len() / LINE * 10 + 10);
    for (i, line) in bytes.chunks(LINE).enumerate() {
        // Writing into a string does not fail.
        let _ = write!(out, "{:08x} ", i * LINE);
        for byte in line {
            let _ = write!(out, " {byte:02x}");
        }
        out.push('\n');
    }
    out
}

/// Bytes as text where they are text, else as a dump.
pub(super) fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => plain(text, &['\n', '\t']),
        Err(_) => hex(bytes).trim_end().to_owned(),
    }
}

/// A time as the JSON has it.
pub(super) fn time(at: EventTime) -> String {
    match serde_json::to_value(TimeJson(at)) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        assert_eq!(plain("a\u{1b}[31m\n\u{202e}é", &[]), "a\\u{1b}[31m\\n\\u{202e}é");
        assert_eq!(plain("a\n\tb\r", &['\n', '\t']), "a\n\tb\\r");
        assert_eq!((short("abc", 3), short("abcd", 3)), ("abc".into(), "ab…".into()));
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(readable("zoë".as_bytes()), "zoë");
        assert_eq!(readable(&[0xFF, 0]), "00000000  ff 00");
        assert_eq!(hex(&[0; 17]).lines().nth(1), Some("00000010  00"));
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
    }
}
