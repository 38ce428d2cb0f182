//! Frames as they go out: bytes that many clients share.
//!
//! A frame is a map whose first entry is its type and whose second, where the client named its subscription, is that name.
//! What is made for everybody lacks the name; [`Frame::named`] puts it in without encoding the rest again. Holds no state.

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use groundswell_core::time::Tick;
use serde::Serialize;
use serde_json::Value;
use std::sync::OnceLock;

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As JSON, in text frames.
    Json,
    /// As MessagePack, in binary frames.
    MessagePack,
}

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 2;

    /// A place in arrays by encoding.
    pub fn slot(self) -> usize {
        match self {
            Encoding::Json => 0,
            Encoding::MessagePack => 1,
        }
    }
}

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All rows.
    Snapshot,
    /// Rows that changed at one tick.
    Delta,
    /// Everything up to a tick was sent.
    Progress,
    /// A subscription goes on where the client was.
    Resumed,
    /// It cannot; a snapshot follows.
    Resync,
    /// A subscription ended.
    Unsubscribed,
    /// Something could not be done.
    Error,
}

impl Kind {
    /// The word in the frame.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Snapshot => "snapshot",
            Kind::Delta => "delta",
            Kind::Progress => "progress",
            Kind::Resumed => "resumed",
            Kind::Resync => "resync",
            Kind::Unsubscribed => "unsubscribed",
            Kind::Error => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Text(Utf8Bytes),
    Binary(Bytes),
}

/// A frame; a clone shares the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Who has seen it has everything of its feed up to this tick.
    pub at: Option<Tick>,
    body: Body,
}

impl Frame {
    /// A small frame: `rest` is an object, to which the type is added.
    pub fn of(encoding: Encoding, kind: Kind, at: Option<Tick>, id: Option<&str>, rest: &Value) -> Self {
        let mut writer = Writer::new(encoding, kind, at);
        if let Some(id) = id {
            writer.field("id", &id);
        }
        for (name, value) in rest.as_object().into_iter().flatten() {
            writer.field(name, value);
        }
        writer.end()
    }

    /// The bytes as they are sent.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
        }
    }

    /// The same for a client that named its subscription.
    #[must_use]
    pub fn named(&self, id: Option<&str>) -> Frame {
        let Some(id) = id else { return self.clone() };
        let (head, rest) = self.bytes().split_at(head(self.encoding(), self.kind).len());
        let mut out = Vec::with_capacity(head.len() + rest.len() + id.len() + 16);
        out.extend_from_slice(head);
        let mut writer = Writer {
            encoding: self.encoding(),
            kind: self.kind,
            at: self.at,
            out,
            entries: self.bytes().first().map_or(0, |first| first & 0x0f),
        };
        writer.field("id", &id);
        writer.out.extend_from_slice(rest);
        writer.close()
    }

    fn encoding(&self) -> Encoding {
        match self.body {
            Body::Text(_) => Encoding::Json,
            Body::Binary(_) => Encoding::MessagePack,
        }
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        match frame.body {
            Body::Text(text) => Message::Text(text),
            Body::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        match frame.body {
            Body::Text(text) => text.into(),
            Body::Binary(bytes) => bytes,
        }
    }
}

/// One frame in every encoding, each made by the first who asks.
#[derive(Debug, Default)]
pub struct Shared([OnceLock<Frame>; Encoding::COUNT]);

impl Shared {
    /// The frame in an encoding.
    pub fn get(&self, encoding: Encoding, encode: impl FnOnce() -> Frame) -> Frame {
        self.0[encoding.slot()].get_or_init(encode).clone()
    }
}

/// Writes a frame entry by entry.
pub struct Writer {
    encoding: Encoding,
    kind: Kind,
    at: Option<Tick>,
    out: Vec<u8>,
    /// Entries of the map; fewer than 16, as MessagePack holds them in the first byte.
    entries: u8,
}

impl Writer {
    /// The beginning of a frame.
    pub fn new(encoding: Encoding, kind: Kind, at: Option<Tick>) -> Self {
        Writer {
            encoding,
            kind,
            at,
            out: head(encoding, kind),
            entries: 1,
        }
    }

