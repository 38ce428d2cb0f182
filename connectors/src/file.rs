//! Files as sources: JSON Lines (plain, gzip, zstd) and small YAML or JSON documents.
//!
//! In: a path and how to decode its values. Out: batches of records whose offset is the byte at which their line starts
//! in the decompressed stream, so that a resumed reader yields exactly the records that follow. State: the position.
//! A file is read at full speed, at a multiple of event time, or followed like `tail -F`. Several files can be read as
//! one, merged by event time, each keeping its own source and position.

mod document;
mod follow;
mod input;
mod lines;
mod replay;
#[cfg(test)]
mod tests;

use crate::decode::{Collection, Decoder, DecoderSpec, MapError};
use crate::pace::{Clock, WallClock};
use groundswell_core::record::SourceId;
use groundswell_core::source::{Redecode, Source, SourceContext, SourceError};
use std::path::PathBuf;
use std::sync::Arc;

/// A batch is sent when it holds this many records: few, so that the allocator has the memory of earlier ones at hand…
pub(crate) const BATCH_RECORDS: usize = 512;
/// …or was made from this many bytes.
pub(crate) const BATCH_BYTES: usize = 128 << 10;

/// How fast a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Pace {
    /// As fast as the engine takes it.
    #[default]
    Full,
    /// By event time, this many times faster than it happened.
    Times(f64),
    /// To its end, then waiting for more; survives rotation and truncation. Plain files and documents only.
    Follow,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `.yaml`, `.yml` and `.json` of entities, rules or threads are documents, everything else is lines.
    #[default]
    Auto,
    /// One JSON object per line; gzip and zstd are recognised by their first bytes.
    Lines,
    /// One YAML or JSON document: a list of objects, a map of id to object, or either under the collection's name
    /// (`cast` for entities).
    Document,
}

/// A file as a source.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSpec {
    /// The source's name in the config.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// How its values are read.
    pub decoder: DecoderSpec,
    /// What is in it.
    pub format: Format,
    /// How fast it is read.
    pub pace: Pace,
    /// Event times further ahead of the wall clock than this (ms) move neither the replay's clock nor its pace.
    pub max_future_skew_ms: i64,
}

impl FileSpec {
    /// A file of a collection, read at full speed with the contract's field names.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, into: Collection) -> Self {
        FileSpec {
            name: name.into(),
            path: path.into(),
            decoder: DecoderSpec::new(into),
            format: Format::Auto,
            pace: Pace::Full,
            max_future_skew_ms: groundswell_core::time::DAY,
        }
    }

    fn is_document(&self) -> bool {
        match self.format {
            Format::Document => true,
            Format::Lines => false,
            Format::Auto => {
                let listed = matches!(
                    self.decoder.into,
                    Collection::Entities | Collection::Keywords | Collection::Rules | Collection::Threads
                );
                let extension = self
                    .path
                    .extension()
                    .and_then(|e| e.to_str())
                    .map(str::to_ascii_lowercase);
                listed && matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
            }
        }
    }

    fn error(&self, message: impl std::fmt::Display, hint: Option<&str>) -> SourceError {
        SourceError {
            source_name: self.name.clone(),
            message: format!("file {}: {message}", self.path.display()),
            hint: hint.map(str::to_owned),
        }
    }

    fn io_error(&self, doing: &str, error: &std::io::Error) -> SourceError {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => Some("check `path`; it is relative to the working directory"),
            std::io::ErrorKind::PermissionDenied => Some("the file must be readable for the user the engine runs as"),
            _ => None,
        };
        self.error(format_args!("cannot {doing}: {error}"), hint)
    }
}

/// One file as a source.
#[derive(Debug)]
pub struct FileSource<C: Clock = WallClock> {
    spec: FileSpec,
    decoder: Decoder,
    clock: C,
}

impl FileSource {
    /// A source reading `spec`; the file is opened when it runs.
    ///
    /// # Errors
    /// [`MapError`] with every mistake in the field map.
    pub fn new(spec: FileSpec) -> Result<Self, MapError> {
        FileSource::with_clock(spec, WallClock::default())
    }
}

impl<C: Clock> FileSource<C> {
    /// The same on another clock.
    ///
    /// # Errors
    /// [`MapError`] with every mistake in the field map.
    pub fn with_clock(spec: FileSpec, clock: C) -> Result<Self, MapError> {
        let decoder = Decoder::new(spec.decoder.clone())?;
        Ok(FileSource { spec, decoder, clock })
    }
}

impl<C: Clock> Source for FileSource<C> {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn redecoder(&self) -> Option<Arc<dyn Redecode>> {
        Some(Arc::new(self.decoder.clone()))
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let FileSource { spec, decoder, clock } = *self;
        match spec.pace {
            Pace::Follow if spec.is_document() => document::follow(&spec, &decoder, &context, &clock),
            Pace::Follow => follow::run(&spec, &decoder, &context, &clock),
            pace => {
                let source = context.source;
                let input = input::Input::open(spec, decoder, source, &context.resume)?;
                replay::run(vec![input], pace, &context, &clock)
            }
        }
    }
}

/// Several files read as one, merged by event time: posts and the votes on them as they happened. Each keeps its own
/// source id and position; batches say which source they are of.
#[derive(Debug)]
pub struct MergedFileSource<C: Clock = WallClock> {
    name: String,
    parts: Vec<(SourceId, FileSpec, Decoder)>,
    pace: Pace,
    clock: C,
}

impl MergedFileSource {
    /// Merges files; the `pace` of their own specs is not looked at. [`Pace::Follow`] is refused when it runs.
    ///
    /// # Errors
    /// [`MapError`] of the first file whose field map has mistakes.
    pub fn new(name: impl Into<String>, parts: Vec<(SourceId, FileSpec)>, pace: Pace) -> Result<Self, MapError> {
        MergedFileSource::with_clock(name, parts, pace, WallClock::default())
    }
}

impl<C: Clock> MergedFileSource<C> {
    /// The same on another clock.
    ///
    /// # Errors
    /// [`MapError`] of the first file whose field map has mistakes.
    pub fn with_clock(
        name: impl Into<String>,
        parts: Vec<(SourceId, FileSpec)>,
        pace: Pace,
        clock: C,
    ) -> Result<Self, MapError> {
        let parts = parts
            .into_iter()
            .map(|(source, spec)| Decoder::new(spec.decoder.clone()).map(|decoder| (source, spec, decoder)))
            .collect::<Result<_, _>>()?;
        Ok(MergedFileSource {
            name: name.into(),
            parts,
            pace,
            clock,
        })
    }
}

impl<C: Clock> Source for MergedFileSource<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        if self.pace == Pace::Follow {
            return Err(SourceError {
                source_name: self.name,
                message: "merged files cannot be followed".into(),
                hint: Some("follow each file as a source of its own".into()),
            });
        }
        let inputs = self
            .parts
            .into_iter()
            .map(|(source, spec, decoder)| input::Input::open(spec, decoder, source, &context.resume))
            .collect::<Result<Vec<_>, _>>()?;
        replay::run(inputs, self.pace, &context, &self.clock)
    }
}
