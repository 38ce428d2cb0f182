//! Small YAML and JSON documents: dictionaries, rules, threads.
//!
//! A document is read as a whole. Its position is a generation (how often it has changed) and a digest of its content:
//! after a restart an unchanged document sends nothing, a changed one is sent again and, having higher offsets, replaces
//! what was there. While it is followed, what disappears from it is deleted.

use super::input::Item;
use super::{BATCH_RECORDS, FileSpec};
use crate::decode::{Collection, Decoder};
use crate::pace::Clock;
use groundswell_core::id::TextKey;
use groundswell_core::record::{Binding, Envelope, Record, SourceId, Thread};
use groundswell_core::source::{SourceBatch, SourceContext, SourceError, Stopped};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Offsets of one generation of a file lie in a block of this many bits.
const GENERATION_SHIFT: u32 = 48;
const IN_GENERATION: u64 = (1 << GENERATION_SHIFT) - 1;
/// Set in the position after a document, so that it is greater than the offset of any of its records.
const READ: u64 = 1 << (GENERATION_SHIFT - 1);
const POLL: Duration = Duration::from_millis(500);

/// First offset of a generation.
pub(super) fn generation_base(generation: u64) -> u64 {
    generation << GENERATION_SHIFT
}

/// A position as generation and offset within it.
pub(super) fn split_position(position: u64) -> (u64, u64) {
    (position >> GENERATION_SHIFT, position & IN_GENERATION)
}

/// A document's values still to be sent.
pub(super) struct Document {
    values: std::vec::IntoIter<Value>,
    offset: u64,
    end: u64,
}

impl Document {
    /// Reads the file; holds nothing if it is what was read before.
    pub(super) fn load(spec: &FileSpec, resume: Option<u64>) -> Result<Document, SourceError> {
        let content = std::fs::read(&spec.path).map_err(|e| spec.io_error("read it", &e))?;
        let seen = READ | (TextKey::of(&content).route() & (READ - 1));
        let generation = match resume.map(split_position) {
            Some((generation, known)) if known == seen => {
                let end = generation_base(generation) | seen;
                return Ok(Document {
                    values: Vec::new().into_iter(),
                    offset: end,
                    end,
                });
            }
            Some((generation, _)) => generation + 1,
            None => 0,
        };
        let values = parse(&content, spec).map_err(|message| spec.error(message, None))?;
        let base = generation_base(generation);
        Ok(Document {
            values: values.into_iter(),
            offset: base,
            end: base | seen,
        })
    }

    /// Position after the whole document.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Decodes the next value. Only after the last one the position moves: a document is read as a whole or again.
    pub(super) fn pop(&mut self, decoder: &Decoder, source: SourceId, context: &SourceContext) -> Option<Item> {
        let value = self.values.next()?.to_string();
        let envelope = decoder.envelope((source, 0, self.offset), None, Some(value.as_bytes()), context);
        self.offset += 1;
        let next = if self.values.as_slice().is_empty() {
            self.end
        } else {
            generation_base(split_position(self.end).0)
        };
        Some(Item {
            envelope,
            next,
            bytes: value.len(),
        })
    }
}

/// Sends the document, then again whenever it changes; ends only when asked to stop.
pub(super) fn follow(
    spec: &FileSpec,
    decoder: &Decoder,
    context: &SourceContext,
    clock: &impl Clock,
) -> Result<(), SourceError> {
    let source = context.source;
    let mut position = context
        .resume
        .iter()
        .find(|b| b.source == source && b.partition == 0)
        .map(|b| b.next);
    let mut live: BTreeMap<String, Record> = BTreeMap::new();
    let mut first = true;
    let mut last_problem = String::new();
    while !context.stop.is_set() {
        match Document::load(spec, position) {
            Ok(mut document) => {
                last_problem.clear();
                let end = document.end();
                if position != Some(end) {
                    let mut records: Vec<Envelope> = Vec::new();
                    while let Some(item) = document.pop(decoder, source, context) {
                        records.push(item.envelope);
                    }
                    let now: BTreeMap<String, Record> = records.iter().filter_map(|e| removal(&e.record)).collect();
                    let gone = live.iter().filter(|(id, _)| !now.contains_key(*id));
                    let gone: Vec<Record> = gone.map(|(_, removal)| removal.clone()).collect();
                    for (offset, record) in (document.offset..).zip(gone) {
                        records.push(Envelope {
                            source,
                            partition: 0,
                            offset,
                            order: offset,
                            record,
                        });
                    }
                    live = now;
                    if send(context, records, end).is_err() {
                        return Ok(());
                    }
                    position = Some(end);
                } else if first {
                    // Nothing is sent, but what the document holds must be known to notice what disappears from it.
                    let mut document = Document::load(spec, None)?;
                    while let Some(item) = document.pop(decoder, source, context) {
                        live.extend(removal(&item.envelope.record));
                    }
                }
            }
            // A document that is being written is broken for a moment: the last good one stays.
            Err(error) if !first => {
                let problem = error.to_string();
                if problem != last_problem {
                    tracing::warn!(source = spec.name, %error, "the document cannot be read; its last good state stays");
                    last_problem = problem;
                }
            }
            Err(error) => return Err(error),
        }
        first = false;
        clock.sleep(POLL, &context.stop);
    }
    Ok(())
}

