//! Which alerts are kept from the sinks: those that a switch of models fired.
//!
//! An alert is muted when it fires because of a switch, and whatever follows of it is muted too, until it fires because of
//! something else: a sink never hears that an alert is over which it never heard of. What closes an alert that a sink has
//! heard of is told, whatever closed it. State: the ids that are muted, each with the tick that said so; it is recorded like
//! what forgotten windows leave behind (`engine/floors.rs`), as a snapshot does not say why an alert fired.

use super::super::floors::Floors;
use groundswell_core::serving::{AlertChange, AlertState, Cause};
use groundswell_core::time::Tick;
use hashbrown::HashMap;
use std::sync::Arc;

/// See the module documentation.
pub(crate) struct Mutes {
    floors: Arc<Floors>,
    /// Nothing is muted.
    deliver: bool,
    muted: HashMap<u128, Tick>,
    /// The first tick, which may be a snapshot, is over.
    started: bool,
}

impl Mutes {
    pub(crate) fn new(floors: Arc<Floors>, deliver: bool) -> Self {
        Mutes {
            floors,
            deliver,
            muted: HashMap::new(),
            started: false,
        }
    }

    /// Marks a tick's transitions, in order. `facts` are what its records say: id, the tick that said it, and what.
    pub(crate) fn mark(&mut self, tick: Tick, facts: &[(u128, Tick, bool)], alerts: &mut [AlertChange]) {
        for (id, said, muted) in facts {
            // A later transition of the alert knows better; it is recorded, too, a little later.
            if self.muted.get(id).is_some_and(|at| at > said) {
                continue;
            }
            if *muted {
                self.muted.insert(*id, *said);
            } else {
                self.muted.remove(id);
            }
        }
        for alert in alerts {
            alert.muted = self.decide(tick, alert);
        }
        self.started = true;
    }

    fn decide(&mut self, tick: Tick, alert: &AlertChange) -> bool {
        let was = self.muted.contains_key(&alert.id);
        match alert.state {
            // Everything fires in a snapshot's tick; what it says of itself stands.
            AlertState::Firing if !self.started => was,
            AlertState::Firing if alert.cause == Cause::Model && !self.deliver => {
                self.set(tick, alert.id, true);
                true
            }
            AlertState::Firing => {
                if was {
                    self.set(tick, alert.id, false);
                }
                false
            }
            AlertState::Resolved => was,
            AlertState::Retracted => {
                if was {
                    self.set(tick, alert.id, false);
                }
                was
            }
        }
    }

    fn set(&mut self, tick: Tick, id: u128, muted: bool) {
        if muted {
            self.muted.insert(id, tick);
        } else {
            self.muted.remove(&id);
        }
        self.floors.put_muted(tick, id, muted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::spec::ViewKey;

    fn alert(id: u128, state: AlertState, cause: Cause) -> AlertChange {
        AlertChange {
            id,
            rule: "r".into(),
            state,
            cause,
            view: "v".into(),
            key: ViewKey::default(),
            window_end: 0,
            resolved: None,
            value: None,
            threshold: None,
            posts: 0,
            at: 0,
            evidence: Vec::new(),
            authors: 0,
            sums: Default::default(),
            muted: false,
        }
    }

    fn mutes() -> Mutes {
        let mut mutes = Mutes::new(Arc::default(), false);
        mutes.mark(1, &[], &mut []);
        mutes
    }

    fn one(mutes: &mut Mutes, tick: Tick, state: AlertState, cause: Cause) -> bool {
        let mut alerts = [alert(7, state, cause)];
        mutes.mark(tick, &[], &mut alerts);
        alerts[0].muted
    }

    #[test]
    fn what_follows_a_muted_alert_is_muted() {
        let mut m = mutes();
        assert!(one(&mut m, 2, AlertState::Firing, Cause::Model));
        assert!(one(&mut m, 3, AlertState::Resolved, Cause::Data));
        assert!(one(&mut m, 4, AlertState::Retracted, Cause::Votes));
        assert!(!one(&mut m, 5, AlertState::Firing, Cause::Data), "it fires by itself");
        assert!(!one(&mut m, 6, AlertState::Resolved, Cause::Data));
    }

    #[test]
    fn what_closes_an_alert_that_was_told_is_told() {
        let mut m = mutes();
        assert!(!one(&mut m, 2, AlertState::Firing, Cause::Data));
        assert!(!one(&mut m, 3, AlertState::Retracted, Cause::Model));
        // A rollback fires it again.
        assert!(one(&mut m, 4, AlertState::Firing, Cause::Model));
        assert!(one(&mut m, 5, AlertState::Resolved, Cause::Data));
        assert!(!one(&mut m, 6, AlertState::Firing, Cause::Data), "then the data does");
    }

    #[test]
    fn nothing_is_muted_where_it_is_to_be_delivered() {
        let mut m = Mutes::new(Arc::default(), true);
        m.mark(1, &[], &mut []);
        assert!(!one(&mut m, 2, AlertState::Firing, Cause::Model));
        assert!(!one(&mut m, 3, AlertState::Resolved, Cause::Data));
    }

    #[test]
    fn a_snapshot_fires_everything_and_says_what_is_muted() {
        let mut m = Mutes::new(Arc::default(), false);
        let mut alerts = [
            alert(7, AlertState::Firing, Cause::Data),
            alert(8, AlertState::Firing, Cause::Data),
        ];
        m.mark(50, &[(7, 40, true)], &mut alerts);
        assert_eq!(alerts.map(|a| a.muted), [true, false]);
        assert!(one(&mut m, 51, AlertState::Resolved, Cause::Data));
    }

    #[test]
    fn an_older_fact_does_not_undo_what_came_since() {
        let mut m = mutes();
        assert!(one(&mut m, 9, AlertState::Firing, Cause::Model));
        m.mark(10, &[(7, 5, false)], &mut []);
        assert!(one(&mut m, 11, AlertState::Resolved, Cause::Data));
    }
}
