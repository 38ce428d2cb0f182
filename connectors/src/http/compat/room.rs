//! What is said in a room: new posts and their numbers, or the state of a thread's cast.
//!
//! In: the hub, whenever a tick is complete. Out: frames, each of which stands for itself: who missed one has lost no state.
//! State: how far the room has followed, and which posts it has announced.

use super::{posts, sentiment, threads};
use crate::http::App;
use crate::http::auth::Tenancy;
use crate::hub::feeds::news::{Happened, What};
use crate::hub::filter::Filter;
use crate::hub::history::Changes;
use crate::hub::posts::{Entry, Posts};
use crate::hub::{Content, Feed, Missed, render};
use axum::extract::ws::Utf8Bytes;
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::score::Label;
use groundswell_core::time::{Tick, wall_now};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

/// Announced posts that are remembered; a post that comes back among the newest later is announced again.
const REMEMBERED: usize = 4_096;

/// Where somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// `/ws/sentiment`
    Sentiment,
    /// `/ws/thread/{thread}`
    Thread(Arc<str>),
    /// `/ws/notifications/{user}`
    Notifications(Arc<Wanted>),
}

/// Of what somebody wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// Who.
    pub(super) user: Arc<str>,
    /// Of these kinds.
    pub(super) kinds: Vec<What>,
    /// Of nothing that these do.
    pub(super) mutes: BTreeSet<Dim>,
}

impl Wanted {
    fn wants(&self, happened: &Happened) -> bool {
        let to = match happened.what {
            // Names in texts are told apart without case.
            What::Mention => Dim::of(&self.user.to_lowercase()),
            _ => Dim::of(&self.user),
        };
        happened.to == to && self.kinds.contains(&happened.what) && !self.mutes.contains(&happened.by)
    }
}

/// A room.
pub(super) struct Room {
    app: App,
    place: Place,
    tenancy: Option<Tenancy>,
    at: Tick,
    announced: HashSet<PostKey>,
    order: VecDeque<PostKey>,
    last: Option<Utf8Bytes>,
}

impl Room {
    /// Nothing of the past is announced.
    pub(super) fn new(app: App, place: Place, tenancy: Option<Tenancy>) -> Self {
        let mut room = Room {
            app,
            place,
            tenancy,
            at: 0,
            announced: HashSet::new(),
            order: VecDeque::new(),
            last: None,
        };
        room.skip();
        // Who comes in is told the state as it is.
        if let Place::Thread(thread) = &room.place {
            room.last = cast(&room.app, thread, room.tenancy);
        }
        room
    }

    /// What somebody is told who comes in.
    pub(super) fn welcome(app: &App, place: &Place, tenancy: Option<Tenancy>) -> Vec<Utf8Bytes> {
        let message = match place {
            Place::Sentiment => "Connected to sentiment analysis stream".to_owned(),
            Place::Thread(thread) => format!("Connected to thread {thread}"),
            Place::Notifications(wanted) => format!("Connected to notifications of {}", wanted.user),
        };
        let hello = json!({ "type": "connection", "message": message, "timestamp": render::time(wall_now()) });
        let state = match place {
            Place::Sentiment => metrics(app, tenancy),
            Place::Thread(thread) => cast(app, thread, tenancy),
            Place::Notifications(_) => None,
        };
        [Some(text(&hello)), state].into_iter().flatten().collect()
    }

    /// What is new since the last call.
    pub(super) fn news(&mut self) -> Vec<Utf8Bytes> {
        match self.place.clone() {
            Place::Sentiment => self.new_posts(),
            Place::Notifications(wanted) => self.happened(&wanted),
            Place::Thread(thread) => {
                let now = cast(&self.app, &thread, self.tenancy);
                if now == self.last {
                    return Vec::new();
                }
                self.last.clone_from(&now);
                now.into_iter().collect()
            }
        }
    }

    /// What is said every so often, whatever happened.
    pub(super) fn regularly(&self) -> Option<Utf8Bytes> {
        match self.place {
            Place::Sentiment => metrics(&self.app, self.tenancy),
            Place::Thread(_) | Place::Notifications(_) => None,
        }
    }

