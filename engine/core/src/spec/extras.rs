//! What a view may have beyond groups, windows and measures: columns by formula, gates, a time zone, top posts.
//!
//! Everything is off by default and costs nothing then. What a view shows, in which order and of which type, is decided in
//! one place: [`ViewSpec::shows`] and [`Shown::cell`]; files, tables, topics and routes follow it.

use super::{Measure, ViewSpec};
use crate::acc::Acc;
use crate::expr::Formula;
use crate::number::{NumberSpec, Numbers, PARTS};
use serde::{Deserialize, Serialize};

/// The name of the column that says whether a row is beyond the view's gates.
pub const BASIS: &str = "basis";
/// The name of the column of top posts.
pub const TOP: &str = "top";
/// Most top posts of a row.
pub const MOST_TOP: usize = 100;

/// See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extras {
    /// Columns by formula, after the measures.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// The numbers that columns and top posts use.
    #[serde(default)]
    pub numbers: Vec<Used>,
    /// What rows must have for their numbers to be shown.
    #[serde(default)]
    pub gates: Gates,
    /// Where the clock hangs that hours and days are read from.
    #[serde(default)]
    pub zone: Zone,
    /// The top posts of each row.
    #[serde(default)]
    pub top: Option<Top>,
    /// No rule watches it.
    #[serde(default)]
    pub unwatched: bool,
    /// The ticks are counted at which its rows changed after the end of their window.
    #[serde(default)]
    pub revisions: bool,
}

/// A column by formula.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its formula.
    pub formula: Formula,
    /// Which of its numbers: a share has bounds.
    pub part: Part,
}

/// Which number of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its value.
    Value,
    /// The lower end of its 95 % interval.
    Low,
    /// The upper end.
    High,
}

impl Column {
    /// The columns of a formula: its value, and for a share its bounds.
    pub fn of(name: &str, formula: &Formula) -> Vec<Column> {
        let column = |suffix: &str, part| Column {
            name: format!("{name}{suffix}"),
            formula: formula.clone(),
            part,
        };
        let mut columns = vec![column("", Part::Value)];
        if formula.is_share() {
            columns.extend([column("_low", Part::Low), column("_high", Part::High)]);
        }
        columns
    }
}

/// A number that a view uses, and what has to be kept for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The number.
    pub number: NumberSpec,
    /// Whether its least and greatest values are asked for.
    pub bounds: bool,
    /// Whether the sum of its squares is.
    pub squares: bool,
}

/// What a row must have: one that lacks it shows counts, but no numbers made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gates {
    /// Posts.
    pub min_posts: i32,
    /// Distinct authors.
    pub min_authors: i32,
    /// Effective posts, (Σw)² / Σw².
    pub min_n_eff: i32,
}

impl Gates {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        *self != Gates::default()
    }

    /// Whether a row has what it must.
    pub fn pass(&self, acc: &Acc) -> bool {
        acc.posts >= self.min_posts
            && acc.authors >= self.min_authors
            // A weight of one each gives exactly as many as there are, but for the last bit of the division.
            && (self.min_n_eff == 0 || acc.n_eff() >= f64::from(self.min_n_eff) - 1e-9)
    }
}

/// The posts with the most of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// How many, at most.
    pub k: usize,
    /// Index into [`Extras::numbers`].
    pub by: usize,
}

/// A time zone of the database that is built in, so that an hour is the same on every machine.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    zone: jiff::tz::TimeZone,
}

