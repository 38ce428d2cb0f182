//! Windows anchored to a thread's own times: phases before, while and after what the thread discusses.
//!
//! Pure data: a view's phases, and for a thread's times the bounds of each. Times that are missing, or that leave nothing
//! between a phase's bounds, leave the phase out.

use crate::id::Dim;
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// Most phases of a view.
pub const MOST_PHASES: usize = 6;

/// Longest name of a phase, in bytes.
pub const LONGEST_NAME: usize = 16;

/// A phase's name; short, so that a window stays a plain value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhaseName {
    bytes: [u8; LONGEST_NAME],
    length: u8,
}

impl PhaseName {
    /// A name of 1 to [`LONGEST_NAME`] bytes; `None` for any other.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST_NAME];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let length = u8::try_from(name.len()).ok().filter(|n| *n > 0)?;
        Some(PhaseName { bytes, length })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let used = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(used).unwrap_or_default()
    }
}

impl std::fmt::Debug for PhaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Serialize for PhaseName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PhaseName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        PhaseName::new(&name).ok_or_else(|| serde::de::Error::custom(format!("\"{name}\" cannot name a phase")))
    }
}

/// A time of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// When what it discusses starts.
    AirTime,
    /// When that ends.
    EndsAt,
}

impl Anchor {
    /// All of them.
    pub const ALL: [Anchor; 2] = [Anchor::AirTime, Anchor::EndsAt];

    /// Its name in config: that of the thread record's field.
    pub fn name(self) -> &'static str {
        match self {
            Anchor::AirTime => "air_time",
            Anchor::EndsAt => "ends_at",
        }
    }
}

/// A bound of a phase: so long after (or, negative, before) one of the thread's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Which time.
    pub anchor: Anchor,
    /// How long after it (ms).
    pub offset: i64,
}

/// A phase: posts written from one bound up to, and without, the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Phase {
    /// Its name: the value of the column `phase`.
    pub name: PhaseName,
    /// Where it begins.
    pub from: Edge,
    /// Where it ends.
    pub to: Edge,
}

/// The times of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Anchors {
    /// When what it discusses starts (epoch ms).
    pub air_time: Option<EventTime>,
    /// When that ends (epoch ms).
    pub ends_at: Option<EventTime>,
}

/// The phases of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Phases {
    /// In the order of the configuration; the first ones are used.
    all: [Option<Phase>; MOST_PHASES],
    /// How long after its air time a thread ends that does not say when (ms).
    pub lasts: Option<i64>,
    /// What of a phase lies further than this from its beginning is not in it (ms).
    pub longest: i64,
}

impl Phases {
    /// At least one and at most [`MOST_PHASES`] phases; `None` for any other number.
    pub fn new(phases: &[Phase], lasts: Option<i64>, longest: i64) -> Option<Self> {
        let mut all = [None; MOST_PHASES];
        if phases.is_empty() || phases.len() > all.len() {
            return None;
        }
        for (slot, phase) in all.iter_mut().zip(phases) {
            *slot = Some(*phase);
        }
        Some(Phases { all, lasts, longest })
    }

    /// The phases, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Phase> {
        self.all.iter().flatten()
    }

    /// The most that a window can last (ms).
    pub fn longest_window(&self) -> i64 {
        let fixed = |phase: &Phase| {
            let length = phase.to.offset.saturating_sub(phase.from.offset);
            if phase.from.anchor == phase.to.anchor {
                length.min(self.longest)
            } else {
                self.longest
            }
        };
        self.iter().map(fixed).max().unwrap_or(self.longest)
    }

    /// The window of a phase of a thread, `[start, end)`.
    pub fn window(&self, phase: &Phase, thread: Anchors) -> Option<(EventTime, EventTime)> {
        let at = |edge: Edge| {
            let anchor = match edge.anchor {
                Anchor::AirTime => thread.air_time?,
                Anchor::EndsAt => match thread.ends_at {
                    Some(ends_at) => ends_at,
                    None => thread.air_time?.checked_add(self.lasts?)?,
                },
            };
            anchor.checked_add(edge.offset)
        };
        let (start, end) = (at(phase.from)?, at(phase.to)?);
        let end = end.min(start.saturating_add(self.longest));
        (start < end).then_some((start, end))
    }
}

/// A row's place for the end of its window, beside the start: anchored windows end where their thread says.
pub(super) const END: usize = 3;

/// The end of a window as it stands in a group.
pub(super) fn end_of(group: &[Dim; 4]) -> EventTime {
    group[END].0.cast_signed()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn phase(name: &str, from: (Anchor, i64), to: (Anchor, i64)) -> Phase {
        let edge = |(anchor, offset)| Edge { anchor, offset };
        Phase {
            name: PhaseName::new(name).unwrap(),
            from: edge(from),
            to: edge(to),
        }
    }

    fn phases(lasts: Option<i64>) -> Phases {
        use Anchor::{AirTime, EndsAt};
        let all = [
            phase("pre", (AirTime, -100), (AirTime, 0)),
            phase("live", (AirTime, 0), (EndsAt, 0)),
            phase("post", (EndsAt, 0), (EndsAt, 50)),
        ];
        Phases::new(&all, lasts, 1_000).unwrap()
    }

    fn windows(phases: &Phases, air_time: Option<i64>, ends_at: Option<i64>) -> Vec<Option<(i64, i64)>> {
        let thread = Anchors { air_time, ends_at };
        phases.iter().map(|phase| phases.window(phase, thread)).collect()
    }

    #[test]
    fn phases_follow_the_times_of_the_thread() {
        let (open, lasting) = (phases(None), phases(Some(30)));
        let all = [Some((400, 500)), Some((500, 700)), Some((700, 750))];
        assert_eq!(windows(&open, Some(500), Some(700)), all);
        assert_eq!(windows(&open, Some(500), None), [all[0], None, None]);
        assert_eq!(
            windows(&lasting, Some(500), None),
            [all[0], Some((500, 530)), Some((530, 580))]
        );
        assert_eq!(windows(&open, None, Some(700)), [None, None, all[2]]);
        assert_eq!(windows(&open, None, None), [None; 3]);
    }

    #[test]
    fn what_makes_no_sense_leaves_the_phase_out_and_nothing_lasts_for_ever() {
        let all = phases(None);
        assert_eq!(windows(&all, Some(500), Some(400))[1], None, "ended before it began");
        assert_eq!(windows(&all, Some(500), Some(i64::MAX))[1], Some((500, 1_500)));
        assert_eq!(windows(&all, Some(i64::MIN), Some(0))[0], None);
        assert_eq!(all.longest_window(), 1_000);
    }

    #[test]
    fn names_are_short_and_survive_being_written() {
        assert_eq!(PhaseName::new(""), None);
        assert_eq!(PhaseName::new("seventeen_letters"), None);
        let name = PhaseName::new("sixteen__letters").unwrap();
        let text = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<PhaseName>(&text).unwrap(), name);
        assert_eq!(name.as_str(), "sixteen__letters");
    }
}
