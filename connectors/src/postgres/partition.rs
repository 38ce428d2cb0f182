//! How the table of a view with `keep` is cut into partitions, and when one is over.
//!
//! Pure. A partition holds the windows that start in `[start, start + length)`. It is over when the last of them is dropped
//! by the engine. Windows that start far ahead of the clock (a post may be dated years ahead) go into partitions 64, 64² or
//! 64³ times as long, so that hostile dates cannot make more than some hundred of them. There is no default partition:
//! beside one, Postgres lets nobody read while another is attached.

use groundswell_core::spec::{ViewSpec, WindowSpec};
use groundswell_core::time::{DAY, EventTime, HOUR, MINUTE};
use std::collections::BTreeMap;

/// About as many partitions are live at a time.
const LIVE: i64 = 64;
/// Shorter partitions would come and go faster than a database likes.
const SHORTEST: i64 = 10 * MINUTE;
/// Lengths that people find in a listing again.
const EVEN: [i64; 11] = [
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
];
/// Partitions ahead of the clock that are still of the shortest kind.
const AHEAD: i64 = 4;
/// How much longer partitions of the next level are.
const FACTOR: i64 = 64;
/// Levels above the shortest.
const LEVELS: u32 = 3;
/// No partition is longer.
const LONGEST: i64 = 36_500 * DAY;

/// The partitions of a table: their level by start.
pub(super) type Parts = BTreeMap<EventTime, u32>;

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) start: EventTime,
    pub(super) level: u32,
}

/// The cut of one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) length: i64,
    step: i64,
    /// A window is dropped this long after its start.
    life: i64,
}

impl Cut {
    /// How a view's table is cut; `None` if nothing in it expires by the start of its window.
    pub(super) fn of(spec: &ViewSpec) -> Option<Self> {
        let keep = spec.keep?;
        if matches!(spec.window, WindowSpec::Sliding { .. }) {
            return None;
        }
        let (step, life) = (spec.window.step(), keep.saturating_add(spec.window.size()));
        let wanted = (life / LIVE).max(SHORTEST).max(step);
        let even = EVEN
            .iter()
            .copied()
            .find(|l| *l >= wanted && *l / 4 <= wanted && l % step == 0);
        let length = even.unwrap_or_else(|| (wanted.saturating_add(step - 1) / step).saturating_mul(step));
        Some(Cut { length, step, life })
    }

    /// The last window start that the engine has dropped at a clock.
    pub(super) fn expired(self, clock: EventTime) -> EventTime {
        clock.saturating_sub(self.life)
    }

    fn length_at(self, level: u32) -> i64 {
        self.length.saturating_mul(FACTOR.saturating_pow(level))
    }

    /// The first window start beyond a partition.
    pub(super) fn end(self, part: Part) -> EventTime {
        part.start.saturating_add(self.length_at(part.level))
    }

    /// The partition a window is in.
    pub(super) fn find(self, parts: &Parts, start: EventTime) -> Option<Part> {
        let (&from, &level) = parts.range(..=start).next_back()?;
        let part = Part { start: from, level };
        (start < self.end(part)).then_some(part)
    }

    /// The partition a window belongs into: the one it is in, or the longest that is free and wholly ahead of the clock, or
    /// the shortest.
    pub(super) fn place(self, parts: &Parts, start: EventTime, clock: EventTime) -> Part {
        if let Some(part) = self.find(parts, start) {
            return part;
        }
        // Before the first event the clock is the least time there is: then nothing is ahead.
        let ahead = clock.saturating_add(AHEAD.saturating_mul(self.length));
        let cell = |level: u32| {
            let length = self.length_at(level);
            start.div_euclid(length).saturating_mul(length)
        };
        let fits = |level: &u32| {
            let (from, length) = (cell(*level), self.length_at(*level));
            length <= LONGEST
                && clock > EventTime::MIN / 2
                && from >= ahead
                && parts.range(from..from.saturating_add(length)).next().is_none()
        };
        let level = (1..=LEVELS).rev().find(fits).unwrap_or(0);
        Part {
            start: cell(level),
            level,
        }
    }

    /// Whether all windows of a partition are dropped at a clock.
    pub(super) fn is_over(self, part: Part, clock: EventTime) -> bool {
        self.end(part).saturating_sub(self.step) <= self.expired(clock)
    }
}

/// The name of a partition's table. No view begins with an underscore.
pub(super) fn table_name(view: &str, part: Part) -> String {
    // Names have at most 63 bytes; a start up to 20 of them.
    let digest = groundswell_core::id::PostKey::of(view.as_bytes()).to_string();
    let view = match view.len() {
        ..=36 => view.to_owned(),
        _ => format!("{}_{}", &view[..view.floor_char_boundary(27)], &digest[..8]),
    };
    match part.level {
        0 => format!("_{view}_{}", part.start),
        level => format!("_{view}_{}x{level}", part.start),
    }
}

