//! Replay: dead letters given to the engine again.
//!
//! ```text
//! letters ─▶ decoders of their sources, as configured now ─▶ good or dead ─▶ recorder: one tick of their own ─▶ graph
//!    ▲                                                                            │                             │
//!    └────────────── a verdict each ◀── which were repeats ◀── complete ◀─────────┴─────────────────────────────┘
//! ```
//! A good record is recorded at the position it had, so it competes there as it would have then: one that is older than
//! what stands changes nothing, and neither does a second replay. One that is still bad is a dead letter again, counted one
//! attempt further, and after [`ATTEMPTS`] it is not recorded any more; the [`Ledger`] keeps an older copy of a letter from
//! beginning the count anew.
//!
//! State: the ledger, rebuilt from the log when the engine starts; a fold forgets it, and the letters in the sink, which say
//! how often they were tried, go on from there. One request is worked on at a time.

use super::status::Status;
use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_connectors::dlq::{ATTEMPTS, Answer, LETTERS, Letter, Refusal, Replayed, Replays, Verdict};
use groundswell_connectors::http::nearest;
use groundswell_core::id::Names;
use groundswell_core::record::{Envelope, Identity, Record, SourceId};
use groundswell_core::source::{Durable, Redecode, Source};
use groundswell_core::time::Tick;
use groundswell_operators::dedupe::{Duplicates, Stale};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long the graph may take for the tick of a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a record stands.
pub(crate) type At = (SourceId, u32, u64);

/// How often records were replayed and are dead letters all the same.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<At, u32>>>);

impl Ledger {
    /// Remembers a recorded dead letter that had been replayed.
    pub(crate) fn note(&self, envelope: &Envelope) {
        if let Record::Dead(letter) = &envelope.record
            && letter.replays > 0
        {
            let mut known = self.0.lock();
            let replays = known.entry(position(envelope)).or_default();
            *replays = letter.replays.max(*replays);
        }
    }

    fn replays(&self, at: At) -> u32 {
        self.0.lock().get(&at).copied().unwrap_or(0)
    }
}

fn position(envelope: &Envelope) -> At {
    (envelope.source, envelope.partition, envelope.offset)
}

/// Records that are to have a tick of their own, and who waits for it.
pub(crate) struct Again {
    pub(crate) records: Vec<Envelope>,
    pub(crate) done: Sender<Recorded>,
}

/// The tick they were recorded at.
pub(crate) struct Recorded {
    pub(crate) tick: Tick,
    /// Which of them, by place, repeat what is known; posts and votes are told apart by the graph.
    pub(crate) repeated: Vec<usize>,
}

struct Known {
    name: String,
    decoder: Option<Arc<dyn Redecode>>,
    durable: Durable,
}

/// See the module documentation.
pub struct Replayer {
    sources: Vec<Known>,
    names: Arc<Names>,
    horizon: Arc<AtomicI64>,
    status: Arc<Status>,
    duplicates: Duplicates,
    ledger: Ledger,
    recorder: Sender<Again>,
    one: Mutex<()>,
}

/// What a replayer shares with the rest of the engine.
pub(crate) struct Parts {
    pub(crate) names: Arc<Names>,
    pub(crate) horizon: Arc<AtomicI64>,
    pub(crate) status: Arc<Status>,
    pub(crate) duplicates: Duplicates,
    pub(crate) ledger: Ledger,
}

/// What becomes of a letter before anything is recorded.
enum Decided {
    /// To be recorded as a record, or only to be called good.
    Good(Envelope),
    /// To be recorded as a dead letter of the next attempt.
    Dead(Envelope),
    /// Answered already.
    Answered(Answer),
}

