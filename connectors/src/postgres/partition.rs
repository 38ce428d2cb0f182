//! How the table of a view with `keep` is cut into partitions, and when one is over.
//!
//! Pure. A partition holds the windows that start in `[start, start + length)`. It is over when the last of them is dropped
//! by the engine. Windows that start far ahead of the clock (a post may be dated years ahead) go into one default
//! partition, so that they do not make thousands of others.

use groundswell_core::spec::{ViewSpec, WindowSpec};
use groundswell_core::time::{DAY, EventTime, HOUR, MINUTE};

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
/// Partitions ahead of the clock that are still made one by one.
const AHEAD: i64 = 4;

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
        let even = EVEN.iter().copied().find(|l| *l >= wanted && l % step == 0);
        let length = even.unwrap_or_else(|| (wanted.saturating_add(step - 1) / step).saturating_mul(step));
        Some(Cut { length, step, life })
    }

    /// The last window start that the engine has dropped at a clock.
    pub(super) fn expired(self, clock: EventTime) -> EventTime {
        clock.saturating_sub(self.life)
    }

    /// The partition of a window.
    pub(super) fn partition(self, start: EventTime) -> EventTime {
        start.div_euclid(self.length).saturating_mul(self.length)
    }

    /// Whether all windows of a partition are dropped at a clock.
    pub(super) fn is_over(self, partition: EventTime, clock: EventTime) -> bool {
        partition.saturating_add(self.length - self.step) <= self.expired(clock)
    }

    /// Whether a window is so far ahead that it goes into the default partition.
    pub(super) fn is_far(self, start: EventTime, clock: EventTime) -> bool {
        // Before the first event the clock is the least time there is: then nothing is far.
        clock > EventTime::MIN / 2 && start >= clock.saturating_add(AHEAD.saturating_mul(self.length))
    }
}

/// The name of a partition's table, or without a start that of the default one. No view begins with an underscore.
pub(super) fn table_name(view: &str, start: Option<EventTime>) -> String {
    // Names have at most 63 bytes; a start up to 20 of them.
    let digest = groundswell_core::id::PostKey::of(view.as_bytes()).to_string();
    let view = match view.len() {
        ..=36 => view.to_owned(),
        _ => format!("{}_{}", &view[..view.floor_char_boundary(27)], &digest[..8]),
    };
    match start {
        Some(start) => format!("_{view}_{start}"),
        None => format!("_{view}_later"),
    }
}

/// The start in a partition's name.
pub(super) fn start_of(table: &str) -> Option<EventTime> {
    table.rsplit_once('_').and_then(|(_, start)| start.parse().ok())
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
        let cut = cut(WindowSpec::Tumble { size: 7 * MINUTE }, DAY);
        let clock = 100 * DAY + 12_345;
        for start in (0..2_000).map(|i| 98 * DAY / (7 * MINUTE) * (7 * MINUTE) + i * 7 * MINUTE) {
            let partition = cut.partition(start);
            assert!(partition <= start && start < partition + cut.length);
            let dropped = start + 7 * MINUTE + DAY <= clock;
            assert_eq!(start <= cut.expired(clock), dropped);
            assert!(
                !cut.is_over(partition, clock) || dropped,
                "a live window in a partition that is over"
            );
            let last = partition + cut.length - 7 * MINUTE;
            assert_eq!(cut.is_over(partition, clock), last + 7 * MINUTE + DAY <= clock);
        }
        assert!(cut.is_far(clock + 5 * cut.length, clock) && !cut.is_far(clock + cut.length, clock));
        assert!(!cut.is_far(clock, EventTime::MIN));
    }

    #[test]
    fn names_fit_and_tell_their_start() {
        let longest = "v".repeat(63);
        for view in ["by_minute", &longest] {
            for start in [0, -3_600_000, 7_258_118_400_000] {
                let name = table_name(view, Some(start));
                assert!(name.len() <= 63 && name.starts_with('_'), "{name}");
                assert_eq!(start_of(&name), Some(start));
            }
        }
        assert_eq!(start_of(&table_name("v", None)), None);
    }
}
