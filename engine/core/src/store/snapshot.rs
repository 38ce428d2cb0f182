//! The snapshot: what the log has been folded into, as Parquet parts.
//!
//! In: record batches of winners. Out: `snapshot/<epoch>-<tick>-<n>.parquet` objects and a [`Snapshot`] that lists them
//! with sizes, row counts and digests; the manifest makes it count. Reading checks the digest before a byte is decoded.

use super::error::StoreError;
use super::objects::Objects;
use super::schema::{self, CHUNK_ROWS};
use crate::record::Binding;
use crate::time::{EventTime, Tick};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A part is closed at this size; it is what reading holds in memory.
pub(super) const PART_BYTES: usize = 64 << 20;
/// Rows handed out at a time when reading.
const READ_ROWS: usize = 16_384;
/// Columns whose values hardly repeat: a dictionary would be built only to be thrown away.
const DISTINCT: [&str; 7] = ["id", "text", "offset", "order", "parent", "text_key", "payload"];
/// Columns whose order means nothing to a reader.
const UNORDERED: [&str; 9] = [
    "id",
    "platform",
    "thread",
    "parent",
    "author",
    "text",
    "text_key",
    "model_key",
    "payload",
];

/// A snapshot as the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The last tick folded into it.
    pub tick: Tick,
    /// The clock at that tick.
    pub clock: EventTime,
    /// Net bindings at that tick.
    pub bindings: Vec<Binding>,
    /// Its records.
    pub rows: u64,
    /// Its objects, in order.
    pub parts: Vec<Part>,
}

impl Snapshot {
    /// Size of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.bytes).sum()
    }
}

/// One object of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its name.
    pub object: String,
    /// Its records.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// The name of a part.
pub(super) fn part_object(epoch: u64, tick: Tick, n: usize) -> String {
    format!("snapshot/{epoch:010}-{tick:020}-{n:04}.parquet")
}

/// The epoch in a part's name, if it is one.
pub(super) fn part_epoch(object: &str) -> Option<u64> {
    object
        .strip_prefix("snapshot/")?
        .strip_suffix(".parquet")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// Writes parts as batches come.
pub(super) struct PartWriter<'a> {
    objects: &'a Objects,
    schema: SchemaRef,
    epoch: u64,
    tick: Tick,
    limit: usize,
    open: Option<ArrowWriter<Vec<u8>>>,
    rows: u64,
    parts: Vec<Part>,
}

impl<'a> PartWriter<'a> {
    /// A writer for the snapshot at `tick`, closing parts at about `limit` bytes.
    pub fn new(objects: &'a Objects, epoch: u64, tick: Tick, limit: usize) -> Self {
        let schema = schema::schema(HashMap::from([
            ("groundswell.format".to_owned(), super::FORMAT.to_string()),
            ("groundswell.tick".to_owned(), tick.to_string()),
        ]));
        PartWriter {
            objects,
            schema,
            epoch,
            tick,
            limit,
            open: None,
            rows: 0,
            parts: Vec::new(),
        }
    }

    /// Appends rows.
    ///
    /// # Errors
    /// If a full part cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let tick = self.tick;
        let failed = |e: parquet::errors::ParquetError| StoreError::Encode {
            tick,
            problem: e.to_string(),
        };
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => {
                let properties = properties().map_err(failed)?;
                let writer = ArrowWriter::try_new(Vec::new(), self.schema.clone(), Some(properties)).map_err(failed)?;
                self.open.insert(writer)
            }
        };
        let batch = schema::completed(batch, &self.schema).map_err(|problem| StoreError::Encode { tick, problem })?;
        writer.write(&batch).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        if writer.bytes_written() + writer.in_progress_size() >= self.limit {
            self.close()
        } else {
            Ok(())
        }
    }

    /// Writes the last part and returns all of them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<Vec<Part>, StoreError> {
        self.close()?;
        Ok(self.parts)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        let Some(writer) = self.open.take() else { return Ok(()) };
        let bytes = writer.into_inner().map_err(|e| StoreError::Encode {
            tick: self.tick,
            problem: e.to_string(),
        })?;
        let object = part_object(self.epoch, self.tick, self.parts.len());
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        self.parts.push(Part {
            object: object.clone(),
            rows: std::mem::take(&mut self.rows),
            bytes: bytes.len() as u64,
            blake3,
        });
        self.objects.put(&object, bytes.into())
    }
}

fn properties() -> parquet::errors::Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(CHUNK_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("groundswell ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in DISTINCT {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    // Bounds of these select nothing, and finding them compares every value.
    for column in UNORDERED {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::None);
    }
    Ok(builder.build())
}

/// Reads a part after checking its digest: the columns asked for (all, if `None`).
///
/// # Errors
/// [`StoreError::Damaged`] if it is missing or not what was written.
pub(super) fn read_part(
    objects: &Objects,
    part: &Part,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, StoreError> {
    let damaged = |problem: String| StoreError::damaged(objects.full(&part.object), problem);
    let bytes: Bytes = objects.get(&part.object)?;
    if blake3::hash(&bytes).to_hex().as_str() != part.blake3 {
        return Err(damaged("its content does not match its digest".into()));
    }
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .map_err(|e| damaged(e.to_string()))?
        .with_batch_size(READ_ROWS);
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    builder.build().map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::decode::Rows;
    use crate::store::testing;
    use proptest::prelude::*;

    fn objects() -> (tempfile::TempDir, Objects, super::super::objects::Lock) {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, lock) = Objects::locked(&folder.path().display().to_string()).expect("open");
        (folder, objects, lock)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_record_round_trips(batches in prop::collection::vec(testing::batches(), 0..4), limit in 1_usize..4_000) {
            let (_folder, objects, _lock) = objects();
            let mut writer = PartWriter::new(&objects, 1, 2, limit);
            let mut expected = Vec::new();
            for batch in batches {
                let encoded = schema::encode(&batch.records, 0).expect("encoded");
                writer.write(&encoded).expect("written");
                expected.extend(batch.records);
            }
            let parts = writer.finish().expect("finished");
            let mut read = Vec::new();
            for part in &parts {
                let before = read.len();
                for batch in read_part(&objects, part, None).expect("opened") {
                    Rows::of(&batch.expect("batch")).expect("columns").append_to(&mut read).expect("records");
                }
                prop_assert_eq!((read.len() - before) as u64, part.rows);
            }
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_changed_part_is_damaged() {
        let (_folder, objects, _lock) = objects();
        let mut writer = PartWriter::new(&objects, 1, 2, PART_BYTES);
        writer
            .write(&schema::encode(&[testing::post(1, "a", "text")], 4).expect("rows"))
            .expect("written");
        let parts = writer.finish().expect("finished");
        let mut bytes = objects.get(&parts[0].object).expect("read").to_vec();
        bytes[40] ^= 1;
        objects.put(&parts[0].object, bytes.into()).expect("changed");
        let error = read_part(&objects, &parts[0], None)
            .map(|_| ())
            .expect_err("noticed")
            .to_string();
        assert!(error.contains(&parts[0].object) && error.contains("digest"), "{error}");
        assert_eq!(part_epoch(&parts[0].object), Some(1));
    }
}
