//! What the graph hands to everything that serves or sinks: complete, consistent changes, tick by tick.
//!
//! Changes of one tick arrive together, consolidated, after the tick is durable and complete on all workers. Row keys are
//! digests; [`crate::id::Names`] turns them into strings.

use crate::acc::Acc;
use crate::erasure::{Erasure, Subject};
use crate::id::{Dim, PostKey, TextKey};
use crate::keywords::EventChange;
use crate::number::Numbers;
use crate::record::{Rank, Thread};
use crate::score::Score;
use crate::spec::{GroupColumn, Method, ViewKey};
use crate::tie::TieChanges;
use crate::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// A view row that changed: its sums, or `None` when the group is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Which row.
    pub key: ViewKey,
    /// Its sums now.
    pub acc: Option<Acc>,
    /// Its numbers now, in views that have some.
    pub numbers: Option<Arc<Numbers>>,
    /// At how many ticks it changed after the end of its window, in views that count them.
    pub revision: u32,
}

impl RowChange {
    /// A change of a row without numbers.
    pub fn new(key: ViewKey, acc: Option<Acc>) -> Self {
        RowChange {
            key,
            acc,
            numbers: None,
            revision: 0,
        }
    }

    /// Where windows do not lie side by side: what tables and topics know the row by, its group and the start of its window. They
    /// are those of another row when only the end of the window moved.
    pub fn place(&self) -> ViewKey {
        ViewKey::with_end(self.key.group, self.key.start, 0)
    }
}

/// A mention of an entity by a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mention {
    /// The entity.
    pub entity: Dim,
    /// Confidence, ppm.
    pub confidence: i32,
    /// How it was found.
    pub method: Method,
}

impl Mention {
    /// Whether it is one of an entity, and no hashtag or name.
    pub fn is_of_entity(&self) -> bool {
        !matches!(self.method, Method::Tag | Method::Named)
    }

    /// Whether it counts for a column.
    pub fn is_of(&self, column: GroupColumn) -> bool {
        match column {
            GroupColumn::Entity => self.is_of_entity(),
            GroupColumn::Tag => self.method == Method::Tag,
            GroupColumn::Mention => self.method == Method::Named,
            _ => false,
        }
    }
}

/// A live post as the views see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LivePost {
    /// Its text.
    pub text: TextKey,
    /// Its thread.
    pub thread: Dim,
    /// Its author.
    pub author: Dim,
    /// Its platform or community.
    pub source: Dim,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
    /// Votes as known now; `None` is hidden or unknown.
    pub votes: Option<i64>,
    /// Weight from the votes, in [`crate::acc::UNIT`]s.
    pub weight: i64,
    /// The live model's answer, once there is one.
    pub score: Option<Score>,
    /// Entities it mentions, sorted; and, where a view asks for them, its hashtags and names.
    pub mentions: SmallVec<[Mention; 2]>,
}

/// A post that changed: what it is now, or `None` when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostChange {
    /// Which post.
    pub key: PostKey,
    /// What it is now.
    pub post: Option<LivePost>,
}

/// State of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds.
    Firing,
    /// It held, and cleared.
    Resolved,
    /// What made it fire is no longer in the data.
    Retracted,
}

/// What kind of change moved an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// New or edited posts, or the passing of time.
    Data,
    /// Votes revealed or revised.
    Votes,
    /// Posts or threads deleted.
    Deletion,
    /// New scores of a changed model.
    Model,
    /// The dictionary changed.
    Entities,
    /// The rule changed.
    Rule,
}

/// A post that carries an alert, with its leave-one-out influence on the group's sentiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The post.
    pub post: PostKey,
    /// Its weight, in [`crate::acc::UNIT`]s.
    pub weight: i64,
    /// Its sentiment, ppm.
    pub sentiment: i32,
    /// mean − mean without it = w·(x − mean) / (Σw − w), ppm; the mean itself if it is the only post.
    pub influence: i64,
}

/// What influences are computed from: sums over the scored posts of the window that fired, at the tick of the transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct EvidenceSums {
    /// Σw, in [`crate::acc::UNIT`]s.
    pub weight: i64,
    /// Σw·x, in [`crate::acc::UNIT`]s times ppm.
    pub weighted: i128,
}

impl EvidenceSums {
    /// The sums over some posts: weights in [`crate::acc::UNIT`]s, sentiments in ppm.
    pub fn over(posts: impl IntoIterator<Item = (i64, i32)>) -> Self {
        posts.into_iter().fold(Self::default(), |sums, (w, x)| EvidenceSums {
            weight: sums.weight + w,
            weighted: sums.weighted + i128::from(w) * i128::from(x),
        })
    }

    /// The influence of a post of this weight and sentiment, one of those summed up: mean − mean without it, ppm, rounded
    /// towards zero; the mean itself if nothing else has weight.
    pub fn influence(&self, weight: i64, sentiment: i32) -> i64 {
        let (w, x, total) = (i128::from(weight), i128::from(sentiment), i128::from(self.weight));
        let rest = total - w;
        let ppm = if rest == 0 {
            self.weighted / total.max(1)
        } else {
            w * (x * total - self.weighted) / (total * rest)
        };
        i64::try_from(ppm).unwrap_or(0)
    }
}

