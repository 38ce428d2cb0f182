//! Alerts by id: the latest state and the way there.
//!
//! In: transitions, tick by tick. Out: alerts, newest transition first, and deltas of that list. State: at most `most`
//! alerts, each with a bounded history; the oldest that does not fire goes first. What they were before a restart is in a
//! [`journal`].

pub mod journal;

use super::history::Changes;
use groundswell_core::serving::{AlertChange, AlertState, Cause};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Transitions remembered per alert.
const HISTORY: usize = 50;

/// A step in the life of an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// The state it came to.
    pub state: AlertState,
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Tick,
    /// The watched measure then.
    pub value: Option<f64>,
    /// Posts in the window then.
    pub posts: i32,
    /// The window that resolved it.
    pub resolved: Option<(EventTime, EventTime)>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRecord {
    /// The latest transition.
    pub latest: AlertChange,
    /// The latest transitions, oldest first.
    pub history: Vec<Transition>,
}

/// Place of an alert in the listing by latest transition.
pub type AlertPlace = (Tick, u128);

/// The alerts.
pub struct Alerts {
    by_id: HashMap<u128, Arc<AlertRecord>>,
    order: BTreeSet<AlertPlace>,
    most: usize,
}

impl Alerts {
    /// None yet; keeps at most `most`.
    pub fn new(most: usize) -> Self {
        Alerts {
            by_id: HashMap::new(),
            order: BTreeSet::new(),
            most,
        }
    }

    /// Applies the transitions of one tick and returns what they do to the list.
    pub fn apply(&mut self, transitions: &[AlertChange]) -> Changes {
        let mut changed: BTreeMap<u128, Option<Arc<AlertRecord>>> = BTreeMap::new();
        for change in transitions {
            let old = self.by_id.get(&change.id);
            if let Some(old) = old {
                self.order.remove(&(old.latest.at, change.id));
            }
            let mut history = old.map_or_else(Vec::new, |old| old.history.clone());
            if history.len() == HISTORY {
                history.remove(0);
            }
            history.push(Transition {
                state: change.state,
                cause: change.cause,
                at: change.at,
                value: change.value,
                posts: change.posts,
                resolved: change.resolved,
            });
            let record = Arc::new(AlertRecord {
                latest: change.clone(),
                history,
            });
            self.order.insert((change.at, change.id));
            self.by_id.insert(change.id, Arc::clone(&record));
            changed.insert(change.id, Some(record));
        }
        while self.by_id.len() > self.most {
            let firing = |id: &u128| self.by_id.get(id).is_some_and(|a| a.latest.state == AlertState::Firing);
            let Some(oldest) = self
                .order
                .iter()
                .find(|(_, id)| !firing(id))
                .or(self.order.first())
                .copied()
            else {
                break;
            };
            self.order.remove(&oldest);
            self.by_id.remove(&oldest.1);
            changed.insert(oldest.1, None);
        }
        Changes::Alerts(changed.into_iter().collect())
    }

    /// An alert by id.
    pub fn get(&self, id: u128) -> Option<&Arc<AlertRecord>> {
        self.by_id.get(&id)
    }

    /// All alerts, the newest transition first.
    pub fn newest(&self) -> Vec<Arc<AlertRecord>> {
        self.order
            .iter()
            .rev()
            .filter_map(|(_, id)| self.by_id.get(id).cloned())
            .collect()
    }

    /// How many alerts are kept.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::alert;

    #[test]
    fn an_alert_keeps_its_id_and_its_past() {
        let mut alerts = Alerts::new(10);
        alerts.apply(&[alert(7, AlertState::Firing, 1)]);
        alerts.apply(&[alert(7, AlertState::Resolved, 5)]);
        let record = alerts.get(7).expect("there");
        assert_eq!(record.latest.state, AlertState::Resolved);
        assert_eq!(record.history.iter().map(|t| t.at).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(alerts.newest().len(), 1);
    }

    #[test]
    fn firing_alerts_are_forgotten_last() {
        let mut alerts = Alerts::new(2);
        alerts.apply(&[alert(1, AlertState::Firing, 1), alert(2, AlertState::Resolved, 2)]);
        let Changes::Alerts(changes) = alerts.apply(&[alert(3, AlertState::Resolved, 3)]) else {
            panic!("alerts")
        };
        assert!(changes.iter().any(|(id, now)| *id == 2 && now.is_none()));
        assert!(alerts.get(1).is_some() && alerts.get(3).is_some());
    }
}
