//! What is read back from a file is what was served.

use super::*;
use crate::hub::testing::{lookup, spec};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::Dim;
use groundswell_core::score::Label;
use groundswell_core::spec::WindowSpec;
use serde_json::{Value, json};

const AWKWARD: [&str; 8] = [
    "plain",
    "a,b;c\td",
    "\"quoted\" \"",
    "two\nlines\r\nand a bare \r",
    "=HYPERLINK(\"http://x\")",
    "  spaces  ",
    "é 🏀 \u{202e}",
    "null",
];

fn rows(lookup: &Lookup) -> Vec<(ViewKey, Row)> {
    let mut rows = Vec::new();
    for (start, thread) in (-2i64..).zip(AWKWARD) {
        let thread = lookup.names.intern(thread).expect("no collision");
        for entity in [Dim::NONE, lookup.names.intern("x").expect("no collision")] {
            let mut acc = Acc::scored(UNIT * 7 / 3 + start, 333_333, Label::Positive, true, false);
            acc.posts = 3;
            if start == 0 {
                acc = Acc::unscored();
            }
            let key = ViewKey {
                group: [thread, entity, Dim::NONE, Dim::NONE],
                start: start * 60_000,
            };
            rows.push((
                key,
                Row {
                    acc,
                    numbers: None,
                    updated: 1_500,
                    revision: 0,
                },
            ));
        }
    }
    rows
}

fn file(format: Format, spec: &ViewSpec, lookup: &Lookup, rows: &[(ViewKey, Row)]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, spec.clone(), lookup.clone(), (77, 660_000)).expect("begun");
    let mut all = Vec::new();
    for piece in rows.chunks(3) {
        all.extend(encoder.rows(piece).expect("written"));
    }
    all.extend(encoder.finish().expect("finished"));
    all
}

/// The rows as JSON clients see them.
fn served(spec: &ViewSpec, lookup: &Lookup, rows: &[(ViewKey, Row)]) -> Vec<Value> {
    let row = |(key, row): &(ViewKey, Row)| {
        let row = RowJson {
            spec,
            lookup,
            clock: 660_000,
            key: *key,
            row: Some(row.clone()),
        };
        serde_json::from_str(&serde_json::to_string(&row).expect("json")).expect("json")
    };
    rows.iter().map(row).collect()
}

fn columns(spec: &ViewSpec) -> Vec<&'static str> {
    let groups = spec.group_by.iter().map(|c| c.name());
    let all = groups.chain(["window_start", "window_end"]);
    all.chain(spec.measures.iter().map(|m| m.name()))
        .chain(["updated_at"])
        .collect()
}

fn views() -> [ViewSpec; 2] {
    let sliding = WindowSpec::Sliding {
        size: 300_000,
        every: 60_000,
    };
    [spec("v", WindowSpec::Tumble { size: 60_000 }), spec("s", sliding)]
}

#[test]
fn csv_gives_every_value_back() {
    let lookup = lookup();
    let rows = rows(&lookup);
    for spec in views() {
        let bytes = file(Format::Csv, &spec, &lookup, &rows);
        let mut reader = ::csv::Reader::from_reader(&bytes[..]);
        assert_eq!(reader.headers().expect("a header"), columns(&spec));
        let columns = columns(&spec);
        let read: Vec<Value> = reader
            .records()
            .map(|record| {
                let record = record.expect("a record");
                let value = |(name, text): (&&str, &str)| {
                    let measure = spec.measures.iter().find(|m| m.name() == *name);
                    let value = match (text, measure) {
                        ("", _) => Value::Null,
                        (text, None) => json!(text),
                        (text, Some(measure)) if measure.is_count() => json!(text.parse::<i64>().expect("a count")),
                        (text, Some(_)) => json!(text.parse::<f64>().expect("a number")),
                    };
                    ((*name).to_owned(), value)
                };
                Value::Object(columns.iter().zip(record.iter()).map(value).collect())
            })
            .collect();
        assert_eq!(read, served(&spec, &lookup, &rows));
    }
}

#[test]
fn json_lines_are_the_rows_of_the_api() {
    let lookup = lookup();
    let rows = rows(&lookup);
    for spec in views() {
        let text = String::from_utf8(file(Format::JsonLines, &spec, &lookup, &rows)).expect("UTF-8");
        let read: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).expect("a line is a row"))
            .collect();
        assert_eq!(read, served(&spec, &lookup, &rows));
    }
}

#[test]
fn parquet_gives_every_value_back() {
    let lookup = lookup();
    let rows = rows(&lookup);
    for spec in views() {
        let bytes = file(Format::Parquet, &spec, &lookup, &rows);
        let reader =
            ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
                .expect("a Parquet file");
        let about = reader
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .expect("metadata");
        assert!(
            about
                .iter()
                .any(|kv| kv.key == "groundswell.at" && kv.value.as_deref() == Some("77"))
        );
        let mut read = Vec::new();
        for batch in reader.build().expect("readable") {
            let batch = batch.expect("a batch");
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let value = |column: usize| {
                    let (name, array) = (schema.field(column).name().clone(), batch.column(column));
                    let value = if array.is_null(row) {
                        Value::Null
                    } else if let Some(text) = array.as_string_opt::<i32>() {
                        json!(text.value(row))
                    } else if let Some(count) = array.as_primitive_opt::<Int64Type>() {
                        json!(count.value(row))
                    } else if let Some(number) = array.as_primitive_opt::<Float64Type>() {
                        json!(number.value(row))
                    } else {
                        json!(render::time(
                            array.as_primitive::<TimestampMillisecondType>().value(row)
                        ))
                    };
                    (name, value)
                };
                read.push(Value::Object((0..batch.num_columns()).map(value).collect()));
            }
        }
        assert_eq!(read, served(&spec, &lookup, &rows));
    }
}

#[test]
fn without_rows_there_is_still_a_file() {
    let lookup = lookup();
    let [spec, _] = views();
    let csv = file(Format::Csv, &spec, &lookup, &[]);
    assert_eq!(String::from_utf8(csv).expect("UTF-8"), columns(&spec).join(",") + "\n");
    assert!(file(Format::JsonLines, &spec, &lookup, &[]).is_empty());
    let parquet = file(Format::Parquet, &spec, &lookup, &[]);
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn parquet_holds_one_row_group_at_most() {
    let lookup = lookup();
    let [spec, _] = views();
    let many: Vec<(ViewKey, Row)> = (0..200_000)
        .map(|start| {
            let key = ViewKey {
                group: [Dim::NONE; 4],
                start,
            };
            let acc = Acc::scored(UNIT + start, 1, Label::Neutral, false, false);
            (
                key,
                Row {
                    acc,
                    numbers: None,
                    updated: 1,
                    revision: 0,
                },
            )
        })
        .collect();
    let mut encoder = Encoder::new(Format::Parquet, spec, lookup, (1, 0)).expect("begun");
    let (mut given, mut out) = (0, 0);
    for piece in many.chunks(2_048) {
        given += piece.len();
        out += usize::from(encoder.rows(piece).expect("written").len() > 1_000);
        assert!(
            out >= given / parquet::GROUP_ROWS,
            "{out} groups came out of {given} rows"
        );
    }
    assert_eq!(out, 3);
}
