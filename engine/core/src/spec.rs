//! What a pipeline computes, as data: views, windows, weights, linking and rules.
//!
//! The configuration is validated into these types; operators and serving read nothing else.

mod anchored;
mod calendar;
mod extras;
mod rule;
mod sessions;
mod state;

pub use calendar::{HOURS, HOURS_OF_WEEK, WEEKDAYS};
pub use extras::{BASIS, Cell, CellKind, Column, Extras, Gates, MOST_TOP, Part, Shown, TOP, Top, Used, Zone, in_parts};

pub use rule::RuleSpec;

pub use anchored::{Anchor, Anchors, Edge, LONGEST_NAME, MOST_PHASES, Phase, PhaseName, Phases};
pub use sessions::Sessions;
pub use state::{REVISION, RowState, STATE};

use crate::acc::UNIT;
use crate::id::Dim;
use crate::keywords::EventsSpec;
use crate::number::NumberSpec;
use crate::score::{EMOTIONS, Label};
use crate::scoring::ScoringSpec;
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// A column a view can group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupColumn {
    /// The thread.
    Thread,
    /// The mentioned entity: one contribution per mention.
    Entity,
    /// The platform or community.
    Source,
    /// The author.
    Author,
    /// The class with which the post's answer counts in the view; none without an answer, or if its sentiment does not count.
    Label,
    /// The emotion of the post's answer; none wherever `label` is none.
    Emotion,
    /// The phase of the thread; of anchored windows only.
    Phase,
    /// The hour of the day at which the post was written, `00` to `23`, in the view's time zone.
    Hour,
    /// The day of the week, `mon` to `sun`.
    Weekday,
    /// Both: `mon 00` to `sun 23`.
    HourOfWeek,
    /// A hashtag of the text: one contribution per distinct tag.
    Tag,
    /// A name the text says with `@`: one contribution per distinct name.
    Mention,
}

impl GroupColumn {
    /// All columns, in the order of the documentation.
    pub const ALL: [GroupColumn; 12] = [
        GroupColumn::Thread,
        GroupColumn::Entity,
        GroupColumn::Source,
        GroupColumn::Author,
        GroupColumn::Label,
        GroupColumn::Emotion,
        GroupColumn::Phase,
        GroupColumn::Hour,
        GroupColumn::Weekday,
        GroupColumn::HourOfWeek,
        GroupColumn::Tag,
        GroupColumn::Mention,
    ];

    /// Those that a post brings with it, whatever is thought of it.
    pub const GIVEN: [GroupColumn; 4] = [
        GroupColumn::Thread,
        GroupColumn::Entity,
        GroupColumn::Source,
        GroupColumn::Author,
    ];

    /// Those that a post has by itself, outside of any view.
    pub const OF_POSTS: [GroupColumn; 8] = [
        GroupColumn::Thread,
        GroupColumn::Entity,
        GroupColumn::Source,
        GroupColumn::Author,
        GroupColumn::Label,
        GroupColumn::Emotion,
        GroupColumn::Tag,
        GroupColumn::Mention,
    ];

    /// Whether a post may be in several groups by this column, or in none.
    pub fn is_many(self) -> bool {
        matches!(self, GroupColumn::Entity | GroupColumn::Tag | GroupColumn::Mention)
    }

    /// The column's name in config, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            GroupColumn::Thread => "thread",
            GroupColumn::Entity => "entity",
            GroupColumn::Source => "source",
            GroupColumn::Author => "author",
            GroupColumn::Label => "label",
            GroupColumn::Emotion => "emotion",
            GroupColumn::Phase => "phase",
            GroupColumn::Hour => "hour",
            GroupColumn::Weekday => "weekday",
            GroupColumn::HourOfWeek => "hour_of_week",
            GroupColumn::Tag => "tag",
            GroupColumn::Mention => "mention",
        }
    }

    /// Whether it is read from a calendar, so that the view's time zone decides.
    pub fn of_calendar(self) -> bool {
        matches!(self, GroupColumn::Hour | GroupColumn::Weekday | GroupColumn::HourOfWeek)
    }
}

