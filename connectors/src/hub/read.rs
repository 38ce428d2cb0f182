//! What is read of the hub: every method looks at one tick, under one short lock.

use super::alerts::AlertRecord;
use super::events::{EventPage, EventPlace};
use super::feeds::Feeds;
use super::frame::{Encoding, Frame};
use super::posts::{Entry, PostPlace, Posts};
use super::render::Lookup;
use super::threads::Threads;
use super::{ALERTS_FEED, Content, EVENTS_FEED, Encoded, Feed, Hub, Missed, POSTS_FEED, Snapshot, ViewState};
use groundswell_core::id::PostKey;
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{EventTime, Tick};
use std::sync::Arc;
use tokio::sync::watch;

impl Hub {
    /// Reads what is known through ties, with the live posts, the tick and the clock; `None` where no feeds are made. The next
    /// tick waits meanwhile.
    pub fn read_ties<T>(&self, read: impl FnOnce(&Feeds, &Posts, Tick, EventTime) -> T) -> Option<T> {
        let state = self.state.read();
        let ties = state.ties.as_ref()?;
        Some(read(ties, &state.posts, state.at(), state.clock))
    }

    /// The last complete tick; none before the first.
    pub fn tick(&self) -> Option<Tick> {
        self.state.read().tick
    }

    /// Changes with every tick.
    pub fn ticks(&self) -> watch::Receiver<Tick> {
        self.ticks.subscribe()
    }

    /// The views, in pipeline order.
    pub fn specs(&self) -> &[ViewSpec] {
        &self.views
    }

    /// The spec of a view by name.
    pub fn spec(&self, name: &str) -> Option<&ViewSpec> {
        self.views.iter().find(|v| v.name == name)
    }

    /// The feed of a name.
    pub fn feed(&self, name: &str) -> Option<Feed> {
        match name {
            POSTS_FEED => (!self.withholds()).then_some(Feed::Posts),
            ALERTS_FEED => Some(Feed::Alerts),
            // An event names a post, and says what stands in it.
            EVENTS_FEED => (self.events && !self.withholds()).then_some(Feed::Events),
            _ => self.views.iter().position(|v| v.name == name).map(Feed::View),
        }
    }

    /// A feed's name.
    pub fn feed_name(&self, feed: Feed) -> &str {
        match feed {
            Feed::View(index) => self.views.get(index).map_or("", |v| &v.name),
            Feed::Posts => POSTS_FEED,
            Feed::Alerts => ALERTS_FEED,
            Feed::Events => EVENTS_FEED,
        }
    }

    /// Where strings are found.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// All views at one tick.
    pub fn view_states(&self) -> Vec<ViewState> {
        let state = self.state.read();
        (0..self.views.len()).map(|index| state.view(index)).collect()
    }

    /// A view at one tick.
    pub fn view(&self, index: usize) -> Option<ViewState> {
        (index < self.views.len()).then(|| self.state.read().view(index))
    }

    /// The threads and some views, all at one tick.
    pub fn threads<const N: usize>(&self, views: [usize; N]) -> (Threads, [Option<ViewState>; N]) {
        let state = self.state.read();
        let view = |index: usize| (index < self.views.len()).then(|| state.view(index));
        (state.threads.clone(), views.map(view))
    }

    /// A post, the tick it is as of, and whether anything was served yet.
    pub fn post(&self, key: PostKey) -> (Tick, Option<Entry>) {
        let state = self.state.read();
        (state.at(), state.posts.get(key).cloned())
    }

    /// Those of some posts that are live.
    pub fn posts_by_key(&self, keys: impl Iterator<Item = PostKey>) -> Vec<(PostKey, Entry)> {
        let state = self.state.read();
        keys.filter_map(|key| Some((key, state.posts.get(key)?.clone())))
            .collect()
    }

