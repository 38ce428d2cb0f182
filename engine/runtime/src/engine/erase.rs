//! Erasures that somebody asks for while the engine runs: recorded in a tick of their own, like those of sources.
//!
//! What is asked for stands above all that is known about the same at that moment, and what the same source says of it later
//! stands above that. Ranks of sources say nothing about wall clocks, so it takes the highest known one as the engine's own.
//!
//! Before a fold, the recorder purges all that is erased ([`Record::Purged`]), so that the fold can leave it out: what a
//! process remembers and what it would restore are the same at any moment. A fold waits for that tick to be everywhere. An
//! erasure that no fold has carried out makes one due after [`WITHIN`], however little there is to fold.

use super::status::Status;
use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_core::erasure::{Erasure, Subject};
use groundswell_core::record::{CONTROL, Envelope, Rank, Record};
use groundswell_core::time::Tick;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after an erasure its content is on disk at most, while ticks come: the undo of a mistake has so much time (ms).
const WITHIN: u64 = 24 * 3_600_000;

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
        let erasures = Erasures {
            asked,
            said,
            since: None,
            purged: None,
        };
        (Arc::new(Eraser { recorder, status }), erasures)
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
    /// The highest rank of what was said about each thing, and whether it is erased.
    said: HashMap<Subject, (Rank, bool)>,
    /// The oldest tick with an erasure that no fold has carried out.
    since: Option<Tick>,
    /// The tick with purges that no fold has carried out.
    purged: Option<Tick>,
}

impl Erasures {
    /// What is asked for, if anything is.
    pub(crate) fn next(&self) -> Option<Erase> {
        self.asked.try_recv().ok()
    }

    /// Learns what is recorded at a tick.
    pub(crate) fn remember(&mut self, envelope: &Envelope, tick: Tick) {
        match &envelope.record {
            Record::Erasure(erasure) => {
                let new = (envelope.rank(), !erasure.undo);
                let slot = self.said.entry(erasure.of).or_insert(new);
                *slot = new.max(*slot);
                if !erasure.undo {
                    self.since.get_or_insert(tick);
                }
            }
            Record::Purged(_) => self.purge_at(tick),
            _ => {}
        }
    }

    fn purge_at(&mut self, tick: Tick) {
        (self.purged, self.since) = (Some(tick), None);
    }

    /// Whether an erasure has waited long enough for a fold.
    pub(crate) fn is_overdue(&self, tick: Tick) -> bool {
        self.since.is_some_and(|since| tick.saturating_sub(since) >= WITHIN)
    }

    /// Whether a fold of the ticks up to `last` leaves out what is erased.
    pub(crate) fn lets_fold(&self, last: Tick) -> bool {
        match self.purged {
            Some(at) => at <= last,
            None => self.standing().next().is_none(),
        }
    }

    /// The purges that a fold waits for; none if they are recorded already.
    pub(crate) fn purges(&self) -> Vec<Record> {
        match self.purged {
            Some(_) => Vec::new(),
            None => self.standing().map(Record::Purged).collect(),
        }
    }

    /// A fold up to this tick is done.
    pub(crate) fn folded(&mut self, tick: Tick) {
        self.purged = self.purged.filter(|at| *at > tick);
    }

    fn standing(&self) -> impl Iterator<Item = Subject> {
        let erased = self.said.iter().filter(|(_, (_, erased))| *erased);
        erased.map(|(of, _)| *of)
    }

    /// The record of an erasure that stands above all that was said.
    pub(crate) fn above(&self, erasure: Erasure) -> Envelope {
        let (order, offset) = match self.said.get(&erasure.of) {
            None => (0, 0),
            Some(((_, order, CONTROL, offset), _)) => (*order, offset + 1),
            Some(((_, order, ..), _)) => (*order, 0),
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
        said.remember(&last, 1);
        for next in [8, 3] {
            said.remember(&from_source(next), 2);
            for undo in [true, false, true] {
                let asked = said.above(Erasure { of, undo });
                assert!(asked.supersedes(&last) && asked.supersedes(&from_source(8)));
                said.remember(&asked, 3);
                last = asked;
            }
            assert!(from_source(9).supersedes(&last));
        }
        let fresh = Eraser::new(Arc::default()).1.above(Erasure { of, undo: true });
        assert!(from_source(0).supersedes(&fresh));
        let other = Erasure {
            of: Subject::post("ann"),
            undo: false,
        };
        assert_eq!(said.above(other).rank(), (0, 0, CONTROL, 0));
    }

    #[test]
    fn a_fold_waits_for_the_purge_of_what_is_erased() {
        let (_, mut erasures) = Eraser::new(Arc::default());
        assert!(erasures.lets_fold(5) && erasures.purges().is_empty());
        let of = Subject::author("ann");
        let asked = erasures.above(Erasure { of, undo: false });
        erasures.remember(&asked, 7);
        assert!(!erasures.is_overdue(7 + WITHIN - 1) && erasures.is_overdue(7 + WITHIN));
        assert!(!erasures.lets_fold(u64::MAX));
        let purges = erasures.purges();
        assert_eq!(purges, [Record::Purged(of)]);
        let purge = Envelope {
            record: Record::Purged(of),
            ..asked
        };
        erasures.remember(&purge, 9);
        assert!(erasures.purges().is_empty() && !erasures.is_overdue(u64::MAX));
        assert!(!erasures.lets_fold(8) && erasures.lets_fold(9));
        erasures.folded(9);
        // Late records are purged with the next fold.
        assert!(!erasures.lets_fold(u64::MAX) && erasures.purges().len() == 1);
        let undone = erasures.above(Erasure { of, undo: true });
        erasures.remember(&undone, 11);
        assert!(erasures.lets_fold(11) && erasures.purges().is_empty());
    }
}
