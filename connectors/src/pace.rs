//! When a replayed or generated event is due: event time mapped onto a clock that tests can replace.

use groundswell_core::source::StopFlag;
use std::time::{Duration, Instant};

/// The present, for sources. What a source reads from it reaches the graph only through the record.
pub trait Clock: Send + 'static {
    /// Time since some fixed moment; never runs backwards.
    fn elapsed(&self) -> Duration;
    /// Wall time, epoch milliseconds.
    fn wall_ms(&self) -> i64;
    /// Waits, or returns early when asked to stop.
    fn sleep(&self, duration: Duration, stop: &StopFlag);
}

/// The machine's clocks.
#[derive(Debug)]
pub struct WallClock(Instant);

impl Default for WallClock {
    fn default() -> Self {
        WallClock(Instant::now())
    }
}

impl Clock for WallClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn wall_ms(&self) -> i64 {
        groundswell_core::time::wall_now()
    }
    fn sleep(&self, duration: Duration, stop: &StopFlag) {
        stop.sleep(duration);
    }
}

/// Waits shorter than this are rounded up, so that a dense stream goes out in batches instead of one by one.
pub(crate) const GRAIN: Duration = Duration::from_millis(10);

/// Maps event time to the clock: the first event is due at once, every other one its distance divided by `speed` later.
/// Events older than one already released are due at once.
#[derive(Debug)]
pub(crate) struct Pacer {
    speed: f64,
    origin: Option<(Duration, i64)>,
}

impl Pacer {
    pub(crate) fn new(speed: f64) -> Self {
        Pacer { speed, origin: None }
    }

    /// How long to wait before an event of this time may go out; `None` when it is due.
    #[allow(clippy::cast_precision_loss)] // differences of event times are far below 2^53 ms
    pub(crate) fn wait(&mut self, clock: &impl Clock, event_ms: i64) -> Option<Duration> {
        let now = clock.elapsed();
        let (start, first) = *self.origin.get_or_insert((now, event_ms));
        let ahead_ms = event_ms.saturating_sub(first).max(0) as f64 / self.speed;
        let due = start + Duration::try_from_secs_f64(ahead_ms / 1_000.0).unwrap_or(Duration::MAX / 4);
        (due > now).then(|| (due - now).max(GRAIN))
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A clock that moves only when somebody sleeps.

    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Clones share the time.
    #[derive(Clone, Default)]
    pub(crate) struct FakeClock {
        micros: Arc<AtomicU64>,
        pub(crate) wall_start: i64,
    }

    impl FakeClock {
        pub(crate) fn at(wall_start: i64) -> Self {
            FakeClock {
                wall_start,
                ..FakeClock::default()
            }
        }
    }

    impl Clock for FakeClock {
        fn elapsed(&self) -> Duration {
            Duration::from_micros(self.micros.load(Ordering::SeqCst))
        }
        fn wall_ms(&self) -> i64 {
            self.wall_start + i64::try_from(self.elapsed().as_millis()).expect("small")
        }
        fn sleep(&self, duration: Duration, _: &StopFlag) {
            self.micros
                .fetch_add(u64::try_from(duration.as_micros()).expect("small"), Ordering::SeqCst);
        }
    }

    #[test]
    fn events_are_due_at_their_distance_over_speed() {
        let clock = FakeClock::default();
        let mut pacer = Pacer::new(10.0);
        assert_eq!(pacer.wait(&clock, 1_000_000), None);
        assert_eq!(pacer.wait(&clock, 1_005_000), Some(Duration::from_millis(500)));
        assert_eq!(pacer.wait(&clock, 999_000), None, "an older one is due at once");
        clock.sleep(Duration::from_millis(500), &StopFlag::default());
        assert_eq!(pacer.wait(&clock, 1_005_000), None);
        assert_eq!(pacer.wait(&clock, 1_005_001), Some(GRAIN));
    }
}
