//! Erasures that somebody asks for while the engine runs: recorded in a tick of their own, like those of sources.
//!
//! What is asked for stands above all that is known about the same at that moment, and whatever a source says of it later
//! stands above that. Ranks of sources say nothing about wall clocks, so it takes the highest known one as the engine's own.

use super::status::Status;
use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_core::erasure::{Erasure, Subject};
use groundswell_core::record::{CONTROL, Envelope, Rank, Record};
use groundswell_core::time::Tick;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the graph may take for the tick of an erasure.
const PATIENCE: Duration = Duration::from_secs(60);

/// An erasure that is to have a tick of its own, and who waits for it.
pub(crate) struct Erase {
    pub(crate) erasure: Erasure,
    pub(crate) done: Sender<Tick>,
}

/// The engine cannot take an erasure now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotErased(String);

/// See the module documentation.
pub struct Eraser {
    recorder: Sender<Erase>,
    status: Arc<Status>,
}

impl Eraser {
    /// An eraser, and what the recorder has to look at.
    pub(crate) fn new(status: Arc<Status>) -> (Arc<Self>, Erasures) {
        let (recorder, asked) = bounded(1);
        let said = HashMap::new();
        (Arc::new(Eraser { recorder, status }), Erasures { asked, said })
    }

    /// Records an erasure; returns the tick from which it holds, when the views have come to it.
    ///
    /// # Errors
    /// If the engine is starting or stopping, or takes too long.
    pub fn erase(&self, erasure: Erasure) -> Result<Tick, NotErased> {
        let stopping = || NotErased("the engine is stopping; ask again when it runs".to_owned());
        if !self.status.is_replayed() {
            let why = "the recorded past is still being restored; ask again in a while";
            return Err(NotErased(why.to_owned()));
        }
        let (done, recorded) = bounded(1);
        self.recorder.send(Erase { erasure, done }).map_err(|_| stopping())?;
        let tick = recorded.recv().map_err(|_| stopping())?;
        let complete = self.status.wait(PATIENCE, |status| status.complete() >= tick);
        if let Some(why) = self.status.fatal() {
            return Err(NotErased(format!("the engine stopped: {why}")));
        }
        if !complete {
            return Err(NotErased(format!(
                "the erasure is recorded at tick {tick}, but the graph has not come to it in {} s; it will",
                PATIENCE.as_secs()
            )));
        }
        Ok(tick)
    }
}

/// What the recorder knows of erasures.
pub(crate) struct Erasures {
    asked: Receiver<Erase>,
    /// The highest rank of what was said about each thing.
    said: HashMap<Subject, Rank>,
}

impl Erasures {
    /// What is asked for, if anything is.
    pub(crate) fn next(&self) -> Option<Erase> {
        self.asked.try_recv().ok()
    }

    /// Learns what is recorded.
    pub(crate) fn remember(&mut self, envelope: &Envelope) {
        if let Record::Erasure(erasure) = &envelope.record {
            let slot = self.said.entry(erasure.of).or_insert(envelope.rank());
            *slot = envelope.rank().max(*slot);
        }
    }

    /// The record of an erasure that stands above all that was said.
    pub(crate) fn above(&self, erasure: Erasure) -> Envelope {
        let (order, offset) = match self.said.get(&erasure.of) {
            None => (0, 0),
            Some((_, order, CONTROL, offset)) => (*order, offset + 1),
            Some((_, order, ..)) => (*order, 0),
        };
        Envelope {
            source: CONTROL,
            partition: 0,
            offset,
            order: u64::try_from(order).unwrap_or(0),
            record: Record::Erasure(erasure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stands_above_what_was_said_and_below_what_comes() {
        let of = Subject::author("ann");
        let from_source = |offset| Envelope {
            source: 2,
            partition: 1,
            offset,
            order: offset,
            record: Record::Erasure(Erasure { of, undo: false }),
        };
        let (_, mut said) = Eraser::new(Arc::default());
        let mut last = said.above(Erasure { of, undo: false });
        said.remember(&last);
        for next in [8, 3] {
            said.remember(&from_source(next));
            for undo in [true, false, true] {
                let asked = said.above(Erasure { of, undo });
                assert!(asked.supersedes(&last) && asked.supersedes(&from_source(8)));
                said.remember(&asked);
                last = asked;
            }
            assert!(from_source(9).supersedes(&last));
        }
        let other = Erasure {
            of: Subject::post("ann"),
            undo: false,
        };
        assert_eq!(said.above(other).rank(), (0, 0, CONTROL, 0));
    }
}
