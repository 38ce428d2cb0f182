//! Keyword events as they are now, the newest first.
//!
//! In: changes, tick by tick. Out: pages, all of them at once, and what each tick did to them. State: every event there is, by
//! hour, each hour behind its own [`Arc`], so that a reader clones one pointer and reads at leisure; `events.keep` bounds them,
//! in the graph as here.

pub mod filter;

use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::time::{EventTime, HOUR};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Where an event stands: when its post was written, and its id.
pub type EventPlace = (EventTime, u128);

/// Events by id, and the place after which others follow.
pub type EventPage = (Vec<(u128, Arc<KeywordEvent>)>, Option<EventPlace>);

type Slice = BTreeMap<EventPlace, Arc<KeywordEvent>>;

/// What happened to an event at a tick. What it was says who has to hear that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventStep {
    /// Which event.
    pub id: u128,
    /// What it was.
    pub before: Option<Arc<KeywordEvent>>,
    /// What it is.
    pub now: Option<Arc<KeywordEvent>>,
}

/// The events; a clone is a consistent copy.
#[derive(Clone, Default)]
pub struct EventTable {
    slices: Arc<BTreeMap<EventTime, Arc<Slice>>>,
    len: usize,
}

/// The events, as they are written.
#[derive(Default)]
pub struct Events {
    table: EventTable,
    times: HashMap<u128, EventTime>,
}

impl Events {
    /// Applies the changes of a tick, and says what differs.
    pub fn apply(&mut self, changes: &[EventChange]) -> Vec<EventStep> {
        let mut steps = Vec::new();
        for EventChange { id, event, .. } in changes {
            let before = self.times.remove(id).and_then(|at| self.table.take((at, *id)));
            if let Some(event) = event {
                self.times.insert(*id, event.created_at);
                self.table.put((event.created_at, *id), Arc::clone(event));
            }
            if before != *event {
                let now = event.clone();
                steps.push(EventStep { id: *id, before, now });
            }
        }
        steps
    }

    /// All of them.
    pub fn table(&self) -> &EventTable {
        &self.table
    }
}

impl EventTable {
    fn put(&mut self, place: EventPlace, event: Arc<KeywordEvent>) {
        let slices = Arc::make_mut(&mut self.slices);
        let slice = Arc::make_mut(slices.entry(place.0.div_euclid(HOUR)).or_default());
        self.len += usize::from(slice.insert(place, event).is_none());
    }

    fn take(&mut self, place: EventPlace) -> Option<Arc<KeywordEvent>> {
        let hour = place.0.div_euclid(HOUR);
        let slices = Arc::make_mut(&mut self.slices);
        let slice = Arc::make_mut(slices.get_mut(&hour)?);
        let event = slice.remove(&place)?;
        if slice.is_empty() {
            slices.remove(&hour);
        }
        self.len -= 1;
        Some(event)
    }

    /// Those after a place, the newest first.
    fn newest(&self, after: Option<EventPlace>) -> impl Iterator<Item = (&EventPlace, &Arc<KeywordEvent>)> {
        let hours = ..=after.map_or(EventTime::MAX, |(at, _)| at.div_euclid(HOUR));
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let slices = self.slices.range(hours).rev();
        slices.flat_map(move |(_, slice)| slice.range((Bound::Unbounded, end)).rev())
    }

    /// The newest wanted events after a place, and the place after which others follow.
    pub fn page(&self, after: Option<EventPlace>, limit: usize, wanted: impl Fn(&KeywordEvent) -> bool) -> EventPage {
        let mut found = Vec::new();
        let mut last = None;
        for (place, event) in self.newest(after).filter(|(_, event)| wanted(event)) {
            if found.len() == limit {
                return (found, last);
            }
            found.push((place.1, Arc::clone(event)));
            last = Some(*place);
        }
        (found, None)
    }

    /// All of them, as changes from nothing.
    pub fn all(&self) -> Vec<EventChange> {
        let change = |(place, event): (&EventPlace, &Arc<KeywordEvent>)| EventChange {
            id: place.1,
            event: Some(Arc::clone(event)),
            was_news: false,
        };
        self.newest(None).map(change).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
