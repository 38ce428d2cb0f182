//! One file being read: records one at a time, each with the position after it.

use super::FileSpec;
use super::document::{self, Document};
use super::lines::LineReader;
use crate::decode::Decoder;
use groundswell_core::record::{Binding, Envelope, Record, SourceId};
use groundswell_core::source::{SourceContext, SourceError};
use groundswell_core::time::EventTime;

/// An open file and how to decode it.
pub(super) struct Input {
    pub(super) source: SourceId,
    pub(super) spec: FileSpec,
    decoder: Decoder,
    content: Content,
    /// Where to continue after what was handed out.
    pub(super) next: u64,
}

enum Content {
    Lines(LineReader),
    Document(Document),
}

/// One record and where to continue after it.
pub(super) struct Item {
    pub(super) envelope: Envelope,
    pub(super) next: u64,
    pub(super) bytes: usize,
}

impl Input {
    pub(super) fn open(
        spec: FileSpec,
        decoder: Decoder,
        source: SourceId,
        resume: &[Binding],
    ) -> Result<Self, SourceError> {
        let resume = resume
            .iter()
            .find(|b| b.source == source && b.partition == 0)
            .map(|b| b.next);
        let (content, next) = if spec.is_document() {
            let document = Document::load(&spec, resume)?;
            let next = resume.unwrap_or(0);
            (Content::Document(document), next)
        } else {
            let next = resume.unwrap_or(0);
            let lines =
                LineReader::open(&spec.path, next, spec.decoder.max_bytes).map_err(|e| spec.io_error("open it", &e))?;
            (Content::Lines(lines), next)
        };
        Ok(Input {
            source,
            spec,
            decoder,
            content,
            next,
        })
    }

    /// The next record, or `None` at the end (then `next` is the end's position).
    pub(super) fn read(&mut self, context: &SourceContext) -> Result<Option<Item>, SourceError> {
        match &mut self.content {
            Content::Lines(lines) => {
                let item = next_item(lines, true, &self.decoder, (self.source, 0), context);
                let item = item.map_err(|e| read_error(&self.spec, lines.position(), &e))?;
                if item.is_none() {
                    self.next = lines.position();
                }
                Ok(item)
            }
            Content::Document(document) => {
                let item = document.pop(&self.decoder, self.source, context);
                if item.is_none() {
                    self.next = document.end();
                }
                Ok(item)
            }
        }
    }
}

pub(super) fn read_error(spec: &FileSpec, position: u64, error: &std::io::Error) -> SourceError {
    let hint = "everything before that was read; restore the file and start again to go on from there";
    spec.error(
        format_args!("damaged or unreadable after byte {position} of its content: {error}"),
        Some(hint),
    )
}

/// Decodes the next line that is not blank; offsets are shifted by `generation`.
pub(super) fn next_item(
    lines: &mut LineReader,
    take_rest: bool,
    decoder: &Decoder,
    (source, generation): (SourceId, u64),
    context: &SourceContext,
) -> std::io::Result<Option<Item>> {
    let base = document::generation_base(generation);
    loop {
        let Some(line) = lines.next(take_rest)? else {
            return Ok(None);
        };
        if line.bytes.iter().all(u8::is_ascii_whitespace) && line.oversized.is_none() {
            continue;
        }
        let offset = base | line.start;
        let envelope = match line.oversized {
            Some(total) => {
                let record = Record::Dead(decoder.too_large(None, line.bytes, total));
                Envelope {
                    source,
                    partition: 0,
                    offset,
                    order: offset,
                    record,
                }
            }
            None => decoder.envelope((source, 0, offset), None, Some(line.bytes), context),
        };
        return Ok(Some(Item {
            envelope,
            next: base | line.next,
            bytes: line.bytes.len(),
        }));
    }
}

/// The moment a record tells about: when its votes were observed, or it was written.
pub(super) fn event_time(record: &Record) -> Option<EventTime> {
    match record {
        Record::Post(post) => Some(post.created_at.max(post.observed_at)),
        Record::Votes(votes) => Some(votes.observed_at),
        _ => None,
    }
}
