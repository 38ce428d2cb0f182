//! The generator's loop: skip to the position, then send events when they are due.

use super::event::{Event, RawEvent};
use super::stream::Stream;
use super::{Generator, Rate, Start};
use crate::decode::{Collection, Decoder, MapError};
use crate::file::{BATCH_BYTES, BATCH_RECORDS};
use crate::pace::{Clock, GRAIN, Pacer};
use groundswell_core::record::{Binding, Envelope, SourceId};
use groundswell_core::source::{Source, SourceBatch, SourceContext, SourceError, Stopped};
use std::time::Duration;

/// A live stream that is further behind than this goes on from now instead of catching up.
const CATCH_UP_MS: i64 = 30_000;
/// How often a long silent skip looks whether to stop.
const LOOK_UP: u64 = 4_096;

impl<C: Clock> Source for Generator<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let Generator { name, spec, clock } = *self;
        let decoders = Decoders::new().map_err(|e| SourceError {
            source_name: name.clone(),
            message: e.to_string(),
            hint: None,
        })?;
        let source = context.source;
        let bound = |partition| {
            context
                .resume
                .iter()
                .find(|b| b.source == source && b.partition == partition)
        };
        let position = bound(0).map_or(0, |b| b.next);
        let (start, pace, limit) = (spec.start, spec.pace, spec.limit.unwrap_or(u64::MAX));
        let epochs = match start {
            Start::At(ms) => vec![(0, ms)],
            Start::Live => {
                let kept = epochs(|partition| bound(partition).map(|b| b.next));
                if kept.is_empty() {
                    vec![(0, clock.wall_ms())]
                } else {
                    kept
                }
            }
        };
        let mut stream = Stream::new(spec, epochs);
        while stream.position() < position.min(limit) {
            if stream.position().is_multiple_of(LOOK_UP) && context.stop.is_set() {
                return Ok(());
            }
            stream.advance();
        }
        if start == Start::Live && position > 0 {
            let behind = clock.wall_ms() - stream.moment();
            if behind.abs() > CATCH_UP_MS {
                stream.postpone(behind);
            }
        }
        let live = start == Start::Live && pace == Rate::Real;
        let pacer = (pace == Rate::Real && !live).then(|| Pacer::new(1.0));
        let sender = Sender {
            context: &context,
            decoders,
            live,
            start,
            batch: Vec::new(),
            bytes: 0,
            clock: None,
        };
        // Being asked to stop is not an error.
        let _ = sender.run(stream, pacer, limit, &clock);
        Ok(())
    }
}

/// The kept moments of a live stream; see [`Generator`] for how they are bound.
fn epochs(bound: impl Fn(u32) -> Option<u64>) -> Vec<(u64, i64)> {
    let mut epochs = Vec::new();
    for pair in 0.. {
        let (Some(from), Some(zero)) = (bound(1 + 2 * pair), bound(2 + 2 * pair)) else {
            break;
        };
        epochs.push((from, i64::try_from(zero).unwrap_or(i64::MAX)));
    }
    epochs
}

struct Sender<'c> {
    context: &'c SourceContext,
    decoders: Decoders,
    live: bool,
    start: Start,
    batch: Vec<Envelope>,
    bytes: usize,
    clock: Option<i64>,
}

impl Sender<'_> {
    fn run(
        mut self,
        mut stream: Stream,
        mut pacer: Option<Pacer>,
        limit: u64,
        clock: &impl Clock,
    ) -> Result<(), Stopped> {
        let source = self.context.source;
        while stream.position() < limit {
            let event = stream.advance();
            while let Some(wait) = self.wait(&event, &mut pacer, clock) {
                if self.context.stop.is_set() {
                    return Err(Stopped);
                }
                // The event in hand is not in the batch yet: its number is where to continue.
                if !self.batch.is_empty() {
                    self.flush(&stream, event.index, false)?;
                }
                clock.sleep(wait, &self.context.stop);
            }
            let raw = stream.write(&event);
            self.bytes += raw.payload.len();
            self.batch.push(self.decoders.envelope(source, &raw, self.context));
            if !self.live {
                self.clock = Some(event.at);
            }
            if self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
                self.flush(&stream, stream.position(), false)?;
            }
        }
        self.flush(&stream, stream.position(), true)
    }

    fn wait(&self, event: &Event, pacer: &mut Option<Pacer>, clock: &impl Clock) -> Option<Duration> {
        if self.live {
            let wait = event.at - clock.wall_ms();
            return (wait > 0).then(|| Duration::from_millis(wait.unsigned_abs()).max(GRAIN));
        }
        pacer.as_mut()?.wait(clock, event.at)
    }

    fn flush(&mut self, stream: &Stream, next: u64, finished: bool) -> Result<(), Stopped> {
        let source = self.context.source;
        let mut bindings = vec![Binding {
            source,
            partition: 0,
            next,
        }];
        if self.start == Start::Live {
            for (pair, (from, zero)) in (0u32..).zip(stream.epochs()) {
                bindings.push(Binding {
                    source,
                    partition: 1 + 2 * pair,
                    next: *from,
                });
                bindings.push(Binding {
                    source,
                    partition: 2 + 2 * pair,
                    next: u64::try_from(*zero).unwrap_or(0),
                });
            }
        }
        self.bytes = 0;
        let records = std::mem::take(&mut self.batch);
        self.context.send(SourceBatch {
            source,
            records,
            bindings,
            clock: self.clock,
            finished,
        })
    }
}

struct Decoders(Vec<Decoder>);

impl Decoders {
    fn new() -> Result<Self, MapError> {
        let all = Collection::ALL
            .into_iter()
            .map(|c| Decoder::new(Generator::decoder_spec(c)));
        all.collect::<Result<_, _>>().map(Decoders)
    }

    fn envelope(&self, source: SourceId, raw: &RawEvent, context: &SourceContext) -> Envelope {
        let decoder = &self.0[raw.collection as usize];
        decoder.envelope(
            (source, 0, raw.index),
            Some(raw.key.as_bytes()),
            Some(&raw.payload),
            context,
        )
    }
}