impl Zone {
    /// The zone of this name (`Europe/Berlin`), as the database writes it; none if there is no such zone.
    pub fn named(name: &str) -> Option<Zone> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(name).ok()?;
        let name = zone.iana_name().unwrap_or("UTC").to_owned();
        Some(Zone { name, zone })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Weekday (0 is Monday) and hour there at a moment.
    pub fn hour_of(&self, at: crate::time::EventTime) -> (usize, usize) {
        // What lies beyond the calendar has none; it is put at its end.
        let end = if at < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        let at = jiff::Timestamp::from_millisecond(at).unwrap_or(end);
        let local = self.zone.to_datetime(at);
        let (day, hour) = (local.date().weekday().to_monday_zero_offset(), local.hour());
        (
            usize::try_from(day).unwrap_or_default(),
            usize::try_from(hour).unwrap_or_default(),
        )
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone {
            name: "UTC".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
        }
    }
}
impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Zone {}
impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Zone::named(&name).ok_or_else(|| format!("there is no time zone \"{name}\""))
    }
}
impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// A whole number; the flag says that it is never null.
    Whole(bool),
    /// A number or null.
    Real,
    /// A word.
    Word,
    /// Posts.
    Posts,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A whole number.
    Whole(Option<i64>),
    /// A number, never NaN or infinite.
    Real(Option<f64>),
    /// A word.
    Word(&'static str),
    /// Posts, with the number that each is there for.
    Posts {
        /// The posts.
        posts: &'a [crate::number::TopPost],
        /// Whether their numbers are in millionths.
        decimal: bool,
    },
}

/// A column that a view shows, after its groups and window.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// A measure.
    Measure(Measure),
    /// A formula.
    Column(&'a Column),
    /// Whether the row is beyond the gates.
    Basis,
    /// The top posts.
    Top(&'a Top),
}

impl<'a> Shown<'a> {
    /// The column's name in tables, files and JSON.
    pub fn name(&self) -> &'a str {
        match self {
            Shown::Measure(measure) => measure.name(),
            Shown::Column(column) => &column.name,
            Shown::Basis => BASIS,
            Shown::Top(_) => TOP,
        }
    }

    /// What it holds.
    pub fn kind(&self) -> CellKind {
        match self {
            Shown::Measure(measure) if measure.is_count() => CellKind::Whole(true),
            Shown::Column(column) if column.part == Part::Value && column.formula.is_whole() => CellKind::Whole(false),
            Shown::Measure(_) | Shown::Column(_) => CellKind::Real,
            Shown::Basis => CellKind::Word,
            Shown::Top(_) => CellKind::Posts,
        }
    }

    /// Its value in a row of the view.
    #[allow(clippy::cast_possible_truncation)] // whole numbers below 2^53, or what an i64 can say at most
    pub fn cell(&self, spec: &'a ViewSpec, acc: &Acc, numbers: Option<&'a Numbers>) -> Cell<'a> {
        let extras = &spec.extras;
        let real = |value: Option<f64>| value.filter(|v| v.is_finite());
        match self {
            Shown::Measure(measure) if measure.is_count() => Cell::Whole(measure.value(acc).map(|v| v as i64)),
            Shown::Measure(measure) => {
                // The weight is no estimate: it is there, however little it is.
                let open = *measure == Measure::Weight || extras.gates.pass(acc);
                Cell::Real(real(measure.value(acc)).filter(|_| open))
            }
            Shown::Column(column) => {
                let whole = self.kind() == CellKind::Whole(false);
                let open = whole || extras.gates.pass(acc);
                let value = column.formula.part(column.part, acc, &extras.numbers, numbers);
                let value = real(value).filter(|_| open);
                if whole {
                    Cell::Whole(value.map(|v| v as i64))
                } else {
                    Cell::Real(value)
                }
            }
            Shown::Basis => Cell::Word(if extras.gates.pass(acc) {
                "sufficient"
            } else {
                "insufficient"
            }),
            Shown::Top(top) => Cell::Posts {
                posts: numbers.map_or(&[], |n| &n.top),
                decimal: extras.numbers.get(top.by).is_some_and(|used| used.number.decimal),
            },
        }
    }
}