impl Replayer {
    /// A replayer for these sources, and what the recorder has to look at.
    pub(crate) fn new(sources: &[Box<dyn Source>], durable: &[Durable], parts: Parts) -> (Arc<Self>, Receiver<Again>) {
        // One request at a time.
        let (recorder, again) = bounded(1);
        let known = |source: &dyn Source, durable: &Durable| Known {
            name: source.name().to_owned(),
            decoder: source.redecoder(),
            durable: durable.clone(),
        };
        let known = sources
            .iter()
            .zip(durable)
            .map(|(source, durable)| known(&**source, durable));
        let replayer = Replayer {
            sources: known.collect(),
            names: parts.names,
            horizon: parts.horizon,
            status: parts.status,
            duplicates: parts.duplicates,
            ledger: parts.ledger,
            recorder,
            one: Mutex::default(),
        };
        (Arc::new(replayer), again)
    }

    /// Fetches what decoding a letter needs. A letter of a source that is not there is told so by [`Self::decide`].
    fn prepare(&self, letter: &Letter) -> Result<(), Refusal> {
        let source = self.sources.iter().find(|source| source.name == letter.source);
        match source.and_then(|source| source.decoder.as_ref()) {
            None => Ok(()),
            Some(decoder) => decoder.prepare(letter.key(), letter.value()).map_err(Refusal::NotNow),
        }
    }

    /// What becomes of a letter. `seen` holds the positions of those before it.
    fn decide(&self, letter: &Letter, dry_run: bool, seen: &mut HashSet<At>) -> Decided {
        let refuse = |why: String| Decided::Answered(Answer::new(letter.position(), Verdict::Refused).because(why));
        if let Some(why) = letter.hopeless() {
            return refuse(why);
        }
        let found = (0..)
            .zip(&self.sources)
            .find(|(_, source)| source.name == letter.source);
        let Some((id, source)) = found else {
            return refuse(self.unknown(&letter.source));
        };
        let name = &source.name;
        let Some(decoder) = &source.decoder else {
            return refuse(format!(
                "the source \"{name}\" makes its records itself: they would be the same again"
            ));
        };
        let read = source.durable.positions().get(&letter.partition).copied().unwrap_or(0);
        if letter.offset >= read {
            return refuse(format!(
                "the source \"{name}\" has not read offset {} of partition {} yet: the letter is of another state",
                letter.offset, letter.partition
            ));
        }
        let at = (id, letter.partition, letter.offset);
        if !seen.insert(at) {
            return refuse("another letter of the same position stands before it in this request".to_owned());
        }
        let horizon = self.horizon.load(Ordering::Acquire);
        let mut envelope = decoder.redecode(at, letter.key(), letter.value(), &self.names, horizon);
        let Record::Dead(dead) = &mut envelope.record else {
            return Decided::Good(envelope);
        };
        let mut answer = Answer::new(letter.position(), Verdict::StillBad).because(dead.message.clone());
        answer.code = Some(dead.code.clone());
        let replays = letter.attempt.saturating_sub(1);
        let known = self.ledger.replays(at);
        if letter.attempt.max(known.saturating_add(1)) >= ATTEMPTS {
            answer.verdict = Verdict::Refused;
            let message = format!(
                "still bad after {ATTEMPTS} attempts, and not recorded again: {} (correct it at its source, or the source's \
                 `map`, which is tried however often a record failed)",
                dead.message
            );
            return Decided::Answered(answer.because(message));
        }
        if dry_run || replays < known {
            // A later attempt is on record: this letter is an older copy.
            return Decided::Answered(answer);
        }
        dead.replays = replays + 1;
        dead.written_at = letter.written_at;
        dead.headers.clone_from(&letter.headers);
        Decided::Dead(envelope)
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.sources.iter().map(|source| &*source.name).collect();
        let short: String = name.chars().take(120).collect();
        let hint = nearest(name, &names)
            .map(|g| format!("; did you mean \"{g}\"?"))
            .unwrap_or_default();
        format!("there is no source \"{short}\" in the pipeline{hint}")
    }

