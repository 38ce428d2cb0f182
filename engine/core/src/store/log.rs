//! One tick as one object: an Arrow IPC file that carries its own digest.
//!
//! In: a [`TickBatch`] and the tick before it. Out: the bytes of `log/<epoch>-<tick>.arrow`, and back; its columns are those that
//! any record of the tick has. What is not rows
//! (tick, clock, bindings, row count, epoch, previous tick) is in the schema's metadata at the front, so a [`Header`]
//! can be read from the first few KiB. The footer's metadata holds a BLAKE3 digest of the whole file, taken with the
//! digest's own place filled with `#`.

use super::chunks::chunks;
use super::decode::Rows;
use super::error::StoreError;
use super::schema;
use crate::record::{Binding, TickBatch};
use crate::time::{EventTime, Tick};
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader, read_footer_length};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{CompressionType, MetadataVersion};
use arrow_schema::{Metadata, SchemaRef};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

/// A header fits in this many bytes unless there are hundreds of bindings.
pub(super) const HEAD_BYTES: u64 = 16 << 10;
/// Below this many payload bytes compression costs more than it saves: a file system block is 4 KiB anyway.
const COMPRESS_FROM: usize = 16 << 10;
/// Of what posts are made of, level 2 leaves three fifths of what LZ4 does; level 3 leaves 2 % less for a third more time.
const ZSTD_LEVEL: i32 = 2;
const MAGIC: &[u8] = b"ARROW1\0\0";
const DIGEST: &str = "groundswell.blake3";
const DIGEST_LEN: usize = 64;
const BLANK: [u8; DIGEST_LEN] = [b'#'; DIGEST_LEN];

/// The name of a log object: who wrote it, and its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogName {
    /// The writer's epoch.
    pub epoch: u64,
    /// The tick.
    pub tick: Tick,
}

impl LogName {
    /// The object's name.
    pub fn object(self) -> String {
        format!("log/{:010}-{:020}.arrow", self.epoch, self.tick)
    }

    /// Reads a name; `None` if it is not a log object's.
    pub fn parse(object: &str) -> Option<Self> {
        let (epoch, tick) = object.strip_prefix("log/")?.strip_suffix(".arrow")?.split_once('-')?;
        let name = LogName {
            epoch: epoch.parse().ok()?,
            tick: tick.parse().ok()?,
        };
        (name.object() == object).then_some(name)
    }
}

/// What a log object says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its name.
    pub name: LogName,
    /// The tick recorded before it, if any: how a gap is noticed.
    pub previous: Option<Tick>,
    /// The clock.
    pub clock: EventTime,
    /// The bindings.
    pub bindings: Vec<Binding>,
    /// How many records it holds.
    pub rows: u64,
}

/// Encodes a tick.
///
/// # Errors
/// [`StoreError::Encode`] if a record does not fit the format.
pub(super) fn encode(batch: &TickBatch, epoch: u64, previous: Option<Tick>) -> Result<Bytes, StoreError> {
    let tick = batch.tick;
    let failed = |problem: String| StoreError::Encode { tick, problem };
    let chunks = chunks(tick, &batch.records)?;
    let texts: usize = chunks.iter().map(|(_, texts)| texts).sum();
    let mut records = batch.records.as_slice();
    let mut batches = Vec::with_capacity(chunks.len());
    for (rows, texts) in chunks {
        let (chunk, rest) = records.split_at(rows);
        records = rest;
        batches.push(schema::encode(chunk, texts).map_err(failed)?);
    }
    let metadata = metadata(batch, epoch, previous).map_err(|e| failed(e.to_string()))?;
    let schema = schema::present(&batches, metadata);
    let mut options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5);
    if texts + batch.records.len() * 64 >= COMPRESS_FROM {
        options = options
            .and_then(|o| o.try_with_compression(Some(CompressionType::ZSTD)))
            .and_then(|o| o.try_with_compression_level(Some(ZSTD_LEVEL)));
    }
    let options = options.map_err(|e| failed(e.to_string()))?;
    let buffer = Vec::with_capacity(16 * 1024 + texts / 2 + batch.records.len() * 32);
    let mut writer = FileWriter::try_new_with_options(buffer, &schema, options).map_err(|e| failed(e.to_string()))?;
    for rows in batches {
        let rows = schema::completed(&rows, &schema).map_err(failed)?;
        writer.write(&rows).map_err(|e| failed(e.to_string()))?;
    }
    writer.write_metadata(DIGEST, String::from_utf8_lossy(&BLANK));
    let mut bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    let place = digest_place(&bytes).map_err(failed)?;
    let digest = blake3::hash(&bytes).to_hex();
    bytes[place].copy_from_slice(digest.as_bytes());
    Ok(bytes.into())
}

