//! The serving state: what HTTP and WebSocket clients read.
//!
//! ```text
//! engine thread ── apply(TickChanges) ──▶ Hub ──▶ tables, posts, alerts     one consistent copy per answer
//!                                          ├────▶ histories                 deltas since T, for subscriptions
//!                                          └────▶ watch channel             "tick T is complete"
//! ```
//!
//! In: complete changes, tick by tick, from one thread. Out: consistent reads at one tick. State: every row of every view,
//! live posts, alerts, and a bounded history of changes per feed. Clients *pull*: there is no queue per client, so a
//! client that stops reading costs nothing and holds up nobody. [`Hub::apply`] waits for readers only while they clone a
//! pointer or look up a bounded number of posts.
//!
//! A *feed* is what one can subscribe to: a view, the newest posts (`_posts`) or the alerts (`_alerts`).

pub mod alerts;
pub mod filter;
mod full;
pub mod history;
pub mod posts;
pub mod render;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod threads;

use alerts::{AlertRecord, Alerts};
use axum::extract::ws::Utf8Bytes;
use groundswell_core::id::{Names, PostKey};
use groundswell_core::serving::TickChanges;
use groundswell_core::spec::ViewSpec;
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use history::{Changes, Delta, History};
use parking_lot::{Mutex, RwLock};
use posts::{Entry, PostPlace, Posts};
use render::{Lookup, PostIds};
use std::sync::Arc;
use table::Table;
use threads::Threads;
use tokio::sync::watch;

/// Bounds of what a hub keeps.
#[derive(Clone, Debug)]
pub struct HubLimits {
    /// Changes kept per feed for clients that come back: at most this many ticks…
    pub history_ticks: usize,
    /// …and about this many bytes.
    pub history_bytes: usize,
    /// Live posts kept, the newest.
    pub posts: usize,
    /// Posts in the `_posts` feed.
    pub feed_posts: usize,
    /// Alerts kept.
    pub alerts: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        HubLimits {
            history_ticks: 8_192,
            history_bytes: 64 << 20,
            posts: 2_000_000,
            feed_posts: 100,
            alerts: 1_000,
        }
    }
}

/// What a hub serves and where it finds strings.
pub struct HubOptions {
    /// The pipeline's views, in the order of [`TickChanges::views`].
    pub views: Vec<ViewSpec>,
    /// Strings of threads, entities, authors, sources.
    pub names: Arc<Names>,
    /// Texts of posts.
    pub texts: Arc<Texts>,
    /// Ids of posts.
    pub post_ids: PostIds,
    /// Bounds.
    pub limits: HubLimits,
}

/// Something to subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// A view, by index.
    View(usize),
    /// The newest posts.
    Posts,
    /// The alerts.
    Alerts,
}

/// Name of the feed of the newest posts.
pub const POSTS_FEED: &str = "_posts";
/// Name of the feed of alerts.
pub const ALERTS_FEED: &str = "_alerts";

/// A view at one tick.
#[derive(Clone)]
pub struct ViewState {
    /// Its rows.
    pub table: Table,
    /// The tick all of this is as of.
    pub at: Tick,
    /// The recorded clock at that tick.
    pub clock: EventTime,
    /// The tick that last changed the view.
    pub version: Tick,
}

/// A feed's whole content at one tick.
pub enum Content {
    /// A view.
    Rows(Table),
    /// The newest posts, newest first.
    Posts(Vec<(PostKey, Entry)>),
    /// Alerts, the newest transition first.
    Alerts(Vec<Arc<AlertRecord>>),
}

/// A feed at one tick.
pub struct Snapshot {
    /// The tick.
    pub at: Tick,
    /// The recorded clock.
    pub clock: EventTime,
    /// The tick that last changed the feed.
    pub version: Tick,
    /// The content.
    pub content: Content,
}

/// What a subscriber has missed.
pub enum Missed {
    /// These changes, and nothing else up to and including tick `at`.
    Deltas {
        /// Oldest first.
        deltas: Vec<Arc<Delta>>,
        /// Up to here.
        at: Tick,
    },
    /// More than is remembered.
    TooMuch,
}

struct FeedState {
    version: Tick,
    history: History,
}

struct State {
    /// None before the first tick.
    tick: Option<Tick>,
    clock: EventTime,
    tables: Vec<Table>,
    feeds: Vec<FeedState>,
    posts: Posts,
    alerts: Alerts,
    threads: Threads,
}