    /// Records them and waits until the graph has seen their tick.
    fn record(&self, records: Vec<Envelope>) -> Result<(Recorded, Vec<Stale>), Refusal> {
        let stopping = || Refusal::NotNow("the engine is stopping; replay again when it runs".to_owned());
        let (done, recorded) = bounded(1);
        self.recorder.send(Again { records, done }).map_err(|_| stopping())?;
        let recorded = recorded.recv().map_err(|_| stopping())?;
        let complete = self.status.wait(PATIENCE, |status| status.complete() >= recorded.tick);
        let stale = self.duplicates.unwatch(recorded.tick);
        if let Some(why) = self.status.fatal() {
            return Err(Refusal::NotNow(format!("the engine stopped: {why}")));
        }
        if !complete {
            return Err(Refusal::NotNow(format!(
                "the letters are recorded at tick {}, but the graph has not come to it in {} s; replaying them again changes \
                 nothing and tells what became of them",
                recorded.tick,
                PATIENCE.as_secs()
            )));
        }
        Ok((recorded, stale))
    }
}

impl Replays for Replayer {
    fn replay(&self, letters: &[Letter], dry_run: bool) -> Result<Replayed, Refusal> {
        if letters.len() > LETTERS {
            let letters = letters.len();
            return Err(Refusal::TooMany { letters, most: LETTERS });
        }
        if !self.status.is_replayed() {
            return Err(Refusal::NotNow(
                "the recorded past is still being restored; replay again in a while".to_owned(),
            ));
        }
        let _one = self.one.try_lock().ok_or(Refusal::Busy)?;
        let mut seen = HashSet::new();
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(letters.len());
        // Places of those that are recorded, by place in the answers.
        let mut good = Vec::new();
        for letter in letters {
            self.prepare(letter)?;
            match self.decide(letter, dry_run, &mut seen) {
                Decided::Answered(answer) => answers.push(answer),
                Decided::Good(_) if dry_run => answers.push(Answer::new(letter.position(), Verdict::Good)),
                Decided::Good(envelope) => {
                    good.push((answers.len(), records.len()));
                    answers.push(Answer::new(letter.position(), Verdict::Accepted));
                    records.push(envelope);
                }
                Decided::Dead(envelope) => {
                    let mut answer = Answer::new(letter.position(), Verdict::StillBad);
                    if let Record::Dead(dead) = &envelope.record {
                        answer.code = Some(dead.code.clone());
                        answer.message = Some(dead.message.clone());
                    }
                    answers.push(answer);
                    records.push(envelope);
                }
            }
        }
        let mut tick = None;
        if !records.is_empty() {
            let identities: Vec<_> = records
                .iter()
                .map(|e| (e.record.identity(), e.rank(), is_votes(e)))
                .collect();
            let (recorded, stale) = self.record(records)?;
            tick = Some(recorded.tick);
            let mut stale = Repeats::new(stale);
            // Of several with the same rank the first may be the one that stands.
            for (answer, record) in good.into_iter().rev() {
                let (identity, rank, votes) = identities[record];
                let repeats = match identity {
                    Identity::Post(post) | Identity::Votes(post) => stale.take(Stale { post, rank, votes }),
                    _ => recorded.repeated.contains(&record),
                };
                if repeats {
                    answers[answer].verdict = Verdict::Duplicate;
                }
            }
        }
        Ok(Replayed { tick, letters: answers })
    }
}

fn is_votes(envelope: &Envelope) -> bool {
    matches!(envelope.record, Record::Votes(_))
}

/// Records that changed nothing, how many of each.
struct Repeats(BTreeMap<Stale, usize>);

impl Repeats {
    fn new(stale: Vec<Stale>) -> Self {
        let mut counts = BTreeMap::new();
        for one in stale {
            *counts.entry(one).or_default() += 1;
        }
        Repeats(counts)
    }

    fn take(&mut self, one: Stale) -> bool {
        match self.0.get_mut(&one) {
            Some(n) if *n > 0 => {
                *n -= 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
