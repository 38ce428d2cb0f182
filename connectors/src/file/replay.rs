//! Reads files to their end: merged by event time, at full speed or paced.

use super::input::{Input, Item, event_time};
use super::{BATCH_BYTES, BATCH_RECORDS, Pace};
use crate::pace::{Clock, Pacer};
use groundswell_core::record::{Binding, Envelope};
use groundswell_core::source::{SourceBatch, SourceContext, SourceError, Stopped};
use groundswell_core::time::EventTime;

struct Part {
    input: Input,
    ahead: Option<Item>,
    ended: bool,
    /// The batch that says so was sent.
    finished: bool,
    records: Vec<Envelope>,
    moved: bool,
}

struct Replay<'c> {
    parts: Vec<Part>,
    context: &'c SourceContext,
    records: usize,
    bytes: usize,
    /// The greatest event time released.
    clock: Option<EventTime>,
}

/// Reads all inputs to their ends; returns early, without error, when asked to stop.
pub(super) fn run(
    inputs: Vec<Input>,
    pace: Pace,
    context: &SourceContext,
    clock: &impl Clock,
) -> Result<(), SourceError> {
    if let (Pace::Times(speed), Some(input)) = (pace, inputs.first())
        && !(speed.is_finite() && speed > 0.0)
    {
        let hint = Some("give a number above 0, like 60 for an hour in a minute");
        return Err(input
            .spec
            .error(format_args!("cannot be read {speed} times as fast"), hint));
    }
    let parts = inputs
        .into_iter()
        .map(|input| Part {
            input,
            ahead: None,
            ended: false,
            finished: false,
            records: Vec::new(),
            moved: false,
        })
        .collect();
    let mut replay = Replay {
        parts,
        context,
        records: 0,
        bytes: 0,
        clock: None,
    };
    let mut pacer = match pace {
        Pace::Times(speed) => Some(Pacer::new(speed)),
        _ => None,
    };
    // Whatever ended the reading, what was read before it goes out.
    let read = replay.read_all(&mut pacer, clock);
    match (replay.flush(), read) {
        (Err(Stopped), _) => Ok(()),
        (Ok(()), read) => read,
    }
}

impl Replay<'_> {
    fn read_all(&mut self, pacer: &mut Option<Pacer>, clock: &impl Clock) -> Result<(), SourceError> {
        // Read once per call, not per record: a skewed post is off by hours, not by the length of a replay.
        let wall = clock.wall_ms();
        loop {
            if self.context.stop.is_set() {
                return Ok(());
            }
            let Some(index) = self.next_part()? else { return Ok(()) };
            let part = &mut self.parts[index];
            let Some(item) = &part.ahead else { continue };
            let time = event_time(&item.envelope.record)
                .filter(|t| *t <= wall.saturating_add(part.input.spec.max_future_skew_ms));
            if let (Some(pacer), Some(time)) = (pacer.as_mut(), time)
                && let Some(wait) = pacer.wait(clock, time)
            {
                if self.flush().is_err() {
                    return Ok(());
                }
                clock.sleep(wait, &self.context.stop);
                continue;
            }
            self.clock = self.clock.max(time);
            self.release(index);
            if (self.records >= BATCH_RECORDS || self.bytes >= BATCH_BYTES) && self.flush().is_err() {
                return Ok(());
            }
        }
    }

    /// The part whose next record is the oldest; `None` when all have ended. Records without a time go first.
    fn next_part(&mut self) -> Result<Option<usize>, SourceError> {
        let mut oldest: Option<(Option<EventTime>, usize)> = None;
        for (index, part) in self.parts.iter_mut().enumerate() {
            if part.ahead.is_none() && !part.ended {
                part.ahead = part.input.read(self.context)?;
                part.ended = part.ahead.is_none();
                part.moved |= part.ended;
            }
            if let Some(item) = &part.ahead {
                let candidate = (event_time(&item.envelope.record), index);
                oldest = Some(oldest.map_or(candidate, |o| o.min(candidate)));
            }
        }
        Ok(oldest.map(|(_, index)| index))
    }

    fn release(&mut self, index: usize) {
        let part = &mut self.parts[index];
        let Some(item) = part.ahead.take() else { return };
        part.input.next = item.next;
        part.moved = true;
        part.records.push(item.envelope);
        self.records += 1;
        self.bytes += item.bytes;
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        self.records = 0;
        self.bytes = 0;
        for part in &mut self.parts {
            let finished = part.ended && !part.finished;
            if !part.moved && !finished {
                continue;
            }
            let source = part.input.source;
            // The next batch will be about as large.
            let room = Vec::with_capacity(if finished { 0 } else { part.records.len() });
            let batch = SourceBatch {
                source,
                records: std::mem::replace(&mut part.records, room),
                bindings: vec![Binding {
                    source,
                    partition: 0,
                    next: part.input.next,
                }],
                clock: self.clock,
                finished,
            };
            self.context.send(batch)?;
            part.moved = false;
            part.finished |= finished;
        }
        Ok(())
    }
}
