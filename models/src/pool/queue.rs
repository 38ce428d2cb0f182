//! Which texts are wanted, taken up, and just answered. Pure: the caller brings the clock.
//!
//! State per waiting text is its key and recency, never the text: the queue is as long as there are live texts without a
//! score, which the graph holds anyway. The memory of answers is bounded.

use super::memo::{Memo, Recalled};
use crate::lot::Answer;
use groundswell_core::id::TextKey;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// When the next lot is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Now.
    Now,
    /// In this long, unless more arrives.
    In(Duration),
    /// When something is wanted.
    Idle,
}

/// The queue.
pub(super) struct Queue {
    /// And since when they have been wanted.
    waiting: HashMap<TextKey, (i64, Instant)>,
    by_recency: BTreeSet<(i64, TextKey)>,
    /// And whether they are still wanted, and since when.
    in_flight: HashMap<TextKey, (bool, Instant)>,
    memo: Memo,
    /// Answers from memory, to be delivered with the next ones.
    known: Vec<Answer>,
    /// Since when something has been waiting.
    opened: Option<Instant>,
}

impl Queue {
    /// An empty queue that remembers `memory` answers.
    pub(super) fn new(memory: usize) -> Self {
        Queue {
            waiting: HashMap::new(),
            by_recency: BTreeSet::new(),
            in_flight: HashMap::new(),
            memo: Memo::new(memory),
            known: Vec::new(),
            opened: None,
        }
    }

    /// A text is wanted. One that is in flight is not taken up again: its answer is on its way. Returns whether it is
    /// answered from memory.
    pub(super) fn want(&mut self, text: TextKey, recency: i64, now: Instant) -> bool {
        if let Some((wanted, _)) = self.in_flight.get_mut(&text) {
            *wanted = true;
            return false;
        }
        match self.memo.want(text) {
            Recalled::Unknown => {}
            Recalled::OnItsWay => return false,
            Recalled::Known(answer) => {
                self.known.push(answer);
                return true;
            }
        }
        let (before, _) = *self.waiting.entry(text).or_insert((recency, now));
        // Wanted for several posts: the newest counts.
        if before > recency {
            return false;
        }
        self.by_recency.remove(&(before, text));
        self.waiting.entry(text).and_modify(|slot| slot.0 = recency);
        self.by_recency.insert((recency, text));
        self.opened.get_or_insert(now);
        false
    }

    /// A text is no longer wanted. What is in flight is answered nevertheless: the answer is a fact.
    pub(super) fn unwant(&mut self, text: TextKey) {
        if let Some((recency, _)) = self.waiting.remove(&text) {
            self.by_recency.remove(&(recency, text));
        }
        if let Some((wanted, _)) = self.in_flight.get_mut(&text) {
            *wanted = false;
        }
        self.memo.unwant(text);
        self.known.retain(|answer| answer.text != text);
        if self.waiting.is_empty() {
            self.opened = None;
        }
    }

    /// When to take the next lot: at once if a batch is full or something waits for `age`, or if memory has answers.
    pub(super) fn due(&self, batch: usize, age: Duration, now: Instant) -> Due {
        if !self.known.is_empty() || self.waiting.len() >= batch {
            return Due::Now;
        }
        let Some(opened) = self.opened else { return Due::Idle };
        let left = (opened + age).saturating_duration_since(now);
        if left.is_zero() { Due::Now } else { Due::In(left) }
    }

    /// Takes up to `n` texts, newest first; they are in flight until [`Queue::landed`].
    pub(super) fn take(&mut self, n: usize) -> Vec<TextKey> {
        let mut lot = Vec::with_capacity(n.min(self.waiting.len()));
        while lot.len() < n
            && let Some((_, text)) = self.by_recency.pop_last()
        {
            let since = self.waiting.remove(&text).map_or_else(Instant::now, |(_, since)| since);
            self.in_flight.insert(text, (true, since));
            lot.push(text);
        }
        if self.waiting.is_empty() {
            self.opened = None;
        }
        lot
    }