/// The partition that a table's name stands for.
pub(super) fn part_of(table: &str) -> Option<Part> {
    let (_, place) = table.rsplit_once('_')?;
    let (start, level) = place.split_once('x').unwrap_or((place, "0"));
    Some(Part {
        start: start.parse().ok()?,
        level: level.parse().ok().filter(|level| *level <= LEVELS)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(window: WindowSpec, keep: i64) -> Cut {
        Cut::of(&ViewSpec {
            name: "v".into(),
            group_by: Vec::new(),
            window,
            measures: Vec::new(),
            keep: Some(keep),
            extras: groundswell_core::spec::Extras::default(),
        })
        .expect("cut")
    }

    #[test]
    fn lengths_fit_keep_and_hold_whole_steps() {
        let tumble = |size| WindowSpec::Tumble { size };
        assert_eq!(cut(tumble(MINUTE), 30 * DAY).length, 12 * HOUR);
        assert_eq!(cut(tumble(1000), 30_000).length, 10 * MINUTE);
        assert_eq!(cut(tumble(7 * MINUTE), DAY).length, 28 * MINUTE);
        assert_eq!(cut(tumble(DAY), 5 * DAY).length, DAY);
        assert_eq!(cut(tumble(HOUR), i64::MAX).length % HOUR, 0);
        let hop = WindowSpec::Hop {
            size: HOUR,
            every: 5 * MINUTE,
        };
        assert_eq!(cut(hop, DAY).length, 30 * MINUTE);
        for window in [tumble(1), tumble(13), tumble(977), tumble(36_500 * DAY), hop] {
            for keep in [window.size(), 10 * window.size(), 36_500 * DAY] {
                let cut = cut(window, keep);
                assert!(
                    cut.length >= window.step() && cut.length % window.step() == 0,
                    "{window:?} {keep}: {cut:?}"
                );
            }
        }
    }

    #[test]
    fn a_partition_is_over_with_its_last_window() {
        let step = 7 * MINUTE;
        let cut = cut(WindowSpec::Tumble { size: step }, DAY);
        let clock = 100 * DAY + 12_345;
        for start in (0..2_000).map(|i| 98 * DAY / step * step + i * step) {
            let part = cut.place(&Parts::new(), start, clock);
            assert!(part.start <= start && start < cut.end(part) && cut.length_at(part.level) % step == 0);
            let dropped = |start: i64| start + step + DAY <= clock;
            assert_eq!(start <= cut.expired(clock), dropped(start));
            assert_eq!(cut.is_over(part, clock), dropped(cut.end(part) - step));
        }
    }

    #[test]
    fn partitions_never_overlap_and_stay_few_whatever_the_dates() {
        let cut = cut(WindowSpec::Tumble { size: MINUTE }, HOUR);
        let mut parts = Parts::new();
        let (mut state, mut clock, mut most) = (1u64, 19_000 * DAY, 0);
        for _ in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            clock += i64::try_from(state >> 44).expect("small");
            let ahead = i64::try_from(state >> 20).expect("44 bits") >> (state % 30);
            let start = (clock - 30 * MINUTE + ahead % (100 * 365 * DAY)) / MINUTE * MINUTE;
            let part = cut.place(&parts, start, clock);
            assert_eq!(
                cut.find(&parts, start).is_some(),
                parts.insert(part.start, part.level).is_some()
            );
            assert_eq!(cut.find(&parts, start), Some(part));
            parts.retain(|start, level| {
                !cut.is_over(
                    Part {
                        start: *start,
                        level: *level,
                    },
                    clock,
                )
            });
            most = most.max(parts.len());
        }
        let ends: Vec<(i64, i64)> = parts
            .iter()
            .map(|(start, level)| {
                (
                    *start,
                    cut.end(Part {
                        start: *start,
                        level: *level,
                    }),
                )
            })
            .collect();
        assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ends:?}");
        assert!(most < 500, "{most} partitions");
        assert_eq!(cut.place(&Parts::new(), 19_000 * DAY, EventTime::MIN).level, 0);
    }

    #[test]
    fn names_fit_and_tell_their_partition() {
        let longest = "v".repeat(63);
        for view in ["by_minute", &longest] {
            for (start, level) in [(0, 0), (-3_600_000, 1), (7_258_118_400_000, 3)] {
                let part = Part { start, level };
                let name = table_name(view, part);
                assert!(name.len() <= 63 && name.starts_with('_'), "{name}");
                assert_eq!(part_of(&name), Some(part));
            }
        }
        assert_eq!((part_of("_progress"), part_of("_v_1x9")), (None, None));
    }
}
