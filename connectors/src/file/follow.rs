//! `tail -F`: reads a plain file as it grows, through rotation and truncation.
//!
//! Each new file under the path is a new generation; its number is in the upper bits of the offsets, so they go on
//! increasing. A rotation while the engine was down is noticed only if the new file is shorter than what was read.

use super::document::{generation_base, split_position};
use super::input::{Item, next_item, read_error};
use super::lines::{LineReader, Storage};
use super::{BATCH_BYTES, BATCH_RECORDS, FileSpec};
use crate::decode::Decoder;
use crate::pace::Clock;
use groundswell_core::record::{Binding, Envelope};
use groundswell_core::source::{SourceBatch, SourceContext, SourceError, Stopped};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(100);

struct Tail<'c> {
    spec: &'c FileSpec,
    decoder: &'c Decoder,
    context: &'c SourceContext,
    lines: LineReader,
    identity: (u64, u64),
    generation: u64,
    records: Vec<Envelope>,
    bytes: usize,
    next: u64,
    sent: u64,
}

#[derive(PartialEq)]
enum Change {
    None,
    Replaced,
    Truncated,
}

pub(super) fn run(
    spec: &FileSpec,
    decoder: &Decoder,
    context: &SourceContext,
    clock: &impl Clock,
) -> Result<(), SourceError> {
    let resume = context
        .resume
        .iter()
        .find(|b| b.source == context.source && b.partition == 0)
        .map_or(0, |b| b.next);
    let (mut generation, mut offset) = split_position(resume);
    let (file, identity) = open(spec)?;
    let len = file.metadata().map_err(|e| spec.io_error("open it", &e))?.len();
    if len < offset {
        tracing::warn!(source = spec.name, path = %spec.path.display(), len, offset, "the file is shorter than what was read from it before: taken as a new one");
        generation += 1;
        offset = 0;
    }
    let next = generation_base(generation) | offset;
    let lines = reader(spec, file, offset)?;
    let mut tail = Tail {
        spec,
        decoder,
        context,
        lines,
        identity,
        generation,
        records: Vec::new(),
        bytes: 0,
        next,
        sent: resume,
    };
    while !context.stop.is_set() {
        let progressed = match tail.read_available(false) {
            Ok(progressed) => progressed,
            Err(Ended::Stopped) => return Ok(()),
            Err(Ended::Failed(error)) => return Err(error),
        };
        if progressed {
            continue;
        }
        match tail.change() {
            Change::None => clock.sleep(POLL, &context.stop),
            change => match tail.start_over(&change) {
                Ok(()) => {}
                Err(Ended::Stopped) => return Ok(()),
                Err(Ended::Failed(error)) => return Err(error),
            },
        }
    }
    Ok(())
}

enum Ended {
    Stopped,
    Failed(SourceError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Ended::Stopped
    }
}

impl Tail<'_> {
    /// Reads what is there and sends it; says whether there was anything.
    fn read_available(&mut self, take_rest: bool) -> Result<bool, Ended> {
        let at = (self.context.source, self.generation);
        loop {
            let item = next_item(&mut self.lines, take_rest, self.decoder, at, self.context)
                .map_err(|e| Ended::Failed(read_error(self.spec, self.lines.position(), &e)))?;
            let Some(Item { envelope, next, bytes }) = item else {
                return Ok(self.flush()?);
            };
            self.records.push(envelope);
            self.bytes += bytes;
            self.next = next;
            if self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
                return Ok(self.flush()?);
            }
        }
    }

    fn flush(&mut self) -> Result<bool, Stopped> {
        if self.next == self.sent {
            return Ok(false);
        }
        let source = self.context.source;
        let bindings = vec![Binding {
            source,
            partition: 0,
            next: self.next,
        }];
        let records = std::mem::take(&mut self.records);
        self.bytes = 0;
        self.context.send(SourceBatch {
            source,
            records,
            bindings,
            clock: None,
            finished: false,
        })?;
        self.sent = self.next;
        Ok(true)
    }

    fn change(&self) -> Change {
        // Between the two steps of a rotation there is no file: not a change yet.
        let Ok(now) = std::fs::metadata(&self.spec.path) else {
            return Change::None;
        };
        if (now.dev(), now.ino()) != self.identity {
            Change::Replaced
        } else if now.len() < self.lines.position() {
            Change::Truncated
        } else {
            Change::None
        }
    }

    fn start_over(&mut self, change: &Change) -> Result<(), Ended> {
        if *change == Change::Replaced {
            // Lines may have been written to the old file after it was last read, the last one without an end.
            while self.read_available(true)? {}
        }
        let (file, identity) = match open(self.spec) {
            Ok(opened) => opened,
            // Gone again: the next look at it will tell.
            Err(_) if !self.spec.path.exists() => return Ok(()),
            Err(error) => return Err(Ended::Failed(error)),
        };
        let path = self.spec.path.display();
        if *change == Change::Replaced {
            tracing::info!(source = self.spec.name, %path, "the file was rotated: going on with the new one");
        } else {
            tracing::warn!(source = self.spec.name, %path, "the file was truncated: reading it from its beginning");
        }
        self.identity = identity;
        self.generation += 1;
        self.next = generation_base(self.generation);
        self.lines = reader(self.spec, file, 0).map_err(Ended::Failed)?;
        Ok(())
    }
}

fn open(spec: &FileSpec) -> Result<(File, (u64, u64)), SourceError> {
    let opened = || -> io::Result<_> {
        let mut file = File::open(&spec.path)?;
        let metadata = file.metadata()?;
        Ok((Storage::of(&mut file)?, file, (metadata.dev(), metadata.ino())))
    };
    match opened().map_err(|e| spec.io_error("open it", &e))? {
        (Storage::Plain, file, identity) => Ok((file, identity)),
        _ => Err(spec.error(
            "a compressed file cannot be followed",
            Some("use `pace: full`, or follow a plain file"),
        )),
    }
}

fn reader(spec: &FileSpec, file: File, offset: u64) -> Result<LineReader, SourceError> {
    LineReader::plain(file, offset, spec.decoder.max_bytes).map_err(|e| spec.io_error("read it", &e))
}