/// A number a view shows, computed from the sums of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Distinct live posts, scored or not.
    Posts,
    /// Σw over scored posts: what `sentiment` divides by.
    Weight,
    /// Σw·x / Σw in [−1, 1]; null without scored posts.
    Sentiment,
    /// Half-width of the 95 % interval of `sentiment`; null below two effective posts.
    SentimentCi,
    /// Posts labelled positive.
    Positive,
    /// Posts labelled neutral.
    Neutral,
    /// Posts labelled negative.
    Negative,
    /// Posts above the toxicity cut-off.
    Toxic,
    /// Posts above the sarcasm cut-off.
    Sarcastic,
    /// Posts whose sentiment is in `sentiment`: those with a score, but for what the policies leave out.
    Scored,
    /// Distinct authors of the posts; posts without an author add none.
    Authors,
}

impl Measure {
    /// All measures, in the order of the documentation.
    pub const ALL: [Measure; 11] = [
        Measure::Posts,
        Measure::Weight,
        Measure::Sentiment,
        Measure::SentimentCi,
        Measure::Positive,
        Measure::Neutral,
        Measure::Negative,
        Measure::Toxic,
        Measure::Sarcastic,
        Measure::Scored,
        Measure::Authors,
    ];

    /// Those that are sums: what a view shows if it does not say, and what rules may use. The others cost state of their own.
    pub const SUMS: [Measure; 10] = [
        Measure::Posts,
        Measure::Weight,
        Measure::Sentiment,
        Measure::SentimentCi,
        Measure::Positive,
        Measure::Neutral,
        Measure::Negative,
        Measure::Toxic,
        Measure::Sarcastic,
        Measure::Scored,
    ];

    /// The measure's name in config, expressions, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Posts => "posts",
            Measure::Weight => "weight",
            Measure::Sentiment => "sentiment",
            Measure::SentimentCi => "sentiment_ci",
            Measure::Positive => "positive",
            Measure::Neutral => "neutral",
            Measure::Negative => "negative",
            Measure::Toxic => "toxic",
            Measure::Sarcastic => "sarcastic",
            Measure::Scored => "scored",
            Measure::Authors => "authors",
        }
    }

    /// The measure's value for a group's sums; `None` is null.
    #[allow(clippy::cast_precision_loss)]
    pub fn value(self, acc: &crate::acc::Acc) -> Option<f64> {
        match self {
            Measure::Posts => Some(f64::from(acc.posts)),
            Measure::Weight => Some(acc.w as f64 / UNIT as f64),
            Measure::Sentiment => acc.sentiment(),
            Measure::SentimentCi => acc.sentiment_ci(),
            Measure::Positive => Some(f64::from(acc.positive)),
            Measure::Neutral => Some(f64::from(acc.neutral)),
            Measure::Negative => Some(f64::from(acc.negative)),
            Measure::Toxic => Some(f64::from(acc.toxic)),
            Measure::Sarcastic => Some(f64::from(acc.sarcastic)),
            Measure::Scored => Some(f64::from(acc.scored)),
            Measure::Authors => Some(f64::from(acc.authors)),
        }
    }

    /// Whether the value is a whole number.
    pub fn is_count(self) -> bool {
        !matches!(self, Measure::Weight | Measure::Sentiment | Measure::SentimentCi)
    }
}

/// How a view cuts event time. All lengths in milliseconds; windows are UTC and half-open, `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // a handful of them, which nobody moves about
pub enum WindowSpec {
    /// Fixed windows side by side.
    Tumble {
        /// Length.
        size: i64,
    },
    /// Fixed windows of `size` starting every `every`.
    Hop {
        /// Length.
        size: i64,
        /// Distance between starts; divides `size`.
        every: i64,
    },
    /// One row per group: the last `size` before the recorded clock, moved in steps of `every`.
    Sliding {
        /// Length.
        size: i64,
        /// Step; divides `size`.
        every: i64,
    },
    /// The phases of each thread. The view groups by `thread` and `phase` and at most one column more: of anchored rows the
    /// last place of the group holds the end of the window.
    Anchored(Phases),
    /// Runs of posts that follow one another closely. The view groups by at most three columns: the last place of the group
    /// holds the end of the window here too.
    Session(Sessions),
}

impl WindowSpec {
    /// Length of a window; the most there can be, where that is no fixed number.
    pub fn size(&self) -> i64 {
        match self {
            WindowSpec::Tumble { size } | WindowSpec::Hop { size, .. } | WindowSpec::Sliding { size, .. } => *size,
            WindowSpec::Anchored(phases) => phases.longest_window(),
            WindowSpec::Session(sessions) => sessions.longest_window(),
        }
    }

