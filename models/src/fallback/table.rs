//! Which texts are wanted from whom, and when. Pure; the caller brings the clock and the dice.

use super::budget::pause;
use crate::scorer::ScoreFailure;
use groundswell_core::id::TextKey;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// When texts are asked for again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// Attempts after the first one, in a row.
    pub retries: u32,
    /// First pause between them.
    pub first: Duration,
    /// First pause after all of them failed.
    pub round: Duration,
    /// Longest pause of that kind.
    pub longest: Duration,
    /// Whether a text that has waited for the model so long is asked for too.
    pub overdue: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The model is asked, since then.
    Local(Instant),
    /// To be asked for.
    Ready,
    /// To be asked for from then on.
    Later(Instant),
    /// Asked for.
    Asking,
    /// Answered; the graph will say so.
    Answered,
}

struct Entry {
    recency: i64,
    state: State,
    /// Something is recorded that stands for an answer.
    stopgap: bool,
    /// What the model said.
    failure: Option<ScoreFailure>,
    tries: u32,
    rounds: u32,
}

impl Entry {
    /// Nothing stands for an answer, and the model has none.
    fn is_bare(&self) -> bool {
        !self.stopgap && self.failure.is_some()
    }
}

/// See the module documentation.
pub(super) struct Table {
    pauses: Pauses,
    entries: HashMap<TextKey, Entry>,
    /// Bare ones last, then the newest.
    ready: BTreeSet<(bool, i64, TextKey)>,
    later: BTreeSet<(Instant, TextKey)>,
    local: BTreeSet<(Instant, TextKey)>,
}

impl Table {
    pub(super) fn new(pauses: Pauses) -> Self {
        Table {
            pauses,
            entries: HashMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            local: BTreeSet::new(),
        }
    }

    fn enter(&mut self, text: TextKey, state: State) {
        let Some(entry) = self.entries.get_mut(&text) else {
            return;
        };
        let ready = (entry.is_bare(), entry.recency, text);
        match entry.state {
            State::Ready => drop(self.ready.remove(&ready)),
            State::Later(at) => drop(self.later.remove(&(at, text))),
            State::Local(since) => drop(self.local.remove(&(since, text))),
            State::Asking | State::Answered => {}
        }
        entry.state = state;
        match state {
            State::Ready => drop(self.ready.insert(ready)),
            State::Later(at) => drop(self.later.insert((at, text))),
            State::Local(since) if self.pauses.overdue.is_some() => drop(self.local.insert((since, text))),
            State::Local(_) | State::Asking | State::Answered => {}
        }
    }

    /// The graph wants a text, or wants it for another post. The model is asked first.
    pub(super) fn want(&mut self, text: TextKey, recency: i64, stopgap: bool, now: Instant) {
        match self.entries.get(&text).map(|entry| entry.state) {
            None => {
                let entry = Entry {
                    recency,
                    state: State::Answered,
                    stopgap,
                    failure: None,
                    tries: 0,
                    rounds: 0,
                };
                self.entries.insert(text, entry);
                self.enter(text, State::Local(now));
            }
            Some(state) => {
                // Out of its place first: the place depends on what changes.
                self.enter(text, State::Asking);
                if let Some(entry) = self.entries.get_mut(&text) {
                    entry.recency = recency;
                    entry.stopgap |= stopgap;
                }
                self.enter(text, state);
            }
        }
    }

    /// The graph wants it no more.
    pub(super) fn unwant(&mut self, text: TextKey) {
        self.enter(text, State::Answered);
        self.entries.remove(&text);
    }

    /// The model has no answer.
    pub(super) fn local_failed(&mut self, text: TextKey, failure: ScoreFailure) {
        let Some(entry) = self.entries.get(&text) else { return };
        let was = entry.state;
        if entry.failure.is_some() || was == State::Answered {
            return;
        }
        self.enter(text, State::Asking);
        if let Some(entry) = self.entries.get_mut(&text) {
            entry.failure = Some(failure);
        }
        // One that was overdue may be asked for already.
        self.enter(
            text,
            if matches!(was, State::Local(_)) {
                State::Ready
            } else {
                was
            },
        );
    }