fn metadata(batch: &TickBatch, epoch: u64, previous: Option<Tick>) -> serde_json::Result<HashMap<String, String>> {
    let mut metadata = HashMap::from([
        ("groundswell.format".to_owned(), super::FORMAT.to_string()),
        ("groundswell.epoch".to_owned(), epoch.to_string()),
        ("groundswell.tick".to_owned(), batch.tick.to_string()),
        ("groundswell.clock".to_owned(), batch.clock.to_string()),
        ("groundswell.rows".to_owned(), batch.records.len().to_string()),
        (
            "groundswell.bindings".to_owned(),
            serde_json::to_string(&batch.bindings)?,
        ),
    ]);
    if let Some(previous) = previous {
        metadata.insert("groundswell.previous".to_owned(), previous.to_string());
    }
    Ok(metadata)
}

/// Where in the file the digest is written.
fn digest_place(bytes: &[u8]) -> Result<Range<usize>, String> {
    let tail: [u8; 10] = bytes.last_chunk().copied().ok_or("it is too short")?;
    let length = read_footer_length(tail).map_err(|e| e.to_string())?;
    let end = bytes.len() - tail.len();
    let start = end.checked_sub(length).ok_or("its footer is longer than the file")?;
    let footer =
        arrow_ipc::root_as_footer(&bytes[start..end]).map_err(|e| format!("its footer does not parse: {e}"))?;
    let digest = footer
        .custom_metadata()
        .and_then(|all| all.iter().find(|kv| kv.key() == Some(DIGEST)))
        .and_then(|kv| kv.value())
        .filter(|value| value.len() == DIGEST_LEN)
        .ok_or("it has no digest")?;
    let at = digest.as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(at..at + DIGEST_LEN)
}

/// Checks that the bytes are those that were written.
fn check_digest(bytes: &[u8]) -> Result<(), String> {
    let place = digest_place(bytes)?;
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&bytes[..place.start])
        .update(&BLANK)
        .update(&bytes[place.end..]);
    if hasher.finalize().to_hex().as_bytes() == &bytes[place] {
        Ok(())
    } else {
        Err("its content does not match its digest".into())
    }
}

/// Reads a header from the front of a file; `None` if more of the file is needed.
///
/// # Errors
/// A description, if this is no log object.
pub(super) fn header(front: &[u8], whole: bool) -> Result<Option<Header>, String> {
    let schema = front_schema(front, whole)?;
    schema.map(|schema| header_of(schema.metadata())).transpose()
}

/// The schema at the front of a file; `None` if more of the file is needed.
fn front_schema(front: &[u8], whole: bool) -> Result<Option<SchemaRef>, String> {
    let stream = front
        .strip_prefix(MAGIC)
        .ok_or("it does not begin like an Arrow file")?;
    let needed = schema_message_length(stream);
    if needed.is_none_or(|n| n > stream.len()) {
        return if whole {
            Err("its schema is cut off".into())
        } else {
            Ok(None)
        };
    }
    let reader = StreamReader::try_new(Cursor::new(stream), None).map_err(|e| e.to_string())?;
    Ok(Some(reader.schema()))
}

/// Length of the first message with its prefix: `0xFFFFFFFF`, a length, the schema.
fn schema_message_length(stream: &[u8]) -> Option<usize> {
    let length: [u8; 4] = stream.get(4..8)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()?.checked_add(8)
}

fn header_of(metadata: &Metadata) -> Result<Header, String> {
    fn field<'a>(metadata: &'a Metadata, name: &str) -> Result<&'a str, String> {
        metadata
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| format!("\"{name}\" is missing"))
    }
    fn number<T: std::str::FromStr>(metadata: &Metadata, name: &str) -> Result<T, String> {
        field(metadata, name)?
            .parse()
            .map_err(|_| format!("\"{name}\" is not a number"))
    }
    let previous = match metadata.contains_key("groundswell.previous") {
        true => Some(number(metadata, "groundswell.previous")?),
        false => None,
    };
    Ok(Header {
        name: LogName {
            epoch: number(metadata, "groundswell.epoch")?,
            tick: number(metadata, "groundswell.tick")?,
        },
        previous,
        clock: number(metadata, "groundswell.clock")?,
        bindings: serde_json::from_str(field(metadata, "groundswell.bindings")?).map_err(|e| e.to_string())?,
        rows: number(metadata, "groundswell.rows")?,
    })
}