    /// How long before the end of a row's window posts may lie that decide about the row.
    pub fn reach(&self) -> i64 {
        match self {
            WindowSpec::Session(sessions) => sessions.reach(),
            _ => self.size(),
        }
    }

    /// Bounds of the window of a row, where they are fixed; a sliding view's come from the clock.
    pub fn bounds(&self, key: &ViewKey) -> (EventTime, EventTime) {
        match self {
            WindowSpec::Anchored(_) | WindowSpec::Session(_) => (key.start, anchored::end_of(&key.group)),
            _ => (key.start, key.start.saturating_add(self.size())),
        }
    }

    /// Bounds of the window of a row at a clock.
    pub fn bounds_at(&self, key: &ViewKey, clock: EventTime) -> (EventTime, EventTime) {
        match self {
            WindowSpec::Sliding { .. } => self.sliding_bounds(clock),
            _ => self.bounds(key),
        }
    }

    /// Whether windows lie side by side at fixed distances, as rules need them.
    pub fn is_regular(&self) -> bool {
        !matches!(self, WindowSpec::Anchored(_) | WindowSpec::Session(_))
    }

    /// Bounds of a sliding window at a clock: the step under way is included, so that news shows at once.
    pub fn sliding_bounds(&self, clock: EventTime) -> (EventTime, EventTime) {
        // Before the first record of a replay the clock is the least time there is.
        let clock = clock.max(EventTime::MIN / 2);
        let end = clock.div_euclid(self.step()) * self.step() + self.step();
        (end - self.size(), end)
    }

    /// Distance between window starts; 1 where they start anywhere.
    pub fn step(&self) -> i64 {
        match self {
            WindowSpec::Tumble { size } => *size,
            WindowSpec::Hop { every, .. } | WindowSpec::Sliding { every, .. } => *every,
            WindowSpec::Anchored(_) | WindowSpec::Session(_) => 1,
        }
    }
}

/// A view: who is grouped, when, and what is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSpec {
    /// Its name: table, route and subscription.
    pub name: String,
    /// At most four columns.
    pub group_by: Vec<GroupColumn>,
    /// The windows.
    pub window: WindowSpec,
    /// The columns shown.
    pub measures: Vec<Measure>,
    /// Windows that ended this long before the clock are dropped (ms); `None` keeps them.
    pub keep: Option<i64>,
    /// What else it has.
    #[serde(default)]
    pub extras: Extras,
}

impl ViewSpec {
    /// Words that stand in the view's rows without having come in a record: to be made known once.
    pub fn words(&self) -> Vec<String> {
        let of = |column: &GroupColumn| -> Vec<String> {
            match (column, &self.window) {
                (GroupColumn::Label, _) => Label::ALL.map(|label| label.name().to_owned()).to_vec(),
                (GroupColumn::Emotion, _) => EMOTIONS.map(str::to_owned).to_vec(),
                (GroupColumn::Hour, _) => HOURS.iter().map(|hour| (*hour).to_owned()).collect(),
                (GroupColumn::Weekday, _) => WEEKDAYS.map(str::to_owned).to_vec(),
                (GroupColumn::HourOfWeek, _) => HOURS_OF_WEEK.clone(),
                (GroupColumn::Phase, WindowSpec::Anchored(phases)) => {
                    phases.iter().map(|phase| phase.name.as_str().to_owned()).collect()
                }
                _ => Vec::new(),
            }
        };
        self.group_by.iter().flat_map(of).collect()
    }

    /// A digest of how the view groups and cuts time: what state carried over a restart depends on.
    pub fn shape(&self) -> u64 {
        let columns: Vec<_> = self.group_by.iter().map(|c| c.name()).collect();
        let (size, every) = (self.window.size(), self.window.step());
        let kind = match self.window {
            WindowSpec::Tumble { .. } => "tumble",
            WindowSpec::Hop { .. } => "hop",
            WindowSpec::Sliding { .. } => "sliding",
            WindowSpec::Anchored(_) => "anchored",
            WindowSpec::Session(_) => "session",
        };
        let mut shape = format!("{}|{kind}|{size}|{every}", columns.join(","));
        if let WindowSpec::Session(sessions) = self.window {
            shape.push_str(&format!("|{}", sessions.gap));
        }
        if self.group_by.iter().any(|column| column.of_calendar()) {
            shape.push('|');
            shape.push_str(self.extras.zone.name());
        }
        Dim::of(&shape).0
    }
}