    /// An entry.
    pub fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.name(name);
        self.value(value);
    }

    /// An entry that is a list; says how long it is.
    pub fn list(&mut self, name: &str, items: impl Iterator<Item = impl Serialize>) -> usize {
        self.name(name);
        let begin = self.out.len();
        match self.encoding {
            Encoding::Json => self.out.push(b'['),
            // A list of 32-bit length, which is known at its end.
            Encoding::MessagePack => self.out.extend_from_slice(&[0xdd, 0, 0, 0, 0]),
        }
        let mut count = 0;
        for item in items {
            if count > 0 && self.encoding == Encoding::Json {
                self.out.push(b',');
            }
            self.value(&item);
            count += 1;
        }
        match self.encoding {
            Encoding::Json => self.out.push(b']'),
            Encoding::MessagePack => {
                let length = u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
                self.out[begin + 1..begin + 5].copy_from_slice(&length);
            }
        }
        count
    }

    /// The end.
    pub fn end(mut self) -> Frame {
        if self.encoding == Encoding::Json {
            self.out.push(b'}');
        }
        self.close()
    }

    fn close(mut self) -> Frame {
        let body = match self.encoding {
            Encoding::Json => Body::Text(
                String::from_utf8(self.out)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
                    .into(),
            ),
            Encoding::MessagePack => {
                self.out[0] = 0x80 | self.entries;
                Body::Binary(self.out.into())
            }
        };
        Frame {
            kind: self.kind,
            at: self.at,
            body,
        }
    }

    fn name(&mut self, name: &str) {
        self.entries += 1;
        match self.encoding {
            Encoding::Json => self.out.extend_from_slice(format!(",\"{name}\":").as_bytes()),
            Encoding::MessagePack => self.value(name),
        }
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        let before = self.out.len();
        let nothing: &[u8] = match self.encoding {
            Encoding::Json => b"null",
            Encoding::MessagePack => &[0xc0],
        };
        let written = match self.encoding {
            Encoding::Json => serde_json::to_writer(&mut self.out, value).map_err(|e| e.to_string()),
            Encoding::MessagePack => rmp_serde::encode::write_named(&mut self.out, value).map_err(|e| e.to_string()),
        };
        if let Err(error) = written {
            tracing::error!(%error, "could not encode a value of a frame");
            self.out.truncate(before);
            self.out.extend_from_slice(nothing);
        }
    }
}

/// What every frame of a kind begins with.
fn head(encoding: Encoding, kind: Kind) -> Vec<u8> {
    let kind = kind.name();
    match encoding {
        Encoding::Json => format!("{{\"type\":\"{kind}\"").into_bytes(),
        Encoding::MessagePack => {
            // A map whose number of entries is filled in at its end; then two short strings.
            let mut head = vec![0x80];
            for word in ["type", kind] {
                head.push(0xa0 | word.len() as u8 & 0x1f);
                head.extend_from_slice(word.as_bytes());
            }
            head
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(frame: &Frame) -> Value {
        match &frame.body {
            Body::Text(text) => serde_json::from_str(text).expect("JSON"),
            Body::Binary(bytes) => rmp_serde::from_slice(bytes).expect("MessagePack"),
        }
    }

    #[test]
    fn both_encodings_say_the_same() {
        for kind in [Kind::Snapshot, Kind::Unsubscribed] {
            let frame = |encoding| {
                let mut writer = Writer::new(encoding, kind, Some(5));
                writer.field("at", &5_u64);
                writer.field("window", &json!({"start": null, "half": 0.5, "é": -1}));
                assert_eq!(writer.list("rows", (0..70_000).map(|i| json!({ "i": i }))), 70_000);
                assert_eq!(writer.list("gone", std::iter::empty::<u8>()), 0);
                writer.end()
            };
            let (text, binary) = (frame(Encoding::Json), frame(Encoding::MessagePack));
            assert_eq!(read(&text), read(&binary));
            let id = "mine \"é\"";
            let named = [text.named(Some(id)), binary.named(Some(id))];
            for (frame, plain) in named.iter().zip([&text, &binary]) {
                let mut expected = read(plain);
                expected["id"] = id.into();
                assert_eq!((read(frame), frame.kind, frame.at), (expected, kind, Some(5)));
            }
            assert_eq!(text.named(None), text);
        }
    }

    #[test]
    fn a_value_that_cannot_be_written_is_nothing() {
        let odd = std::collections::BTreeMap::from([(vec![1_u8], 1)]);
        let mut writer = Writer::new(Encoding::Json, Kind::Error, None);
        writer.field("odd", &odd);
        assert_eq!(read(&writer.end()), json!({"type": "error", "odd": null}));
    }
}
