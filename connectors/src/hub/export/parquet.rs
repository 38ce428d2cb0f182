//! A view's rows as Parquet.
//!
//! In: rows in pieces. Out: bytes, a row group at a time. State: the row group under way. Groups are UTF-8, times are
//! timestamps (ms, UTC), counts are 64-bit integers, other measures doubles; all but the window's bounds and `updated_at`
//! may be null. The view and the tick are in the file's key-value metadata (`groundswell.view`, `groundswell.at`).

use super::{ExportError, names, text_of_posts};
use crate::hub::render::Lookup;
use crate::hub::table::Row;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use groundswell_core::spec::{Cell, CellKind, REVISION, RowState, STATE, Shown, ViewKey, ViewSpec};
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
        let columns = columns(spec, lookup, clock, rows)?;
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
    let measures = spec.shows().map(|shown| {
        let kind = match shown.kind() {
            CellKind::Whole(_) => DataType::Int64,
            CellKind::Real => DataType::Float64,
            CellKind::Word | CellKind::Posts => DataType::Utf8,
        };
        Field::new(shown.name(), kind, true)
    });
    let window = [time("window_start"), time("window_end")];
    let states = [(STATE, DataType::Utf8), (REVISION, DataType::Int64)]
        .into_iter()
        .filter(|_| spec.extras.revisions)
        .map(|(name, kind)| Field::new(name, kind, false));
    let all = groups
        .chain(window)
        .chain(measures)
        .chain(states)
        .chain([time("updated_at")]);
    Schema::new(all.collect::<Vec<_>>())
}

fn columns(
    spec: &ViewSpec,
    lookup: &Lookup,
    clock: EventTime,
    rows: &[(ViewKey, Row)],
) -> Result<Vec<ArrayRef>, ExportError> {
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
    for shown in spec.shows() {
        all.push(values(spec, lookup, shown, rows)?);
    }
    if spec.extras.revisions {
        let states = rows.iter().map(|(key, row)| spec.state_of(key, clock, row.revision));
        all.push(Arc::new(
            states.map(|state| state.map(RowState::name)).collect::<StringArray>(),
        ));
        let counts = rows.iter().map(|(_, row)| Some(i64::from(row.revision)));
        all.push(Arc::new(counts.collect::<Int64Array>()));
    }
    all.push(times(
        rows.iter()
            .map(|(_, row)| i64::try_from(row.updated).unwrap_or(i64::MAX)),
    ));
    Ok(all)
}

fn times(times: impl Iterator<Item = EventTime>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone(ZONE))
}

fn values(
    spec: &ViewSpec,
    lookup: &Lookup,
    shown: Shown<'_>,
    rows: &[(ViewKey, Row)],
) -> Result<ArrayRef, ExportError> {
    let cells = rows
        .iter()
        .map(|(_, row)| shown.cell(spec, &row.acc, row.numbers.as_deref()));
    Ok(match shown.kind() {
        CellKind::Whole(_) => {
            let whole = cells.map(|cell| match cell {
                Cell::Whole(n) => n,
                _ => None,
            });
            Arc::new(whole.collect::<Int64Array>())
        }
        CellKind::Real => {
            let real = cells.map(|cell| match cell {
                Cell::Real(n) => n,
                _ => None,
            });
            Arc::new(real.collect::<Float64Array>())
        }
        CellKind::Word | CellKind::Posts => {
            let words = cells.map(|cell| match cell {
                Cell::Word(word) => Ok(word.to_owned()),
                cell => text_of_posts(&cell, lookup),
            });
            let words = words.collect::<serde_json::Result<Vec<String>>>()?;
            Arc::new(StringArray::from(words))
        }
    })
}