/// Key of a view row: group values in the order of `group_by` (unused slots are [`Dim::NONE`]; where windows do
/// not lie side by side the last holds the window's end) and window start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ViewKey {
    /// Group values.
    pub group: [Dim; 4],
    /// Window start, epoch ms; 0 for sliding windows, whose bounds move with the clock.
    pub start: EventTime,
}

impl ViewKey {
    /// The key of a row whose window's end does not follow from its start.
    #[must_use]
    pub fn with_end(mut group: [Dim; 4], start: EventTime, end: EventTime) -> Self {
        group[anchored::END] = Dim(end.cast_unsigned());
        ViewKey { group, start }
    }

    /// The same with start and end of an anchored window in each other's place: to order and drop rows by their end.
    #[must_use]
    pub fn by_end(self) -> Self {
        ViewKey::with_end(self.group, anchored::end_of(&self.group), self.start)
    }
}

/// Greatest weight a post can have.
pub const MAX_WEIGHT: i64 = 65_536;

/// How votes become a weight.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightSpec {
    /// w = 1 + ln(1 + max(votes, 0)).
    #[default]
    Log1p,
    /// w = clamp(votes, 1, max).
    LinearClamped {
        /// Greatest weight.
        max: i64,
    },
    /// w = 1.
    Uniform,
    /// Step function: the weight of the last threshold that votes reach; 1 below the first.
    Table {
        /// `(votes, weight in UNITs)`, thresholds ascending.
        steps: Vec<(i64, i64)>,
    },
}

impl WeightSpec {
    /// The weight of a post in [`UNIT`]s; unknown votes weigh one.
    ///
    /// `ln` comes from `libm`, not the platform: the same votes give the same integer on every machine.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn weight(&self, votes: Option<i64>) -> i64 {
        let Some(votes) = votes else { return UNIT };
        match self {
            WeightSpec::Log1p => UNIT + (libm::log1p(votes.max(0) as f64) * UNIT as f64).round() as i64,
            WeightSpec::LinearClamped { max } => votes.clamp(1, (*max).clamp(1, MAX_WEIGHT)) * UNIT,
            WeightSpec::Uniform => UNIT,
            WeightSpec::Table { steps } => steps
                .iter()
                .take_while(|(from, _)| votes >= *from)
                .last()
                .map_or(UNIT, |(_, w)| *w),
        }
    }
}

/// How texts are linked to entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Confidence of an exact mention, ppm.
    pub exact_confidence: i32,
    /// Least partial ratio (0–100) of a fuzzy mention; `None` switches fuzzy matching off.
    pub fuzzy_min: Option<u8>,
    /// A reply without a mention inherits its parent's.
    pub inherit_from_parent: bool,
    /// The literal rule of the first systems: `alias in text`, substrings included.
    pub seed_compat: bool,
}

impl Default for LinkSpec {
    fn default() -> Self {
        LinkSpec {
            exact_confidence: 950_000,
            fuzzy_min: Some(85),
            inherit_from_parent: true,
            seed_compat: false,
        }
    }
}

/// How a mention was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// An alias as whole words.
    Exact,
    /// The canonical name, approximately.
    Fuzzy,
    /// The post it replies to mentions the entity.
    Inherited,
    /// No entity: a hashtag.
    Tag,
    /// No entity: a name the text says.
    Named,
}

/// A whole pipeline, minus its connectors: what the graph is rendered from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphSpec {
    /// Pipeline name.
    pub name: String,
    /// Views.
    pub views: Vec<ViewSpec>,
    /// Linking.
    pub link: LinkSpec,
    /// Weights.
    pub weight: WeightSpec,
    /// How answers count.
    #[serde(default)]
    pub scoring: ScoringSpec,
    /// Keyword events; `None` looks for none.
    #[serde(default)]
    pub events: Option<EventsSpec>,
    /// The numbers of posts and authors that views may use, the votes first; see [`crate::number::NumberSpec::declare`].
    #[serde(default)]
    pub numbers: Vec<NumberSpec>,
    /// Whether ties are taken in: what users did with posts, and whom they follow.
    #[serde(default)]
    pub ties: bool,
}