    /// What happened to a user since the last call.
    fn happened(&mut self, wanted: &Wanted) -> Vec<Utf8Bytes> {
        let (from, tenancy) = (self.at, self.tenancy);
        let owns = |posts: &Posts, happened: &Happened| {
            tenancy.is_none_or(|t| posts.get(happened.post).is_some_and(|entry| t.owns_post(&entry.post)))
        };
        let read = self.app.hub.read_ties(|ties, posts, tick, _| {
            let news = ties.news().since(from).filter(|happened| wanted.wants(happened));
            (
                news.filter(|happened| owns(posts, happened))
                    .copied()
                    .collect::<Vec<_>>(),
                tick,
            )
        });
        let Some((news, tick)) = read else { return Vec::new() };
        self.at = tick;
        let lookup = self.app.hub.lookup();
        let frame = |happened: &Happened| {
            let post = (happened.what != What::Follow).then(|| lookup.post_id(happened.post));
            let data = json!({
                "kind": happened.what.name(),
                "user": &*wanted.user,
                "by": lookup.name(happened.by),
                "post_id": post,
                "at": render::time(happened.at),
            });
            text(&json!({ "type": "notification", "data": data }))
        };
        news.iter().map(frame).collect()
    }

    fn new_posts(&mut self) -> Vec<Utf8Bytes> {
        let hub = Arc::clone(&self.app.hub);
        let Missed::Deltas { deltas, at } = hub.since(Feed::Posts, self.at, Tick::MAX) else {
            // Only the newest posts are news.
            self.skip();
            return Vec::new();
        };
        self.at = at;
        let mut frames = Vec::new();
        for delta in &deltas {
            let Changes::Posts(changes) = &delta.changes else {
                continue;
            };
            for (key, entry) in changes {
                let Some(entry) = entry.as_ref().filter(|entry| self.may_announce(entry)) else {
                    continue;
                };
                if self.announce(*key) {
                    let data = posts::frame(hub.lookup(), *key, entry);
                    frames.push(text(&json!({ "type": "new_post", "data": data })));
                }
            }
        }
        frames
    }

    /// A post is news once it is scored.
    fn may_announce(&self, entry: &Entry) -> bool {
        entry.post.score.is_some() && self.tenancy.is_none_or(|t| t.owns_post(&entry.post))
    }

    /// Remembers a post; false if it was announced before.
    fn announce(&mut self, key: PostKey) -> bool {
        if !self.announced.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.announced.remove(&oldest);
        }
        true
    }

    /// Takes what is there now as announced.
    fn skip(&mut self) {
        if matches!(self.place, Place::Notifications(_)) {
            self.at = self.app.hub.tick().unwrap_or(0);
        }
        if self.place != Place::Sentiment {
            return;
        }
        let snapshot = self.app.hub.snapshot(Feed::Posts);
        self.at = snapshot.at;
        if let Content::Posts(posts) = snapshot.content {
            for (key, entry) in posts {
                if self.may_announce(&entry) {
                    self.announce(key);
                }
            }
        }
    }
}

fn text(value: &Value) -> Utf8Bytes {
    value.to_string().into()
}

/// The card: posts by label in the view that answers `/api/sentiment/distribution` without being asked for hours.
fn metrics(app: &App, tenancy: Option<Tenancy>) -> Option<Utf8Bytes> {
    let (_, index) = *app.options.compat.as_ref()?.sentiment.as_ref()?.distribution.first()?;
    let (spec, state) = (app.hub.specs().get(index)?, app.hub.view(index)?);
    let mut filter = Filter::default();
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut filter);
    }
    let counts = sentiment::by_label(&state, spec, &filter).ok()?;
    let of = |label| counts.get(&label).copied().unwrap_or(0);
    let data = json!({
        "total_posts": counts.values().sum::<u64>(),
        "positive": of(Label::Positive),
        "negative": of(Label::Negative),
        "neutral": of(Label::Neutral),
        "timestamp": render::time(wall_now()),
    });
    Some(text(&json!({ "type": "metrics", "data": data })))
}

/// A thread's whole cast; the same text as long as nothing changed.
fn cast(app: &App, thread: &str, tenancy: Option<Tenancy>) -> Option<Utf8Bytes> {
    let index = app.options.compat.as_ref()?.threads.as_ref()?.cast?;
    let (spec, state) = (app.hub.specs().get(index)?, app.hub.view(index)?);
    let rows = threads::cast_rows(app.hub.lookup(), &state, spec, Dim::of(thread), None, tenancy).ok()?;
    let data = json!({ "thread": thread, "cast": rows });
    Some(text(&json!({ "type": "update", "data": data })))
}
