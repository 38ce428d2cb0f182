//! Rows of a view as a file: CSV, JSON Lines or Parquet.
//!
//! In: rows in pieces, in order. Out: the bytes of the file in pieces, none of them larger than what the rows given since
//! the last ones take. State: for Parquet the row group under way, at most `parquet::GROUP_ROWS` rows; else nothing.
//! Fails only where an encoder does, which would be a defect.
//!
//! The columns are those of the HTTP API and of the Postgres tables: groups, window, measures, `updated_at`. A value that
//! is not there is an empty field, `null`, or null.

mod parquet;

use super::render::{self, Lookup, RowJson};
use super::table::Row;
use crate::json::CellJson;
use groundswell_core::spec::{Cell, REVISION, STATE, ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use std::sync::Arc;

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header (RFC 4180, lines end with a line feed).
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet, compressed.
    Parquet,
}

impl Format {
    /// All of them, in the order of the documentation.
    pub const ALL: [Format; 3] = [Format::Csv, Format::JsonLines, Format::Parquet];

    /// The word for it, which is also what its files' names end with.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
            Format::Parquet => "parquet",
        }
    }

    /// The format with this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::JsonLines => "application/jsonl; charset=utf-8",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// As CSV.
    #[error("cannot write rows as CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// As JSON.
    #[error("cannot write rows as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// As Parquet.
    #[error("cannot write rows as Parquet: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// As Arrow arrays, on the way there.
    #[error("cannot write rows as Parquet: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
}

enum Kind {
    Csv { begun: bool },
    JsonLines,
    Parquet(Box<parquet::Writer>),
}

/// Writes one file.
pub struct Encoder {
    spec: ViewSpec,
    clock: EventTime,
    lookup: Lookup,
    kind: Kind,
}

impl Encoder {
    /// The beginning of a file about a view at a tick and its clock.
    ///
    /// # Errors
    /// [`ExportError`] if the format cannot hold the view's columns.
    pub fn new(
        format: Format,
        spec: ViewSpec,
        lookup: Lookup,
        (at, clock): (Tick, EventTime),
    ) -> Result<Self, ExportError> {
        let kind = match format {
            Format::Csv => Kind::Csv { begun: false },
            Format::JsonLines => Kind::JsonLines,
            Format::Parquet => Kind::Parquet(Box::new(parquet::Writer::new(&spec, at)?)),
        };
        Ok(Encoder {
            spec,
            clock,
            lookup,
            kind,
        })
    }

    /// The next rows; what comes out may be empty.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn rows(&mut self, rows: &[(ViewKey, Row)]) -> Result<Vec<u8>, ExportError> {
        let Encoder {
            spec,
            clock,
            lookup,
            kind,
        } = self;
        match kind {
            Kind::Csv { begun } => csv(spec, lookup, *clock, rows, std::mem::replace(begun, true)),
            Kind::JsonLines => {
                let mut out = Vec::with_capacity(rows.len() * 256);
                for (key, row) in rows {
                    let row = RowJson {
                        spec,
                        lookup,
                        clock: *clock,
                        key: *key,
                        row: Some(row.clone()),
                    };
                    serde_json::to_writer(&mut out, &row)?;
                    out.push(b'\n');
                }
                Ok(out)
            }
            Kind::Parquet(writer) => writer.rows(spec, lookup, *clock, rows),
        }
    }

    /// The end of the file.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        match self.kind {
            // Without rows it is the header.
            Kind::Csv { begun: false } => self.rows(&[]),
            Kind::Csv { begun: true } | Kind::JsonLines => Ok(Vec::new()),
            Kind::Parquet(writer) => writer.finish(),
        }
    }
}

fn csv(
    spec: &ViewSpec,
    lookup: &Lookup,
    clock: EventTime,
    rows: &[(ViewKey, Row)],
    begun: bool,
) -> Result<Vec<u8>, ExportError> {
    let mut out = ::csv::Writer::from_writer(Vec::with_capacity(rows.len() * 128 + 256));
    if !begun {
        let groups = spec.group_by.iter().map(|c| c.name());
        let measures = spec.shows().map(|shown| shown.name());
        let window = ["window_start", "window_end"].into_iter();
        let states = [STATE, REVISION].into_iter().filter(|_| spec.extras.revisions);
        out.write_record(groups.chain(window).chain(measures).chain(states).chain(["updated_at"]))?;
    }
    for (key, row) in rows {
        for name in names(spec, lookup, key) {
            out.write_field(name.as_deref().unwrap_or(""))?;
        }
        let (start, end) = spec.window.bounds_at(key, clock);
        out.write_field(render::time(start))?;
        out.write_field(render::time(end))?;
        for shown in spec.shows() {
            let cell = shown.cell(spec, &row.acc, row.numbers.as_deref());
            let field = match &cell {
                Cell::Whole(n) => n.map(|n| n.to_string()).unwrap_or_default(),
                Cell::Real(n) => n.map(|n| n.to_string()).unwrap_or_default(),
                Cell::Word(word) => (*word).to_owned(),
                Cell::Posts { .. } => text_of_posts(&cell, lookup)?,
            };
            out.write_field(field)?;
        }
        if let Some(state) = spec.state_of(key, clock, row.revision) {
            out.write_field(state.name())?;
            out.write_field(row.revision.to_string())?;
        }
        out.write_field(render::tick_time(row.updated))?;
        out.write_record(None::<&[u8]>)?;
    }
    out.into_inner()
        .map_err(|error| ::csv::Error::from(error.into_error()).into())
}

/// The values of a row's group columns.
fn names<'a>(
    spec: &'a ViewSpec,
    lookup: &'a Lookup,
    key: &'a ViewKey,
) -> impl Iterator<Item = Option<Arc<str>>> + use<'a> {
    spec.group_by.iter().zip(key.group).map(|(_, dim)| lookup.name(dim))
}

/// Top posts as the text of their JSON.
fn text_of_posts(cell: &Cell<'_>, lookup: &Lookup) -> serde_json::Result<String> {
    let posts = CellJson::of(cell.clone(), |key| Some(lookup.post_id(key)));
    serde_json::to_string(&posts)
}

#[cfg(test)]
mod tests;
