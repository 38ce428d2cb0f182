//! How many records one Arrow record batch takes: neither too many rows nor more text than a string column can hold.

use super::error::StoreError;
use super::schema::CHUNK_ROWS;
use crate::record::{DeadLetter, Envelope, Header, Record};
use crate::time::Tick;

/// Payload bytes of one Arrow record batch, about: far below the 2 GiB that a string column can hold.
const CHUNK_BYTES: usize = 64 << 20;
/// A single record larger than this does not fit a string column.
const RECORD_LIMIT: usize = 1 << 30;

/// Splits records into runs that fit one record batch each: `(length, text bytes)`.
///
/// # Errors
/// [`StoreError::Encode`] if a single record is too large.
pub(super) fn chunks(tick: Tick, records: &[Envelope]) -> Result<Vec<(usize, usize)>, StoreError> {
    let mut chunks = Vec::new();
    let (mut rows, mut bytes, mut texts) = (0, 0, 0);
    for envelope in records {
        let (text, rest) = payload_bytes(&envelope.record);
        if text + rest > RECORD_LIMIT {
            let problem = format!("a record of {} bytes is larger than {RECORD_LIMIT}", text + rest);
            return Err(StoreError::Encode { tick, problem });
        }
        if rows == CHUNK_ROWS || (rows > 0 && bytes + text + rest > CHUNK_BYTES) {
            chunks.push((rows, texts));
            (rows, bytes, texts) = (0, 0, 0);
        }
        rows += 1;
        bytes += text + rest;
        texts += text;
    }
    if rows > 0 {
        chunks.push((rows, texts));
    }
    Ok(chunks)
}

fn payload_bytes(record: &Record) -> (usize, usize) {
    let len = |s: &Option<String>| s.as_ref().map_or(0, String::len);
    match record {
        Record::Post(p) => {
            let rest = p.id.len() + p.source.len() + p.thread.len() + len(&p.parent) + len(&p.author) + len(&p.extra);
            (p.text.len(), rest)
        }
        Record::PostDeleted { id }
        | Record::EntityDeleted { id }
        | Record::RuleDeleted { id }
        | Record::KeywordDeleted { id } => (0, id.len()),
        Record::Keyword(k) => {
            let phrases = k.phrases.iter().chain(&k.exclude).map(|s| s.len() + 3).sum::<usize>();
            (0, 2 * k.id.len() + phrases + 64)
        }
        Record::Votes(v) => (0, v.id.len()),
        Record::Thread(t) => (t.title.len(), t.id.len()),
        Record::Entity(e) => {
            let names = e.aliases.iter().chain(&e.exclude).map(|s| s.len() + 3).sum::<usize>();
            (e.name.len(), 2 * e.id.len() + e.name.len() + e.kind.len() + names)
        }
        Record::Author(a) => (0, a.id.len() + len(&a.numbers)),
        Record::AlertFloor(floor) => (0, floor.key.len() * 2 + 128),
        Record::Rule(r) => (0, 2 * r.id.len() + r.view.len() + r.when.text().len()),
        Record::Score { .. } | Record::Unscorable { .. } | Record::AlertMuted { .. } => (0, 32),
        Record::Erasure(_) | Record::Purged(_) => (0, 32),
        Record::Tie(tie) => (0, 2 * (tie.user.len() + tie.target.len()) + 32),
        Record::LiveModel { past, .. } => (0, 128 + 40 * past.before.len()),
        Record::Dead(d) => (
            d.message.len(),
            d.payload.len() + d.key.len() + len(&d.id) + d.stage.len() + d.code.len() + header_bytes(d),
        ),
    }
}

fn header_bytes(dead: &DeadLetter) -> usize {
    let value = |h: &Header| h.value.as_ref().map_or(0, |v| 4 * v.as_bytes().len());
    dead.headers.iter().map(|h| h.name.len() + value(h) + 32).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Post;

    fn post(text: usize) -> Envelope {
        let record = Record::Post(Post {
            text: "x".repeat(text),
            ..Post::default()
        });
        Envelope {
            source: 0,
            partition: 0,
            offset: 0,
            order: 0,
            record,
        }
    }

    #[test]
    fn chunks_are_bounded_by_rows_and_bytes() {
        assert_eq!(chunks(1, &[]).expect("nothing"), []);
        assert_eq!(chunks(1, &[post(3), post(4)]).expect("small"), [(2, 7)]);
        let big = CHUNK_BYTES - 10;
        assert_eq!(
            chunks(1, &[post(big), post(20), post(20)]).expect("split"),
            [(1, big), (2, 40)]
        );
        let many = vec![post(0); CHUNK_ROWS + 1];
        assert_eq!(chunks(1, &many).expect("split"), [(CHUNK_ROWS, 0), (1, 0)]);
    }
}