/// The serving state; share it in an [`Arc`].
pub struct Hub {
    views: Vec<ViewSpec>,
    lookup: Lookup,
    state: RwLock<State>,
    ticks: watch::Sender<Tick>,
    /// The last unfiltered snapshot of each feed as it was sent: many clients come back at once after a restart.
    encoded: Vec<Mutex<Option<Encoded>>>,
    /// Tells the answers of this process from those of an earlier one, whose rows may have shown other columns.
    boot: i64,
}

#[derive(Clone)]
struct Encoded {
    version: Tick,
    at: Tick,
    frame: Utf8Bytes,
}

impl Hub {
    /// An empty hub.
    pub fn new(options: HubOptions) -> Self {
        let HubOptions {
            views,
            names,
            texts,
            post_ids,
            limits,
        } = options;
        let feeds = views.len() + 2;
        let feed = || FeedState {
            version: 0,
            history: History::new(limits.history_ticks, limits.history_bytes),
        };
        Hub {
            lookup: Lookup { names, texts, post_ids },
            state: RwLock::new(State {
                tick: None,
                clock: 0,
                tables: vec![Table::default(); views.len()],
                feeds: (0..feeds).map(|_| feed()).collect(),
                posts: Posts::new(limits.posts, limits.feed_posts),
                alerts: Alerts::new(limits.alerts),
                threads: Threads::default(),
            }),
            ticks: watch::Sender::new(0),
            encoded: (0..feeds).map(|_| Mutex::new(None)).collect(),
            boot: groundswell_core::time::wall_now(),
            views,
        }
    }

    /// Takes the changes of one tick and tells subscribers. Ticks must increase; one that does not is refused and logged.
    pub fn apply(&self, changes: &TickChanges) {
        let served = self.apply_to(&mut self.state.write(), changes);
        if served {
            self.ticks.send_replace(changes.tick);
        }
    }