/// One transition of an alert; its `id` is stable over the alert's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// Stable id: a digest of rule, group and the window that fired.
    pub id: u128,
    /// The rule.
    pub rule: Arc<str>,
    /// Firing, resolved or retracted.
    pub state: AlertState,
    /// Why it changed.
    pub cause: Cause,
    /// The view watched.
    pub view: Arc<str>,
    /// The group and the start of the window that fired.
    pub key: ViewKey,
    /// End of that window (epoch ms).
    pub window_end: EventTime,
    /// For a resolution, the bounds of the window that resolved it; `value` and `posts` are that window's then.
    pub resolved: Option<(EventTime, EventTime)>,
    /// The watched measure's value in the window that fired, or resolved.
    pub value: Option<f64>,
    /// The number it is compared with.
    pub threshold: Option<f64>,
    /// Posts in the window that fired, or resolved.
    pub posts: i32,
    /// And their distinct authors, where they are counted.
    pub authors: i32,
    /// Tick of the transition.
    pub at: Tick,
    /// The posts with the greatest influence in the direction that fired, at most five.
    pub evidence: Vec<Evidence>,
    /// What their influence is computed from.
    pub sums: EvidenceSums,
    /// It is kept from the sinks: a switch of models fired it.
    pub muted: bool,
}

/// A dead letter on its way to a sink.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadChange {
    /// Source name.
    pub source: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
    /// The letter.
    pub letter: crate::record::DeadLetter,
}

/// A record of a thread. Of several of one thread that with the greatest rank counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadChange {
    /// The thread as the record has it; it may be a deletion.
    pub thread: Thread,
    /// Competes with other records of the thread.
    pub rank: Rank,
}

/// A record of an erasure. Of several about the same that with the greatest rank counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasureChange {
    /// What it says.
    pub erasure: Erasure,
    /// Competes with other records about the same.
    pub rank: Rank,
}

/// Everything that changed at one tick. `views[i]` belongs to the i-th view of the pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickChanges {
    /// The tick: all changes up to and including it have now been handed over.
    pub tick: Tick,
    /// The recorded clock at this tick (epoch ms).
    pub clock: EventTime,
    /// Changed rows by view.
    pub views: Vec<Vec<RowChange>>,
    /// Changed posts.
    pub posts: Vec<PostChange>,
    /// Alert transitions.
    pub alerts: Vec<AlertChange>,
    /// New dead letters.
    pub dead: Vec<DeadChange>,
    /// Records of threads, as they came.
    pub threads: Vec<ThreadChange>,
    /// Records of erasures, as they came.
    pub erasures: Vec<ErasureChange>,
    /// What is purged for good.
    pub purged: Vec<Subject>,
    /// What is known through ties.
    pub ties: TieChanges,
    /// Changed keyword events.
    pub events: Vec<EventChange>,
}

impl TickChanges {
    /// The alert transitions that sinks are to be told: all that are not muted.
    pub fn told_alerts(&self) -> impl Iterator<Item = &AlertChange> {
        self.alerts.iter().filter(|alert| !alert.muted)
    }
}

/// A sink: sees every tick once, in order, already durable. Runs on a thread of its own.
pub trait Sink: Send + 'static {
    /// The sink's name in the config.
    fn name(&self) -> &str;

    /// The last tick this sink has committed; earlier ticks are not handed to it again. `None` wants everything, the
    /// restored state included.
    fn upper(&self) -> Option<Tick>;

    /// Takes the changes of one tick.
    ///
    /// # Errors
    /// A message for people; the engine reports it and keeps the sink's queue.
    fn apply(&mut self, changes: &TickChanges) -> Result<(), String>;

    /// Takes the changes of several ticks, oldest first: what waits while a sink is behind. A sink that can commit them at
    /// once overrides this. After an error some of the first may have been taken; the call is made again with all of them,
    /// so taking one twice must change nothing.
    ///
    /// # Errors
    /// As [`Sink::apply`].
    fn apply_all(&mut self, changes: &[Arc<TickChanges>]) -> Result<(), String> {
        changes.iter().try_for_each(|changes| self.apply(changes))
    }

    /// Whether [`Sink::resync`] can do something.
    fn can_resync(&self) -> bool {
        false
    }

    /// Makes what is stored equal to a full state, writing only what differs. `full` holds every row and alert there is at
    /// its tick, which is the last this sink was given. Says what differed.
    ///
    /// # Errors
    /// As [`Sink::apply`].
    fn resync(&mut self, full: &TickChanges) -> Result<String, String> {
        Err(format!(
            "the sink \"{}\" cannot be resynced to tick {}: it keeps a log of changes, not a state to compare with",
            self.name(),
            full.tick
        ))
    }

    /// Prepares to be given everything again from the beginning, after which [`Sink::upper`] is `None`: the record no longer
    /// holds the single ticks this sink lacks.
    ///
    /// # Errors
    /// If this kind of sink cannot begin again, or failed to.
    fn rebuild(&mut self) -> Result<(), String> {
        Err("what it lacks was folded into the snapshot, and it cannot begin again by itself".to_owned())
    }
}
