//! The last few answers.
//!
//! Between an answer's delivery and the tick that records it, a text can be dropped and wanted again. It then gets the
//! answer it had, bit for bit, without another forward pass; and one that was never dropped is not answered twice. The
//! record is the real memory; this one is small.

use crate::lot::Answer;
use groundswell_core::id::TextKey;
use std::collections::{HashMap, VecDeque};

/// A bounded map that forgets what came first.
pub(super) struct Memo {
    answers: HashMap<TextKey, Remembered>,
    order: VecDeque<TextKey>,
    limit: usize,
}

struct Remembered {
    answer: Answer,
    /// Nobody has taken the wish back since: the answer is on its way to the record.
    wanted: bool,
}

/// What the memory says about a wanted text.
pub(super) enum Recalled {
    /// Nothing.
    Unknown,
    /// It has just been answered, and the wish was not taken back: do nothing.
    OnItsWay,
    /// The wish had been taken back: give this answer again.
    Known(Answer),
}

impl Memo {
    /// Remembers at most `limit` answers.
    pub(super) fn new(limit: usize) -> Self {
        Memo {
            answers: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// Remembers an answer that is being delivered.
    pub(super) fn put(&mut self, answer: Answer, wanted: bool) {
        let text = answer.text;
        if self.answers.insert(text, Remembered { answer, wanted }).is_none() {
            self.order.push_back(text);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }

    /// A text is wanted.
    pub(super) fn want(&mut self, text: TextKey) -> Recalled {
        match self.answers.get_mut(&text) {
            None => Recalled::Unknown,
            Some(Remembered { wanted: true, .. }) => Recalled::OnItsWay,
            Some(remembered) => {
                remembered.wanted = true;
                Recalled::Known(remembered.answer.clone())
            }
        }
    }

    /// The wish was taken back.
    pub(super) fn unwant(&mut self, text: TextKey) {
        if let Some(remembered) = self.answers.get_mut(&text) {
            remembered.wanted = false;
        }
    }
}