/// Opens a whole log object: checks its digest and its name, and reads the columns asked for (all, if `None`).
///
/// # Errors
/// A description of what is wrong with it.
pub(super) fn open(
    name: LogName,
    bytes: Bytes,
    columns: Option<&[&str]>,
) -> Result<(Header, FileReader<Cursor<Bytes>>), String> {
    check_digest(&bytes)?;
    let schema = front_schema(&bytes, true)?.ok_or("it has no header")?;
    let header = header_of(schema.metadata())?;
    if header.name != name {
        return Err(format!("it says that it is {}", header.name.object()));
    }
    let projection = columns.map(|names| schema::positions(&schema, names));
    let reader = FileReader::try_new(Cursor::new(bytes), projection).map_err(|e| e.to_string())?;
    Ok((header, reader))
}

/// Reads a whole tick back.
///
/// # Errors
/// A description of what is wrong with the object.
pub(super) fn decode(name: LogName, bytes: Bytes) -> Result<TickBatch, String> {
    let (header, reader) = open(name, bytes, None)?;
    let mut records = Vec::new();
    for batch in reader {
        let batch: RecordBatch = batch.map_err(|e| e.to_string())?;
        Rows::of(&batch)?.append_to(&mut records)?;
    }
    if records.len() as u64 != header.rows {
        return Err(format!("it holds {} records, not {}", records.len(), header.rows));
    }
    Ok(TickBatch {
        tick: name.tick,
        clock: header.clock,
        bindings: header.bindings,
        records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;
    use proptest::prelude::*;

    fn round_trip(batch: &TickBatch) -> TickBatch {
        let name = LogName {
            epoch: 3,
            tick: batch.tick,
        };
        let bytes = encode(batch, name.epoch, Some(5)).expect("encoded");
        let front = header(&bytes[..bytes.len().min(16 << 10)], false)
            .expect("a header")
            .expect("all of it");
        assert_eq!(
            (front.name, front.previous, front.rows),
            (name, Some(5), batch.records.len() as u64)
        );
        decode(name, bytes).expect("decoded")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn every_record_round_trips(batch in testing::batches()) {
            prop_assert_eq!(round_trip(&batch), batch);
        }
    }

    #[test]
    fn several_record_batches_make_one_tick() {
        let records = (0..70_000)
            .map(|i| testing::votes(i, &format!("p{i}"), Some(1), 1))
            .collect();
        let batch = TickBatch {
            tick: 9,
            clock: 8,
            bindings: vec![],
            records,
        };
        assert_eq!(round_trip(&batch), batch);
    }

    #[test]
    fn any_flipped_byte_is_noticed() {
        let records = vec![testing::post(1, "a", "some text"), testing::votes(2, "a", None, 7)];
        let batch = TickBatch {
            tick: 9,
            clock: 8,
            bindings: vec![],
            records,
        };
        let name = LogName { epoch: 1, tick: 9 };
        let good = encode(&batch, 1, None).expect("encoded");
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x40;
            assert!(decode(name, bad.into()).is_err(), "byte {at} of {}", good.len());
        }
        for cut in [0, 5, 9, 100, good.len() - 1] {
            assert!(decode(name, good.slice(..cut)).is_err(), "cut at {cut}");
        }
        assert!(decode(LogName { epoch: 1, tick: 10 }, good).is_err(), "another name");
    }

    #[test]
    fn a_long_header_asks_for_more() {
        let bindings = (0..2_000)
            .map(|p| Binding {
                source: 1,
                partition: p,
                next: u64::MAX,
            })
            .collect();
        let batch = TickBatch {
            tick: 9,
            clock: 8,
            bindings,
            records: vec![],
        };
        let bytes = encode(&batch, 1, None).expect("encoded");
        assert_eq!(header(&bytes[..1 << 14], false), Ok(None));
        assert_eq!(
            header(&bytes, true).expect("valid").expect("whole").bindings,
            batch.bindings
        );
    }

    #[test]
    fn names_round_trip_and_sort_by_tick() {
        let name = LogName {
            epoch: 7,
            tick: Tick::MAX,
        };
        assert_eq!(LogName::parse(&name.object()), Some(name));
        for foreign in [
            "log/1-2.arrow",
            "log/x.arrow",
            "snapshot/0000000001-00000000000000000002.arrow",
            "log/a-b",
        ] {
            assert_eq!(LogName::parse(foreign), None, "{foreign}");
        }
    }
}