    /// What has become due is ready.
    pub(super) fn turn(&mut self, now: Instant) {
        while let Some((at, text)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, text));
            self.enter(text, State::Ready);
        }
        let Some(overdue) = self.pauses.overdue else { return };
        while let Some((since, text)) = self.local.first().copied().filter(|(at, _)| *at + overdue <= now) {
            self.local.remove(&(since, text));
            self.enter(text, State::Ready);
        }
    }

    /// When something becomes due next.
    pub(super) fn next(&self) -> Option<Instant> {
        let overdue = self
            .pauses
            .overdue
            .and_then(|after| Some(self.local.first()?.0 + after));
        let later = self.later.first().map(|(at, _)| *at);
        [overdue, later].into_iter().flatten().min()
    }

    /// The text to ask for: one for which nothing stands yet, else the newest.
    pub(super) fn peek(&self) -> Option<TextKey> {
        self.ready.last().map(|(.., text)| *text)
    }

    /// It is asked for.
    pub(super) fn asked(&mut self, text: TextKey) {
        self.enter(text, State::Asking);
    }

    /// It was answered.
    pub(super) fn answered(&mut self, text: TextKey) {
        self.enter(text, State::Answered);
    }

    /// It was not: asked for again soon (`again`), or after a longer pause; then something has to stand for an answer, if the
    /// model has none and nothing does.
    pub(super) fn failed(&mut self, text: TextKey, again: bool, now: Instant, roll: f64) -> Option<ScoreFailure> {
        let pauses = self.pauses;
        let entry = self.entries.get_mut(&text)?;
        if entry.state != State::Asking {
            return None;
        }
        if again && entry.tries < pauses.retries {
            let wait = pause(pauses.first, pauses.longest, entry.tries, roll);
            entry.tries += 1;
            self.enter(text, State::Later(now + wait));
            return None;
        }
        let wait = pause(pauses.round, pauses.longest, entry.rounds, roll);
        (entry.tries, entry.rounds) = (0, entry.rounds + 1);
        let bare = entry.is_bare();
        entry.stopgap |= bare;
        let failure = entry.failure.clone().filter(|_| bare);
        self.enter(text, State::Later(now + wait));
        failure
    }

    /// Nobody can be asked now: texts for which something has to stand until then.
    pub(super) fn stranded(&mut self) -> Vec<(TextKey, ScoreFailure)> {
        let bare = self.ready.split_off(&(true, i64::MIN, TextKey(0)));
        let mut out = Vec::with_capacity(bare.len());
        for (_, recency, text) in bare {
            if let Some(entry) = self.entries.get_mut(&text) {
                entry.stopgap = true;
                out.extend(entry.failure.clone().map(|failure| (text, failure)));
            }
            self.ready.insert((false, recency, text));
        }
        out
    }

    /// Texts that wait for a rung below the model.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        retries: 1,
        first: Duration::from_secs(1),
        round: Duration::from_secs(60),
        longest: Duration::from_secs(3_600),
        overdue: None,
    };

    fn key(n: u8) -> TextKey {
        TextKey::of(&[n])
    }

    impl Table {
        fn take(&mut self) -> Option<TextKey> {
            let text = self.peek()?;
            self.asked(text);
            Some(text)
        }
    }

    fn failure() -> ScoreFailure {
        ScoreFailure::Tokens("none".into())
    }

    #[test]
    fn what_the_model_cannot_answer_is_asked_for_newest_first() {
        let now = Instant::now();
        let mut table = Table::new(PAUSES);
        for n in 0..4 {
            table.want(key(n), i64::from(n), n == 3, now);
        }
        assert_eq!(table.take(), None, "the model is asked first");
        for n in [1, 0, 3, 2] {
            table.local_failed(key(n), failure());
        }
        table.unwant(key(1));
        table.local_failed(key(9), failure());
        let order: Vec<_> = std::iter::from_fn(|| table.take()).collect();
        assert_eq!(order, [key(2), key(0), key(3)], "what has a stopgap comes last");
    }

    #[test]
    fn a_failure_is_tried_again_and_then_something_stands_for_it_once() {
        let now = Instant::now();
        let mut table = Table::new(PAUSES);
        table.want(key(1), 0, false, now);
        table.local_failed(key(1), failure());
        table.take();
        assert_eq!(table.failed(key(1), true, now, 1.0), None);
        assert_eq!(table.next(), Some(now + PAUSES.first));
        let now = now + PAUSES.first;
        table.turn(now);
        assert_eq!(table.take(), Some(key(1)));
        assert_eq!(table.failed(key(1), true, now, 1.0), Some(failure()));
        assert_eq!(table.next(), Some(now + PAUSES.round));
        // The graph hears of it.
        table.want(key(1), 0, true, now);
        let now = now + PAUSES.round;
        table.turn(now);
        assert_eq!(table.take(), Some(key(1)));
        assert_eq!(table.failed(key(1), false, now, 1.0), None, "once");
        assert_eq!(table.next(), Some(now + PAUSES.round * 2));
        table.turn(now + PAUSES.round * 2);
        assert_eq!(table.take(), Some(key(1)));
        table.answered(key(1));
        table.want(key(1), 5, false, now);
        assert_eq!((table.take(), table.next(), table.len()), (None, None, 0));
    }

    #[test]
    fn while_nobody_can_be_asked_something_stands_for_all() {
        let now = Instant::now();
        let mut table = Table::new(PAUSES);
        for n in 0..3 {
            table.want(key(n), i64::from(n), n == 0, now);
            table.local_failed(key(n), failure());
        }
        let stranded: Vec<_> = table.stranded().into_iter().map(|(text, _)| text).collect();
        assert_eq!(stranded, [key(1), key(2)]);
        assert!(table.stranded().is_empty() && table.peek().is_some());
        table.want(key(1), 1, true, now);
        assert_eq!(table.take(), Some(key(2)));
    }

    #[test]
    fn a_text_that_waits_too_long_is_asked_for_and_nothing_stands_for_it() {
        let now = Instant::now();
        let after = Duration::from_secs(10);
        let mut table = Table::new(Pauses {
            overdue: Some(after),
            ..PAUSES
        });
        table.want(key(1), 0, false, now);
        table.want(key(2), 0, false, now + after);
        table.turn(now + after);
        assert_eq!(table.take(), Some(key(1)));
        assert_eq!(table.take(), None);
        assert_eq!(
            table.failed(key(1), false, now, 0.5),
            None,
            "the model may still answer"
        );
        table.unwant(key(2));
        assert_eq!(table.next(), Some(now + PAUSES.round / 2));
        table.local_failed(key(1), failure());
        assert_eq!(table.len(), 1);
    }
}
