//! The last few answers.
//!
//! Between an answer's delivery and the tick that records it, a text can be dropped and wanted again. It then gets the
//! answer it had, bit for bit, without another forward pass. The record is the real memory; this one is small.

use crate::lot::Answer;
use groundswell_core::id::TextKey;
use std::collections::{HashMap, VecDeque};

/// A bounded map that forgets what came first.
pub(super) struct Memo {
    answers: HashMap<TextKey, Answer>,
    order: VecDeque<TextKey>,
    limit: usize,
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

    /// Remembers an answer.
    pub(super) fn put(&mut self, answer: Answer) {
        if self.answers.insert(answer.text, answer.clone()).is_none() {
            self.order.push_back(answer.text);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }

    /// The answer for a text, if it is remembered.
    pub(super) fn get(&self, text: TextKey) -> Option<Answer> {
        self.answers.get(&text).cloned()
    }
}