fn send(context: &SourceContext, records: Vec<Envelope>, end: u64) -> Result<(), Stopped> {
    let source = context.source;
    let mut records = records.into_iter().peekable();
    loop {
        let chunk: Vec<_> = records.by_ref().take(BATCH_RECORDS).collect();
        let last = records.peek().is_none();
        let bindings = if last {
            vec![Binding {
                source,
                partition: 0,
                next: end,
            }]
        } else {
            Vec::new()
        };
        context.send(SourceBatch {
            source,
            records: chunk,
            bindings,
            clock: None,
            finished: false,
        })?;
        if last {
            return Ok(());
        }
    }
}

/// The id of a record that a document can hold, and the record that removes it.
fn removal(record: &Record) -> Option<(String, Record)> {
    match record {
        Record::Entity(e) => Some((e.id.clone(), Record::EntityDeleted { id: e.id.clone() })),
        Record::Rule(r) => Some((r.id.clone(), Record::RuleDeleted { id: r.id.clone() })),
        Record::Keyword(k) => Some((k.id.clone(), Record::KeywordDeleted { id: k.id.clone() })),
        Record::Thread(t) if !t.deleted => Some((
            t.id.clone(),
            Record::Thread(Thread {
                id: t.id.clone(),
                deleted: true,
                ..Thread::default()
            }),
        )),
        _ => None,
    }
}

fn parse(content: &[u8], spec: &FileSpec) -> Result<Vec<Value>, String> {
    let into = spec.decoder.into;
    let text = std::str::from_utf8(content).map_err(|e| format!("invalid UTF-8 at byte {}", e.valid_up_to()))?;
    let json = spec.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    // Only `true` and `false` are booleans: a cast has a No, and an On.
    let options = serde_saphyr::options! { strict_booleans: true };
    let whole: Value = if json {
        serde_json::from_str(text).map_err(|e| format!("invalid JSON: {e}"))?
    } else {
        serde_saphyr::from_str_with_options(text, options).map_err(|e| format!("invalid YAML: {e}"))?
    };
    let id_field = if into == Collection::Threads { "thread" } else { "id" };
    let mut values = items(whole, into)?;
    for (id, value) in &mut values {
        if let (Value::String(name), Collection::Entities) = (&value, into) {
            *value = serde_json::json!({ "name": name });
        }
        if let Value::Object(object) = value {
            if let Some(id) = id.take()
                && !object.contains_key(id_field)
            {
                object.insert(id_field.into(), Value::String(id));
            }
            if into == Collection::Entities {
                quote_numbers(object);
            }
        }
    }
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// The values of a document, each with the id it stands under, if any.
fn items(whole: Value, into: Collection) -> Result<Vec<(Option<String>, Value)>, String> {
    let names: &[&str] = match into {
        Collection::Entities => &["entities", "cast"],
        other => &[other.name()],
    };
    match whole {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list.into_iter().map(|value| (None, value)).collect()),
        Value::Object(mut object) => match names.iter().find_map(|name| object.remove(*name)) {
            Some(inner @ (Value::Array(_) | Value::Object(_) | Value::Null)) => match inner {
                Value::Object(by_id) => Ok(by_id.into_iter().map(|(id, value)| (Some(id), value)).collect()),
                other => items(other, into),
            },
            Some(_) => Err(format!("`{}` must hold a list or a map", names.join("` or `"))),
            None => Ok(object.into_iter().map(|(id, value)| (Some(id), value)).collect()),
        },
        _ => Err(format!(
            "expected a list of {}, a map of id to value, or either under `{}`",
            into.name(),
            names[0]
        )),
    }
}

/// `aliases: [23, LBJ]`: in YAML an alias may look like a number without being meant as one.
fn quote_numbers(object: &mut Map<String, Value>) {
    for list in ["aliases", "exclude"] {
        if let Some(Value::Array(values)) = object.get_mut(list) {
            for value in values {
                if let Value::Number(number) = value {
                    *value = Value::String(number.to_string());
                }
            }
        }
    }
}