    /// The newest wanted posts after a place in the listing: tick, version, posts, and the place after which others follow.
    pub fn newest_posts(
        &self,
        after: Option<PostPlace>,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> (Tick, Tick, Vec<(PostKey, Entry)>, Option<PostPlace>) {
        let state = self.state.read();
        let (posts, next) = state.posts.page(after, limit, wanted);
        (state.at(), state.feeds[self.slot(Feed::Posts)].version, posts, next)
    }

    /// The newest wanted keyword events after a place: tick, version, and the page.
    pub fn newest_events(
        &self,
        after: Option<EventPlace>,
        limit: usize,
        wanted: impl Fn(&KeywordEvent) -> bool,
    ) -> (Tick, Tick, EventPage) {
        let (at, version, events) = {
            let state = self.state.read();
            let version = state.feeds[self.slot(Feed::Events)].version;
            (state.at(), version, state.events.table().clone())
        };
        (at, version, events.page(after, limit, wanted))
    }

    /// How many keyword events there are.
    pub fn event_count(&self) -> usize {
        self.state.read().events.table().len()
    }

    /// How many posts are live.
    pub fn post_count(&self) -> usize {
        self.state.read().posts.len()
    }

    /// All alerts kept, the newest transition first, with tick and version.
    pub fn alerts(&self) -> (Tick, Tick, Vec<Arc<AlertRecord>>) {
        let state = self.state.read();
        (
            state.at(),
            state.feeds[self.slot(Feed::Alerts)].version,
            state.alerts.newest(),
        )
    }

    /// An alert.
    pub fn alert(&self, id: u128) -> (Tick, Option<Arc<AlertRecord>>) {
        let state = self.state.read();
        (state.at(), state.alerts.get(id).cloned())
    }

    /// The whole content of a feed.
    pub fn snapshot(&self, feed: Feed) -> Snapshot {
        let state = self.state.read();
        let content = match feed {
            Feed::View(index) => Content::Rows(state.tables.get(index).cloned().unwrap_or_default()),
            Feed::Posts => Content::Posts(state.posts.feed()),
            Feed::Alerts => Content::Alerts(state.alerts.newest()),
            Feed::Events => Content::Events(state.events.table().clone()),
        };
        Snapshot {
            at: state.at(),
            clock: state.clock,
            version: state.feeds[self.slot(feed)].version,
            content,
        }
    }

    /// What happened to a feed after tick `from`, up to and including `upto`. A `from` that was not served yet belongs to
    /// another history.
    pub fn since(&self, feed: Feed, from: Tick, upto: Tick) -> Missed {
        let state = self.state.read();
        let Some(at) = state.tick.filter(|at| from <= *at) else {
            return Missed::TooMuch;
        };
        match state.feeds[self.slot(feed)].history.since(from) {
            Some(mut deltas) => {
                deltas.truncate(deltas.partition_point(|d| d.at <= upto));
                Missed::Deltas {
                    deltas,
                    at: at.min(upto).max(from),
                }
            }
            None => Missed::TooMuch,
        }
    }

    /// The frame of a whole feed for clients without a filter, and the tick it is as of; encoded once per version and
    /// encoding. `None` where `encode` gives none.
    pub fn encoded_snapshot(
        &self,
        feed: Feed,
        encoding: Encoding,
        encode: impl FnOnce(Snapshot) -> Option<Frame>,
    ) -> Option<(Tick, Frame)> {
        let mut slot = self.encoded.get(self.slot(feed))?[encoding.slot()].lock();
        let snapshot = self.snapshot(feed);
        if let Some(known) = slot
            .as_ref()
            .filter(|known| known.version == snapshot.version && known.at > 0)
        {
            return Some((known.at, known.frame.clone()));
        }
        let (version, at) = (snapshot.version, snapshot.at);
        let frame = encode(snapshot)?;
        *slot = Some(Encoded {
            version,
            at,
            frame: frame.clone(),
        });
        Some((at, frame))
    }

    /// A tag that changes when a version does, and from one process to the next.
    pub fn tag(&self, version: Tick) -> String {
        format!("W/\"{:x}-{version:x}\"", self.boot)
    }

    /// Estimate of the bytes held as history, for metrics.
    pub fn history_bytes(&self) -> usize {
        self.state.read().feeds.iter().map(|f| f.history.bytes()).sum()
    }
}
