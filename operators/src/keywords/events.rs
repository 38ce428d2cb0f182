//! Events: hits that are still news, each told once.
//!
//! *In*: [`Hit`]s by post, the stories that posts follow, the clock. *Out*: an [`Event`] for each hit of a post not older than
//! `keep`. *State*: the hits, the stories, and the hits that say the same, by place; on one worker, as what says the same may
//! be in any post. *Emits* at the tick of the change. *A retraction* gives back what was emitted, from state.
//!
//! Two hits say the same if keyword and entity are the same, their posts tell one story, and both or neither are suppressed.
//! Of these the one whose post was written first stands for all (posts of one moment by their keys), and the others name it.

use super::Hit;
use crate::event::{Control, clock_of};
use crate::stories::ledger::Place;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::keywords::{EventsSpec, event_id};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A keyword in a post, among all that tell the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event {
    /// The post.
    pub post: PostKey,
    /// What it says.
    pub hit: Hit,
    /// The first post of its story; it may be itself.
    pub story: PostKey,
    /// The post whose event says the same and stands for all; itself, if it is this one.
    pub stands: PostKey,
}

impl Event {
    /// Its id.
    pub fn id(&self) -> u128 {
        event_id(self.post, self.hit.found.keyword, self.hit.found.entity)
    }

    /// Whether it is news: no exclusion suppresses it, and it stands for itself.
    pub fn is_news(&self) -> bool {
        self.hit.found.suppressed_by == Dim::NONE && self.stands == self.post
    }

    /// The id of the event that stands for it, if that is another one.
    pub fn duplicate_of(&self) -> Option<u128> {
        (self.stands != self.post).then(|| event_id(self.stands, self.hit.found.keyword, self.hit.found.entity))
    }
}

/// One of the inputs, by post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Item {
    Hit(Hit),
    Follows(PostKey),
}

/// See the module documentation.
pub fn events<'s>(
    hits: VecCollection<'s, Tick, (PostKey, Hit)>,
    stories: VecCollection<'s, Tick, (PostKey, PostKey)>,
    control: VecCollection<'s, Tick, Control>,
    spec: EventsSpec,
) -> VecCollection<'s, Tick, Event> {
    let items = hits
        .map(|(post, hit)| (post, Item::Hit(hit)))
        .concat(stories.map(|(post, first)| (post, Item::Follows(first))));
    let mut board = Board::default();
    let mut now = EventTime::MIN;
    per_tick(
        items,
        control.filter(move |c| spec.keep.is_some() && matches!(c, Control::Clock(_))),
        "Events",
        |_| 0,
        move |Complete { rows, side, .. }, out| {
            now = now.max(clock_of(side).unwrap_or(EventTime::MIN));
            let until = spec.keep.map_or(EventTime::MIN, |keep| now.saturating_sub(keep));
            let mut changed = BTreeSet::new();
            for ((post, item), diff) in rows.iter() {
                changed.insert(*post);
                board.note(*post, *item, *diff);
            }
            changed.extend(board.expire(until));
            board.settle(changed, until, out);
        },
    )
}

/// What says the same: keyword, entity, story, whether it is suppressed.
type Group = (Dim, Dim, PostKey, bool);

#[derive(Default)]
struct Post {
    /// With how often each stands there, as retractions and additions of a tick come in any order.
    hits: BTreeMap<Hit, isize>,
    follows: BTreeMap<PostKey, isize>,
}

/// A hit of a post in its group.
type Placed = (Group, (Place, Hit));

#[derive(Default)]
struct Board {
    posts: HashMap<PostKey, Post>,
    groups: HashMap<Group, BTreeSet<(Place, Hit)>>,
    /// What each post has in groups.
    placed: HashMap<PostKey, Vec<Placed>>,
    /// Posts with something in groups, by time.
    by_time: BTreeSet<Place>,
    /// What was emitted.
    told: HashMap<u128, Event>,
}

impl Board {
    fn note(&mut self, post: PostKey, item: Item, diff: isize) {
        let slot = self.posts.entry(post).or_default();
        match item {
            Item::Hit(hit) => count(&mut slot.hits, hit, diff),
            Item::Follows(first) => count(&mut slot.follows, first, diff),
        }
        if slot.hits.is_empty() && slot.follows.is_empty() {
            self.posts.remove(&post);
        }
    }

    /// Posts in groups that are too old now.
    fn expire(&self, until: EventTime) -> Vec<PostKey> {
        let old = self.by_time.iter().take_while(|place| place.created_at <= until);
        old.map(|place| place.key).collect()
    }

    /// Puts the hits of changed posts into their groups, and tells what differs there.
    fn settle(&mut self, changed: BTreeSet<PostKey>, until: EventTime, out: &mut Emit<'_, Event, isize>) {
        let mut touched = BTreeSet::<Group>::new();
        let mut ids = BTreeSet::<u128>::new();
        for post in &changed {
            for (group, member) in self.placed.remove(post).unwrap_or_default() {
                ids.insert(event_id(*post, group.0, group.1));
                self.by_time.remove(&member.0);
                if let Some(members) = self.groups.get_mut(&group) {
                    members.remove(&member);
                    if members.is_empty() {
                        self.groups.remove(&group);
                    }
                }
                touched.insert(group);
            }
        }
        for post in &changed {
            let Some(state) = self.posts.get(post) else { continue };
            let story = state.follows.keys().next().copied().unwrap_or(*post);
            let mut placed = Vec::new();
            for hit in state.hits.keys().filter(|hit| hit.created_at > until) {
                let found = &hit.found;
                let group = (found.keyword, found.entity, story, found.suppressed_by != Dim::NONE);
                let place = Place {
                    created_at: hit.created_at,
                    key: *post,
                };
                self.groups.entry(group).or_default().insert((place, *hit));
                self.by_time.insert(place);
                placed.push((group, (place, *hit)));
                touched.insert(group);
            }
            if !placed.is_empty() {
                self.placed.insert(*post, placed);
            }
        }
        let mut now = HashMap::<u128, Event>::new();
        for group in touched {
            let Some(members) = self.groups.get(&group) else {
                continue;
            };
            let Some((first, _)) = members.first() else { continue };
            for (place, hit) in members {
                let event = Event {
                    post: place.key,
                    hit: *hit,
                    story: group.2,
                    stands: first.key,
                };
                ids.insert(event.id());
                now.insert(event.id(), event);
            }
        }
        for id in ids {
            let new = now.remove(&id);
            let old = match new {
                Some(event) => self.told.insert(id, event),
                None => self.told.remove(&id),
            };
            if old != new {
                old.into_iter().for_each(|event| out.give(event, -1));
                new.into_iter().for_each(|event| out.give(event, 1));
            }
        }
    }
}

fn count<K: Ord>(all: &mut BTreeMap<K, isize>, key: K, diff: isize) {
    match all.entry(key) {
        std::collections::btree_map::Entry::Vacant(slot) => drop(slot.insert(diff)),
        std::collections::btree_map::Entry::Occupied(mut slot) => {
            *slot.get_mut() += diff;
            if *slot.get() == 0 {
                slot.remove();
            }
        }
    }
}