    /// Answers from memory.
    pub(super) fn take_known(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.known)
    }

    /// These texts have been answered; since when those of them that are wanted have been so.
    pub(super) fn landed(&mut self, answers: &[Answer]) -> Vec<Instant> {
        let mut wanted_since = Vec::with_capacity(answers.len());
        for answer in answers {
            let flight = self.in_flight.remove(&answer.text);
            let wanted = flight.is_some_and(|(wanted, _)| wanted);
            wanted_since.extend(flight.filter(|(wanted, _)| *wanted).map(|(_, since)| since));
            if answer.result.as_ref().err().is_none_or(crate::ScoreFailure::is_lasting) {
                self.memo.put(answer.clone(), wanted);
            }
        }
        wanted_since
    }

    /// Texts waiting and texts in flight.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.waiting.len(), self.in_flight.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::id::ModelKey;
    use groundswell_core::score::Score;

    const AGE: Duration = Duration::from_millis(20);

    fn key(n: u8) -> TextKey {
        TextKey::of(&[n])
    }

    fn answer(n: u8) -> Answer {
        Answer {
            text: key(n),
            model: ModelKey::default(),
            result: Ok(Score {
                positive: i32::from(n),
                ..Score::default()
            }),
        }
    }

    #[test]
    fn the_newest_goes_first() {
        let now = Instant::now();
        let mut queue = Queue::new(8);
        for (n, recency) in [(1, 10), (2, 30), (3, 20)] {
            queue.want(key(n), recency, now);
        }
        queue.want(key(1), 40, now); // wanted again for a newer post
        queue.want(key(2), 5, now); // and for an older one: no change
        assert_eq!(queue.take(2), [key(1), key(2)]);
        assert_eq!(queue.take(2), [key(3)]);
        assert_eq!(queue.sizes(), (0, 3));
    }

    #[test]
    fn a_lot_is_due_when_full_or_old() {
        let start = Instant::now();
        let mut queue = Queue::new(8);
        assert_eq!(queue.due(2, AGE, start), Due::Idle);
        queue.want(key(1), 0, start);
        assert_eq!(queue.due(2, AGE, start + AGE / 2), Due::In(AGE / 2));
        assert_eq!(queue.due(2, AGE, start + AGE), Due::Now);
        queue.want(key(2), 0, start);
        assert_eq!(queue.due(2, AGE, start), Due::Now);
        queue.take(2);
        assert_eq!(queue.due(2, AGE, start), Due::Idle);
    }

    #[test]
    fn an_unwanted_text_is_forgotten_unless_in_flight() {
        let now = Instant::now();
        let mut queue = Queue::new(8);
        queue.want(key(1), 0, now);
        queue.unwant(key(1));
        assert_eq!(queue.due(1, AGE, now), Due::Idle);
        assert!(queue.take(1).is_empty());
        queue.want(key(2), 0, now);
        queue.take(1);
        queue.unwant(key(2));
        queue.want(key(2), 0, now);
        assert!(queue.take(1).is_empty(), "never in flight twice");
    }

    #[test]
    fn wanted_again_after_its_answer_is_answered_from_memory() {
        let now = Instant::now();
        let mut queue = Queue::new(1);
        for n in [1, 2] {
            queue.want(key(n), 0, now);
            queue.take(1);
            queue.landed(&[answer(n)]);
        }
        assert!(!queue.want(key(2), 0, now), "its answer is on its way");
        assert_eq!(queue.due(32, AGE, now), Due::Idle);
        queue.unwant(key(2));
        assert!(queue.want(key(2), 0, now));
        assert_eq!(queue.due(32, AGE, now), Due::Now);
        assert_eq!(queue.take_known(), [answer(2)]);
        assert!(
            !queue.want(key(1), 0, now),
            "the memory is bounded: the older answer is gone"
        );
        assert_eq!(queue.take(1), [key(1)]);
    }

    #[test]
    fn a_missing_text_is_not_remembered() {
        let now = Instant::now();
        let mut queue = Queue::new(8);
        queue.want(key(1), 0, now);
        queue.take(1);
        queue.landed(&[Answer {
            result: Err(crate::ScoreFailure::TextMissing),
            ..answer(1)
        }]);
        assert!(!queue.want(key(1), 0, now));
        assert_eq!(queue.take(1), [key(1)]);
    }
}
