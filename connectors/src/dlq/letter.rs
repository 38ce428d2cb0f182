//! A dead letter read back: the same facts from a file, a topic or a table.
//!
//! As JSON it is what a file sink writes, what `groundswell dlq list --json` prints and what the HTTP API takes, so that
//! each can be given to the next.

use super::Facts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundswell_core::record::Header;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Code of a value whose kept bytes are only its beginning.
const CUT: &str = "too_large";
/// Stage of a text that the model refused: the fact about it is the record, not the text.
const SCORE: &str = "score";
/// Code of an empty value; of those that are not JSON only a null one has another.
const NOT_JSON: &str = "invalid_json";

/// A dead letter as a sink keeps it; see [`Facts`] for the fields.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Written")]
#[allow(missing_docs)] // those of `Facts`
pub struct Letter {
    pub stage: String,
    pub code: String,
    pub message: String,
    pub source: String,
    pub topic: Option<String>,
    pub partition: u32,
    pub offset: u64,
    pub written_at: Option<EventTime>,
    pub id: Option<String>,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    pub headers: Vec<Header>,
    pub engine_version: Option<String>,
    pub model: Option<String>,
    pub attempt: u32,
    pub tick: Tick,
}

/// Where a record stood in its source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The source's name.
    pub source: String,
    /// The partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.partition, self.offset)
    }
}

impl std::str::FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, '/');
        let (offset, partition, source) = (parts.next(), parts.next(), parts.next());
        let position = || {
            Some(Position {
                source: source.filter(|s| !s.is_empty())?.to_owned(),
                partition: partition?.parse().ok()?,
                offset: offset?.parse().ok()?,
            })
        };
        position().ok_or_else(|| format!("\"{text}\" is not a position like posts/0/1234 (source, partition, offset)"))
    }
}

impl Letter {
    /// Where the record stood.
    pub fn position(&self) -> Position {
        Position {
            source: self.source.clone(),
            partition: self.partition,
            offset: self.offset,
        }
    }

    /// The record's key; none and an empty one are kept alike, and neither names a record.
    pub fn key(&self) -> Option<&[u8]> {
        Some(&*self.key).filter(|key| !key.is_empty())
    }

    /// The record's value as received; `None` for a null one, which deletes. Both a null value and an empty one are kept as
    /// no bytes, but an empty one fails as no JSON and a null one never does.
    pub fn value(&self) -> Option<&[u8]> {
        Some(&*self.payload).filter(|payload| !payload.is_empty() || self.code == NOT_JSON)
    }

    /// Why it cannot be replayed whatever the configuration says, and what to do instead.
    pub fn hopeless(&self) -> Option<String> {
        if self.stage == SCORE {
            let message =
                "a text that a model could not score is asked again when another model is live: change `models.live`";
            return Some(message.to_owned());
        }
        (self.code == CUT).then(|| {
            format!(
                "the record was too large, and only its first {} bytes were kept: raise the source's `max_bytes` and write it again",
                self.payload.len()
            )
        })
    }

    /// The same as JSON for a request: without the payload as text, which is there in base64 already.
    ///
    /// # Errors
    /// If a header has no JSON form.
    pub fn request_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&crate::json::dead_json(&self.facts()).without_text())
    }

    /// Bytes it takes, about.
    pub fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|h| h.name.len() + h.value.as_ref().map_or(0, |v| v.as_bytes().len()));
        self.payload.len() + self.key.len() + self.message.len() + headers.sum::<usize>() + 200
    }

    /// The same as a sink says it.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            stage: &self.stage,
            code: &self.code,
            message: &self.message,
            source: &self.source,
            topic: self.topic.as_deref(),
            partition: self.partition,
            offset: self.offset,
            written_at: self.written_at,
            id: self.id.as_deref(),
            key: &self.key,
            payload: &self.payload,
            headers: self.headers.iter().collect(),
            engine_version: self.engine_version.as_deref(),
            model: self.model.clone(),
            attempt: self.attempt,
            tick: self.tick,
        }
    }
}

impl Serialize for Letter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::json::dead_json(&self.facts()).serialize(serializer)
    }
}