impl Extras {
    /// The parts that belong together: columns, and top posts by a number, with what they use of those declared.
    pub fn new(columns: Vec<Column>, top: Option<(usize, NumberSpec)>, declared: &[NumberSpec]) -> Extras {
        let mut numbers: Vec<Used> = Vec::new();
        let mut uses = |number: &NumberSpec, bounds: bool, squares: bool| {
            let at = numbers.iter().position(|used| used.number == *number);
            let at = at.unwrap_or_else(|| {
                numbers.push(Used {
                    number: number.clone(),
                    bounds: false,
                    squares: false,
                });
                numbers.len() - 1
            });
            numbers[at].bounds |= bounds;
            numbers[at].squares |= squares;
            at
        };
        for column in &columns {
            column.formula.each_use(&mut |name, bounds, squares| {
                if let Some(number) = declared.iter().find(|n| n.name == name) {
                    uses(number, bounds, squares);
                }
            });
        }
        let top = top.map(|(k, number)| Top {
            k,
            by: uses(&number, false, false),
        });
        Extras {
            columns,
            numbers,
            top,
            ..Extras::default()
        }
    }

    /// Whether authors have to be counted for it.
    pub fn counts_authors(&self) -> bool {
        self.gates.min_authors > 0 || self.columns.iter().any(|c| c.formula.uses_authors())
    }
}

impl ViewSpec {
    /// The columns after groups and window, in their order.
    pub fn shows(&self) -> impl Iterator<Item = Shown<'_>> + Clone {
        let gates = self.extras.gates.any().then_some(Shown::Basis);
        let measures = self.measures.iter().copied().map(Shown::Measure);
        measures
            .chain(self.extras.columns.iter().map(Shown::Column))
            .chain(gates)
            .chain(self.extras.top.iter().map(Shown::Top))
    }

    /// Whether its rows have numbers beyond their sums.
    pub fn has_numbers(&self) -> bool {
        !self.extras.numbers.is_empty()
    }
}

/// A decimal as it is shown.
#[allow(clippy::cast_precision_loss)] // within ±2^53
pub fn in_parts(value: i64, decimal: bool) -> f64 {
    value as f64 / if decimal { PARTS as f64 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_the_clock_on_the_wall() {
        let berlin = Zone::named("europe/berlin").expect("a zone");
        assert_eq!(berlin.name(), "Europe/Berlin");
        let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
        // Saturday night before the clocks go forward, and the hour after.
        assert_eq!(berlin.hour_of(at("2026-03-29T00:59:59Z")), (6, 1));
        assert_eq!(berlin.hour_of(at("2026-03-29T01:00:00Z")), (6, 3));
        // The hour that is there twice.
        assert_eq!(berlin.hour_of(at("2026-10-25T00:30:00Z")), (6, 2));
        assert_eq!(berlin.hour_of(at("2026-10-25T01:30:00Z")), (6, 2));
        let kathmandu = Zone::named("Asia/Kathmandu").expect("a zone");
        assert_eq!(kathmandu.hour_of(at("2026-11-22T18:14:59Z")), (6, 23));
        assert_eq!(kathmandu.hour_of(at("2026-11-22T18:15:00Z")), (0, 0));
        assert_eq!(Zone::default().hour_of(0), (3, 0));
        assert!(Zone::named("Mars/Olympus").is_none());
        // Beyond the calendar there are hours too.
        for at in [i64::MIN, i64::MAX] {
            assert!(berlin.hour_of(at).1 < 24);
        }
    }

    #[test]
    fn a_gate_counts_what_it_says() {
        let gates = Gates {
            min_posts: 2,
            min_authors: 0,
            min_n_eff: 2,
        };
        let one = Acc::scored(crate::acc::UNIT, 0, crate::score::Label::Neutral, false, false);
        let mut two = one;
        differential_dataflow::difference::Semigroup::plus_equals(&mut two, &one);
        assert!(gates.any() && !gates.pass(&one) && gates.pass(&two));
        let authors = Gates {
            min_authors: 1,
            ..Gates::default()
        };
        assert!(!authors.pass(&two) && authors.pass(&Acc { authors: 1, ..two }));
        assert!(!Gates::default().any() && Gates::default().pass(&Acc::default()));
    }
}
