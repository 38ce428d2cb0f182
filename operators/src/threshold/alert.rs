//! From what an alert was before a tick and is after it to the transitions a consumer hears of.

use super::series::before;
use super::{GroupKey, Out, Told, Transition};
use crate::window::RowKey;
use groundswell_core::acc::Acc;
use groundswell_core::serving::{AlertState, Cause};
use groundswell_core::spec::{RuleSpec, ViewKey, WindowSpec};
use groundswell_core::time::EventTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An alert that may have changed.
pub(super) struct Alert<'a> {
    pub(super) rule: &'a Arc<RuleSpec>,
    pub(super) key: &'a GroupKey,
    pub(super) fired: EventTime,
    pub(super) cause: Cause,
    pub(super) seen: &'a BTreeMap<EventTime, Acc>,
    pub(super) shape: &'a WindowSpec,
}

impl Alert<'_> {
    /// Emits the transitions that lead from what the alert was to what it is.
    pub(super) fn transitions(
        &self,
        was: Option<Option<EventTime>>,
        is: Option<Option<EventTime>>,
        out: &mut Out<'_, '_>,
    ) {
        let distances = self.rule.distances(self.shape);
        let mut give = |state, window| {
            let earlier = distances
                .iter()
                .filter_map(|distance| Some((*distance, before(self.seen, window, *distance)?)));
            let transition = Transition {
                rule: Arc::clone(self.rule),
                fired: RowKey {
                    view: self.key.0,
                    key: ViewKey {
                        group: self.key.1,
                        start: self.fired,
                    },
                },
                window,
                state,
                cause: self.cause,
                acc: self.seen.get(&window).copied(),
                earlier: earlier.collect(),
            };
            out.give(Told::Transition(transition), 1);
        };
        match (was, is) {
            (None, Some(None)) | (Some(Some(_)), Some(None)) => give(AlertState::Firing, self.fired),
            (None, Some(Some(resolved))) => {
                give(AlertState::Firing, self.fired);
                give(AlertState::Resolved, resolved);
            }
            (Some(None), Some(Some(resolved))) => give(AlertState::Resolved, resolved),
            // Resolved by another window now: the consumer learns the new one.
            (Some(Some(before)), Some(Some(resolved))) if before != resolved => give(AlertState::Resolved, resolved),
            (Some(_), None) => give(AlertState::Retracted, self.fired),
            (Some(Some(_)), Some(Some(_))) | (None, None) | (Some(None), Some(None)) => {}
        }
    }
}