    fn apply_to(&self, state: &mut State, changes: &TickChanges) -> bool {
        let tick = changes.tick;
        let first = state.tick.is_none();
        if state.tick.is_some_and(|last| last >= tick) {
            tracing::error!(
                tick,
                last = state.tick,
                "refused changes of a tick that was already served"
            );
            return false;
        }
        let clock_before = state.clock;
        state.tick = Some(tick);
        state.clock = changes.clock;
        for (index, (spec, rows)) in self.views.iter().zip(&changes.views).enumerate() {
            let table = &mut state.tables[index];
            table.apply(rows, tick);
            let window = |clock| render::is_sliding(spec).then(|| spec.window.sliding_bounds(clock));
            if !rows.is_empty() || window(clock_before) != window(changes.clock) {
                let now = |acc| table::Row { acc, updated: tick };
                let rows = || rows.iter().map(|r| (r.key, r.acc.map(now))).collect();
                state.feeds[index].push(tick, changes.clock, first, || Changes::Rows(rows()));
            }
        }
        let posts = state.posts.apply(&changes.posts, tick, changes.clock);
        if !changes.posts.is_empty() {
            state.feeds[self.slot(Feed::Posts)].push(tick, changes.clock, first, || posts);
        }
        if !changes.alerts.is_empty() {
            let alerts = state.alerts.apply(&changes.alerts);
            state.feeds[self.slot(Feed::Alerts)].push(tick, changes.clock, first, || alerts);
        }
        state.threads.apply(&changes.threads, tick);
        if first {
            state.feeds.iter_mut().for_each(|feed| feed.history.begin(tick));
        }
        true
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
            POSTS_FEED => Some(Feed::Posts),
            ALERTS_FEED => Some(Feed::Alerts),
            _ => self.views.iter().position(|v| v.name == name).map(Feed::View),
        }
    }

    /// A feed's name.
    pub fn feed_name(&self, feed: Feed) -> &str {
        match feed {
            Feed::View(index) => self.views.get(index).map_or("", |v| &v.name),
            Feed::Posts => POSTS_FEED,
            Feed::Alerts => ALERTS_FEED,
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

    /// The frame of a whole feed for clients without a filter, and the tick it is as of; encoded once per version. `None`
    /// where `encode` gives none.
    pub fn encoded_snapshot(
        &self,
        feed: Feed,
        encode: impl FnOnce(Snapshot) -> Option<String>,
    ) -> Option<(Tick, Utf8Bytes)> {
        let mut slot = self.encoded.get(self.slot(feed))?.lock();
        let snapshot = self.snapshot(feed);
        if let Some(known) = slot
            .as_ref()
            .filter(|known| known.version == snapshot.version && known.at > 0)
        {
            return Some((known.at, known.frame.clone()));
        }
        let (version, at) = (snapshot.version, snapshot.at);
        let frame: Utf8Bytes = encode(snapshot)?.into();
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

    fn slot(&self, feed: Feed) -> usize {
        match feed {
            Feed::View(index) => index,
            Feed::Posts => self.views.len(),
            Feed::Alerts => self.views.len() + 1,
        }
    }
}

impl FeedState {
    /// The first tick is where histories begin: nobody can have missed it, so it is not kept.
    fn push(&mut self, tick: Tick, clock: EventTime, first: bool, changes: impl FnOnce() -> Changes) {
        self.version = tick;
        if !first {
            self.history.push(Delta::new(tick, clock, changes()));
        }
    }
}

impl State {
    fn at(&self) -> Tick {
        self.tick.unwrap_or(0)
    }

    fn view(&self, index: usize) -> ViewState {
        ViewState {
            table: self.tables[index].clone(),
            at: self.at(),
            clock: self.clock,
            version: self.feeds[index].version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{self, History as Changing};
    use super::*;
    use crate::hub::filter::Filter;
    use crate::hub::table::Row;
    use groundswell_core::spec::ViewKey;
    use std::collections::BTreeMap;

    type Rows = BTreeMap<ViewKey, Row>;

    fn rows(hub: &Hub, index: usize) -> Rows {
        let all = hub
            .view(index)
            .expect("view")
            .table
            .all(&Filter::default(), usize::MAX - 1);
        all.expect("no limit").into_iter().collect()
    }

    #[test]
    fn resuming_at_any_tick_gives_the_same_as_reading_afresh() {
        let hub = testing::hub(HubLimits {
            history_ticks: 60,
            ..HubLimits::default()
        });
        let mut changes = Changing::new(1);
        let mut states: Vec<(Tick, [Rows; 2])> = Vec::new();
        for _ in 0..100 {
            hub.apply(&changes.next());
            states.push((hub.tick().expect("ticked"), [rows(&hub, 0), rows(&hub, 1)]));
        }
        let (end, last) = states.last().cloned().expect("states");
        let mut resumed = 0;
        for (tick, held) in &states {
            for index in 0..2 {
                let Missed::Deltas { deltas, at } = hub.since(Feed::View(index), *tick, end) else {
                    continue;
                };
                assert_eq!(at, end);
                let mut folded = held[index].clone();
                let mut before = *tick;
                for delta in deltas {
                    assert!(delta.at > before);
                    before = delta.at;
                    let Changes::Rows(changes) = &delta.changes else {
                        panic!("rows")
                    };
                    for (key, row) in changes {
                        match row {
                            Some(row) => folded.insert(*key, *row),
                            None => folded.remove(key),
                        };
                    }
                }
                assert_eq!(folded, last[index], "view {index} resumed at {tick}");
                resumed += 1;
            }
        }
        assert!(
            (120..200).contains(&resumed),
            "some ticks must be forgotten, {resumed} were not"
        );
    }

    #[test]
    fn ticks_of_another_history_cannot_be_resumed() {
        let hub = testing::hub(HubLimits::default());
        assert!(
            matches!(hub.since(Feed::Posts, 0, Tick::MAX), Missed::TooMuch),
            "before the first tick"
        );
        let mut changes = Changing::new(2);
        hub.apply(&changes.next());
        let first = hub.tick().expect("ticked");
        assert!(matches!(hub.since(Feed::Posts, first - 1, Tick::MAX), Missed::TooMuch));
        assert!(matches!(
            hub.since(Feed::Posts, first, Tick::MAX),
            Missed::Deltas { .. }
        ));
        assert!(matches!(hub.since(Feed::Posts, first + 1, Tick::MAX), Missed::TooMuch));
    }

    #[test]
    fn a_tick_is_served_once() {
        let hub = testing::hub(HubLimits::default());
        let changes = Changing::new(3).next();
        hub.apply(&changes);
        let before = rows(&hub, 0);
        hub.apply(&TickChanges {
            views: vec![Vec::new(), Vec::new()],
            ..changes.clone()
        });
        hub.apply(&changes);
        assert_eq!(rows(&hub, 0), before);
    }

    #[test]
    fn a_sliding_view_has_a_new_version_when_its_window_moves() {
        let hub = testing::hub(HubLimits::default());
        let at = |tick, clock| TickChanges {
            tick,
            clock,
            views: vec![vec![]; 2],
            ..TickChanges::default()
        };
        let versions = |hub: &Hub| hub.view_states().iter().map(|v| v.version).collect::<Vec<_>>();
        hub.apply(&at(1, 600_000));
        hub.apply(&at(2, 659_999));
        assert_eq!(versions(&hub), [0, 1]);
        hub.apply(&at(3, 660_000));
        assert_eq!(versions(&hub), [0, 3]);
    }
}
