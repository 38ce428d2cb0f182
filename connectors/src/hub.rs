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
pub mod export;
pub mod filter;
pub mod frame;
mod full;
pub mod history;
pub mod posts;
pub mod render;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod threads;
mod withhold;

use alerts::journal::Journal;
use alerts::{AlertRecord, Alerts};
use frame::{Encoding, Frame};
use groundswell_core::id::{Names, PostKey};
use groundswell_core::serving::{AlertChange, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use history::{Changes, Delta, History};
use parking_lot::{Mutex, RwLock};
use posts::{Entry, PostPlace, Posts};
use render::{Lookup, PostIds};
use std::borrow::Cow;
use std::sync::Arc;
use table::Table;
use threads::Threads;
use tokio::sync::watch;
use withhold::Withhold;

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
    /// Rows about fewer authors are withheld, and so are posts.
    pub k_anonymity: Option<i32>,
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
    /// What is withheld is in sinks all the same: everything, for them to be compared with.
    everything: Option<(Vec<Table>, Alerts)>,
}

/// The serving state; share it in an [`Arc`].
pub struct Hub {
    views: Vec<ViewSpec>,
    lookup: Lookup,
    state: RwLock<State>,
    ticks: watch::Sender<Tick>,
    /// The last unfiltered snapshot of each feed as it was sent: many clients come back at once after a restart.
    encoded: Vec<[Mutex<Option<Encoded>>; Encoding::COUNT]>,
    /// Tells the answers of this process from those of an earlier one, whose rows may have shown other columns.
    boot: i64,
    /// What was told of alerts; only [`Hub::apply`] looks at it.
    journal: Mutex<Option<Journal>>,
    withhold: Option<Withhold>,
}

#[derive(Clone)]
struct Encoded {
    version: Tick,
    at: Tick,
    frame: Frame,
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
            k_anonymity,
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
                everything: k_anonymity.map(|_| (vec![Table::default(); views.len()], Alerts::new(limits.alerts))),
            }),
            ticks: watch::Sender::new(0),
            encoded: (0..feeds).map(|_| Default::default()).collect(),
            boot: groundswell_core::time::wall_now(),
            journal: Mutex::new(None),
            withhold: k_anonymity.map(Withhold::below),
            views,
        }
    }

    /// Takes the changes of one tick and tells subscribers. Ticks must increase; one that does not is refused and logged.
    pub fn apply(&self, changes: &TickChanges) {
        let mut alerts = self.may_show(&changes.alerts);
        if self.state.read().tick.is_none()
            && let Some(past) = self.past_alerts(changes, &alerts)
        {
            // What was shown before the restart may be more than may be shown now.
            alerts = Cow::Owned(self.may_show(&past).into_owned());
        }
        let alerts = &*alerts;
        let served = self.apply_to(&mut self.state.write(), changes, alerts);
        if served {
            self.write_alerts(alerts);
            self.ticks.send_replace(changes.tick);
        }
    }

    /// Keeps what is told of alerts in a file, and goes on from what it holds: call this before the first tick.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn remember_alerts(&self, path: &std::path::Path) -> std::io::Result<()> {
        *self.journal.lock() = Some(Journal::open(path)?);
        Ok(())
    }

    /// At the first tick: the alerts as they were before a restart.
    fn past_alerts(&self, changes: &TickChanges, told: &[AlertChange]) -> Option<Vec<AlertChange>> {
        let mut journal = self.journal.lock();
        let at = (changes.tick, changes.clock);
        Some(journal.as_mut()?.begin(&self.views, at, told))
    }

    fn may_show<'a>(&self, alerts: &'a [AlertChange]) -> Cow<'a, [AlertChange]> {
        match &self.withhold {
            None => Cow::Borrowed(alerts),
            Some(withhold) => {
                let state = self.state.read();
                Cow::Owned(withhold.alerts(|id| state.alerts.get(id).is_some(), alerts))
            }
        }
    }

    /// Whether single posts, and rows about few authors, are withheld.
    pub fn withholds(&self) -> bool {
        self.withhold.is_some()
    }

    fn write_alerts(&self, alerts: &[AlertChange]) {
        let mut journal = self.journal.lock();
        let Some(file) = journal.as_mut().filter(|_| !alerts.is_empty()) else {
            return;
        };
        let written = file.write(&self.views, alerts).and_then(|()| {
            let state = self.state.read();
            file.compact(|id| state.alerts.get(id).is_some(), state.alerts.len())
        });
        if let Err(error) = written {
            tracing::error!(
                %error,
                "cannot write the journal of alerts: after a restart from a snapshot they are what that says of them"
            );
            *journal = None;
        }
    }

    fn apply_to(&self, state: &mut State, changes: &TickChanges, alerts: &[AlertChange]) -> bool {
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
        if let Some((tables, alerts)) = &mut state.everything {
            for (table, rows) in tables.iter_mut().zip(&changes.views) {
                table.apply(rows, tick);
            }
            alerts.apply(&changes.alerts);
        }
        for (index, (spec, rows)) in self.views.iter().zip(&changes.views).enumerate() {
            let table = &mut state.tables[index];
            let shown = self.withhold.as_ref().map(|w| w.rows(|key| table.contains(key), rows));
            let rows = shown.as_ref().unwrap_or(rows);
            table.apply(rows, tick);
            let window = |clock| render::is_sliding(spec).then(|| spec.window.sliding_bounds(clock));
            if !rows.is_empty() || window(clock_before) != window(changes.clock) {
                let now = |acc| table::Row { acc, updated: tick };
                let rows = || rows.iter().map(|r| (r.key, r.acc.map(now))).collect();
                state.feeds[index].push(tick, changes.clock, first, || Changes::Rows(rows()));
            }
        }
        let all: &[_] = if self.withholds() { &[] } else { &changes.posts };
        let posts = state.posts.apply(all, tick, changes.clock);
        if !all.is_empty() {
            state.feeds[self.slot(Feed::Posts)].push(tick, changes.clock, first, || posts);
        }
        if !alerts.is_empty() {
            let alerts = state.alerts.apply(alerts);
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
            POSTS_FEED => (!self.withholds()).then_some(Feed::Posts),
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
mod tests;
