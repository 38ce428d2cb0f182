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
//! A *feed* is what one can subscribe to: a view, the newest posts (`_posts`), the alerts (`_alerts`) or the keyword events
//! (`_events`).

pub mod alerts;
pub mod analytics;
pub mod events;
pub mod export;
pub mod feeds;
pub mod filter;
pub mod frame;
mod full;
pub mod history;
pub mod posts;
mod read;
pub mod render;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod threads;
mod withhold;

use alerts::journal::Journal;
use alerts::{AlertRecord, Alerts};
use events::{EventTable, Events};
use feeds::Feeds;
use feeds::lists::Lists;
use feeds::rank::FeedOptions;
use frame::{Encoding, Frame};
use groundswell_core::id::{Names, PostKey};
use groundswell_core::serving::{AlertChange, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use history::{Changes, Delta, History};
use parking_lot::{Mutex, RwLock};
use posts::{Entry, Posts};
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
    /// How feeds of posts are made; `None` makes none.
    pub feeds: Option<FeedOptions>,
    /// Whether there can be keyword events.
    pub events: bool,
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
    /// The keyword events.
    Events,
}

/// Name of the feed of the newest posts.
pub const POSTS_FEED: &str = "_posts";
/// Name of the feed of alerts.
pub const ALERTS_FEED: &str = "_alerts";
/// Name of the feed of keyword events.
pub const EVENTS_FEED: &str = "_events";

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
    /// Keyword events.
    Events(EventTable),
}

impl Content {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Content::Rows(table) => table.len(),
            Content::Posts(posts) => posts.len(),
            Content::Alerts(alerts) => alerts.len(),
            Content::Events(events) => events.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
    /// What is known through ties, where feeds are made.
    ties: Option<Feeds>,
    events: Events,
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
    feeds: Option<FeedOptions>,
    lists: Lists,
    /// Whether there can be keyword events.
    events: bool,
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
            feeds: feed_options,
            events,
        } = options;
        let feeds = views.len() + 3;
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
                ties: feed_options.map(|_| Feeds::default()),
                events: Events::default(),
                everything: k_anonymity.map(|_| (vec![Table::default(); views.len()], Alerts::new(limits.alerts))),
            }),
            ticks: watch::Sender::new(0),
            encoded: (0..feeds).map(|_| Default::default()).collect(),
            boot: groundswell_core::time::wall_now(),
            journal: Mutex::new(None),
            withhold: k_anonymity.map(Withhold::below),
            feeds: feed_options,
            lists: Lists::default(),
            events,
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
                let now = |change: &groundswell_core::serving::RowChange| {
                    let row = change.acc.map(|acc| table::Row {
                        acc,
                        numbers: change.numbers.clone(),
                        updated: tick,
                        revision: change.revision,
                    });
                    (change.key, row)
                };
                let rows = || rows.iter().map(now).collect();
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
        state.threads.erase(&changes.erasures, tick);
        state.threads.purge(&changes.purged);
        if let Some(ties) = &mut state.ties {
            ties.apply(changes, &state.posts, first);
        }
        let events = state.events.apply(&changes.events);
        if !events.is_empty() {
            state.feeds[self.slot(Feed::Events)].push(tick, changes.clock, first, || Changes::Events(events));
        }
        if first {
            state.feeds.iter_mut().for_each(|feed| feed.history.begin(tick));
        }
        true
    }

    /// How feeds of posts are made, if they are.
    pub fn feed_options(&self) -> Option<&FeedOptions> {
        self.feeds.as_ref()
    }

    /// Feeds as they were put into order.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    fn slot(&self, feed: Feed) -> usize {
        match feed {
            Feed::View(index) => index,
            Feed::Posts => self.views.len(),
            Feed::Alerts => self.views.len() + 1,
            Feed::Events => self.views.len() + 2,
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
