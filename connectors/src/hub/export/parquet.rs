//! A view's rows as Parquet.
//!
//! In: rows in pieces. Out: bytes, a row group at a time. State: the row group under way. Groups are UTF-8, times are
//! timestamps (ms, UTC), counts are 64-bit integers, other measures doubles; all but the window's bounds and `updated_at`
//! may be null. The view and the tick are in the file's key-value metadata (`groundswell.view`, `groundswell.at`).

use super::{ExportError, names, number};
use crate::hub::render::Lookup;
use crate::hub::table::Row;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use groundswell_core::spec::{Measure, ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

/// Rows of a row group.
pub(super) const GROUP_ROWS: usize = 1 << 16;
const ZONE: &str = "UTC";

pub(super) struct Writer {
    schema: Arc<Schema>,
    writer: ArrowWriter<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(spec: &ViewSpec, at: Tick) -> Result<Self, ExportError> {
        let schema = Arc::new(schema(spec));
        let about = [
            ("groundswell.view", spec.name.clone()),
            ("groundswell.at", at.to_string()),
        ];
        let about = about.map(|(key, value)| KeyValue::new(key.to_owned(), value));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("groundswell ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(about.to_vec()))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
        Ok(Writer { schema, writer })
    }

    pub(super) fn rows(
        &mut self,
        spec: &ViewSpec,
        lookup: &Lookup,
        clock: EventTime,
        rows: &[(ViewKey, Row)],
    ) -> Result<Vec<u8>, ExportError> {
        let columns = columns(spec, lookup, clock, rows);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.writer.write(&batch)?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, ExportError> {
        Ok(self.writer.into_inner()?)
    }
}

fn schema(spec: &ViewSpec) -> Schema {
    let time = |name| {
        Field::new(
            name,
            DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
            false,
        )
    };
    let groups = spec.group_by.iter().map(|c| Field::new(c.name(), DataType::Utf8, true));
    let measures = spec.measures.iter().map(|m| {
        let kind = if m.is_count() {
            DataType::Int64
        } else {
            DataType::Float64
        };
        Field::new(m.name(), kind, true)
    });
    let window = [time("window_start"), time("window_end")];
    let all = groups.chain(window).chain(measures).chain([time("updated_at")]);
    Schema::new(all.collect::<Vec<_>>())
}

fn columns(spec: &ViewSpec, lookup: &Lookup, clock: EventTime, rows: &[(ViewKey, Row)]) -> Vec<ArrayRef> {
    let groups: Vec<Vec<Option<Arc<str>>>> = {
        let mut groups = vec![Vec::with_capacity(rows.len()); spec.group_by.len()];
        for (key, _) in rows {
            groups
                .iter_mut()
                .zip(names(spec, lookup, key))
                .for_each(|(g, name)| g.push(name));
        }
        groups
    };
    let mut all: Vec<ArrayRef> = Vec::with_capacity(spec.group_by.len() + spec.measures.len() + 3);
    for group in &groups {
        all.push(Arc::new(group.iter().map(Option::as_deref).collect::<StringArray>()));
    }
    let windows = || rows.iter().map(|(key, _)| spec.window.bounds_at(key, clock));
    all.push(times(windows().map(|(start, _)| start)));
    all.push(times(windows().map(|(_, end)| end)));
    for measure in &spec.measures {
        all.push(numbers(*measure, rows));
    }
    all.push(times(
        rows.iter()
            .map(|(_, row)| i64::try_from(row.updated).unwrap_or(i64::MAX)),
    ));
    all
}

fn times(times: impl Iterator<Item = EventTime>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone(ZONE))
}

#[allow(clippy::cast_possible_truncation)] // counts are whole and below 2^31
fn numbers(measure: Measure, rows: &[(ViewKey, Row)]) -> ArrayRef {
    let values = rows.iter().map(|(_, row)| number(measure, &row.acc));
    if measure.is_count() {
        Arc::new(values.map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
    } else {
        Arc::new(values.collect::<Float64Array>())
    }
}
