//! Keyword events as they are now, the newest first.
//!
//! In: changes, tick by tick. Out: pages. State: every event there is; `events.keep` bounds them, in the graph as here.

use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Where an event stands: when its post was written, and its id.
pub type EventPlace = (EventTime, u128);

/// Events by id, and the place after which others follow.
pub type EventPage = (Vec<(u128, Arc<KeywordEvent>)>, Option<EventPlace>);

/// The events.
#[derive(Default)]
pub struct Events {
    by_place: BTreeMap<EventPlace, Arc<KeywordEvent>>,
    times: HashMap<u128, EventTime>,
    version: Tick,
}

impl Events {
    /// Applies the changes of a tick.
    pub fn apply(&mut self, changes: &[EventChange], tick: Tick) {
        for EventChange { id, event } in changes {
            if let Some(at) = self.times.remove(id) {
                self.by_place.remove(&(at, *id));
            }
            if let Some(event) = event {
                self.times.insert(*id, event.created_at);
                self.by_place.insert((event.created_at, *id), Arc::clone(event));
            }
            self.version = tick;
        }
    }

    /// The newest wanted events after a place, and the place after which others follow.
    pub fn page(&self, after: Option<EventPlace>, limit: usize, wanted: impl Fn(&KeywordEvent) -> bool) -> EventPage {
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = Vec::new();
        let mut last = None;
        let range = self.by_place.range((Bound::Unbounded, end)).rev();
        for (place, event) in range.filter(|(_, event)| wanted(event)) {
            if found.len() == limit {
                return (found, last);
            }
            found.push((place.1, Arc::clone(event)));
            last = Some(*place);
        }
        (found, None)
    }

    /// All of them.
    pub fn all(&self) -> Vec<EventChange> {
        let change = |(place, event): (&EventPlace, &Arc<KeywordEvent>)| EventChange {
            id: place.1,
            event: Some(Arc::clone(event)),
        };
        self.by_place.iter().map(change).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// The tick that last changed one.
    pub fn version(&self) -> Tick {
        self.version
    }
}