/// The JSON of a letter. What older engines did not write has a default.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    stage: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    source: String,
    topic: Option<String>,
    partition: u32,
    offset: u64,
    written_at: Option<Time>,
    id: Option<String>,
    #[serde(default)]
    key_base64: String,
    payload_base64: String,
    #[serde(default)]
    headers: Vec<Header>,
    engine_version: Option<String>,
    model: Option<String>,
    #[serde(default = "first")]
    attempt: u32,
    #[serde(default)]
    tick: Tick,
}

fn first() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(EventTime),
    Text(String),
}

impl TryFrom<Written> for Letter {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let bytes = |name: &str, text: &str| STANDARD.decode(text).map_err(|e| format!("{name} is not base64: {e}"));
        let time = |time: Time| match time {
            Time::Millis(ms) => Ok(ms),
            Time::Text(text) => text
                .parse::<jiff::Timestamp>()
                .map(|at| at.as_millisecond())
                .map_err(|e| format!("written_at is not a time: {e}")),
        };
        Ok(Letter {
            key: bytes("key_base64", &written.key_base64)?,
            payload: bytes("payload_base64", &written.payload_base64)?,
            written_at: written.written_at.map(time).transpose()?,
            stage: written.stage,
            code: written.code,
            message: written.message,
            source: written.source,
            topic: written.topic,
            partition: written.partition,
            offset: written.offset,
            id: written.id,
            headers: written.headers,
            engine_version: written.engine_version,
            model: written.model,
            attempt: written.attempt.max(1),
            tick: written.tick,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            message: "expected `,`".into(),
            source: "posts".into(),
            topic: Some("reddit.comments".into()),
            partition: 3,
            offset: u64::MAX,
            written_at: Some(-7),
            id: Some("t1_a".into()),
            key: vec![0, 255],
            payload: vec![0xFF, b'\n', 0],
            headers: vec![
                Header {
                    name: "trace".into(),
                    value: Some([0xFE].as_slice().into()),
                },
                Header::default(),
            ],
            engine_version: Some("9.9.9".into()),
            model: Some("00ab".into()),
            attempt: 3,
            tick: 1_763_000_000_000,
        }
    }

    #[test]
    fn a_letter_reads_as_it_was_written() {
        let far = Letter {
            written_at: Some(i64::MAX),
            ..letter()
        };
        let plain = Letter {
            topic: None,
            written_at: None,
            headers: vec![],
            model: None,
            ..letter()
        };
        for letter in [letter(), far, plain] {
            let text = serde_json::to_string(&letter).expect("text");
            assert_eq!(serde_json::from_str::<Letter>(&text).expect("read"), letter, "{text}");
        }
    }

    #[test]
    fn letters_of_older_engines_read_too() {
        let line = r#"{"stage":"decode","code":"invalid_json","message":"m","source":"posts","partition":0,"offset":9,
            "key_base64":"","payload_base64":"eyI=","payload":"{\"","id":null,"tick":5}"#;
        let letter: Letter = serde_json::from_str(line).expect("read");
        assert_eq!(
            (letter.attempt, letter.engine_version, &*letter.payload),
            (1, None, &b"{\""[..])
        );
        for wrong in [
            r#"{"source":"a"}"#,
            &line.replace("eyI=", "ey!"),
            &line.replace("9", "-9"),
        ] {
            assert!(serde_json::from_str::<Letter>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_null_value_is_told_from_an_empty_one() {
        let with = |code: &str, payload: &[u8]| Letter {
            code: code.into(),
            payload: payload.into(),
            ..Letter::default()
        };
        assert_eq!(with("invalid_json", b"").value(), Some(&b""[..]));
        assert_eq!(with("not_deletable", b"").value(), None);
        assert_eq!(with("missing_field", b"").value(), None);
        assert_eq!(with("missing_field", b"{}").value(), Some(&b"{}"[..]));
        assert_eq!(with("x", b"").key(), None);
    }

    #[test]
    fn positions_are_written_and_read() {
        let position = letter().position();
        assert_eq!(position.to_string(), "posts/3/18446744073709551615");
        assert_eq!(position.to_string().parse(), Ok(position));
        for wrong in ["", "posts", "posts/1", "/1/2", "posts/-1/2", "posts/1/x"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
