//! When a sink that failed is tried again.
//!
//! Pure: failures and the time in, the time of the next attempt out. Pauses grow with full jitter, so that many sinks of one
//! database do not come back all at once. After some failures in a row the breaker opens: one attempt a minute, which is
//! the probe, until one succeeds.

use std::time::Duration;

/// Longest pause after the first failure; after each further one it is four times as long.
const FIRST: Duration = Duration::from_millis(250);
/// Failures in a row that open the breaker.
pub(crate) const BREAKS: u32 = 5;
/// How long it stays open.
pub(crate) const OPEN: Duration = Duration::from_secs(60);

/// Failures in a row and what follows from them. Times are since some beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    not_before: Duration,
}

impl Retry {
    /// Notes a failure; `roll` is uniform in [0, 1).
    pub(crate) fn failed(&mut self, now: Duration, roll: f64) {
        self.failures = self.failures.saturating_add(1);
        let pause = if self.is_open() {
            OPEN
        } else {
            (FIRST * 4_u32.saturating_pow(self.failures - 1)).mul_f64(roll.clamp(0.0, 1.0))
        };
        self.not_before = now + pause;
    }

    /// Notes a success.
    pub(crate) fn succeeded(&mut self) {
        *self = Retry::default();
    }

    /// The next attempt may be made at once: somebody says that what was wrong is mended.
    pub(crate) fn hurry(&mut self) {
        self.not_before = Duration::ZERO;
    }

    /// How long to wait until the next attempt.
    pub(crate) fn pause(&self, now: Duration) -> Duration {
        self.not_before.saturating_sub(now)
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether only probes are made.
    pub(crate) fn is_open(&self) -> bool {
        self.failures >= BREAKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts of a sink that fails until `mended`, as offsets from the first, with the same roll each time.
    fn attempts(mended: Duration, roll: f64) -> Vec<Duration> {
        let (mut retry, mut now, mut at) = (Retry::default(), Duration::ZERO, Vec::new());
        loop {
            now += retry.pause(now);
            at.push(now);
            if now >= mended {
                return at;
            }
            retry.failed(now, roll);
        }
    }

    #[test]
    fn pauses_grow_and_then_one_probe_a_minute_is_made() {
        let at = attempts(Duration::from_secs(200), 0.999_999);
        let pauses: Vec<u128> = at.windows(2).map(|w| (w[1] - w[0]).as_millis()).collect();
        assert_eq!(pauses, [249, 999, 3999, 15_999, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(
            attempts(Duration::from_secs(1), 0.0).len(),
            6,
            "five at once, then the breaker opens"
        );
        let at = attempts(Duration::from_secs(3), 0.5);
        assert_eq!(
            at.last().map(Duration::as_millis),
            Some(10_625),
            "125 + 500 + 2000 + 8000"
        );
    }

    #[test]
    fn a_success_closes_the_breaker_and_a_word_makes_it_try_at_once() {
        let mut retry = Retry::default();
        let now = Duration::from_secs(7);
        (0..BREAKS - 1).for_each(|_| retry.failed(now, 1.0));
        assert!(!retry.is_open());
        retry.failed(now, 0.0);
        assert!(retry.is_open() && retry.pause(now) == OPEN);
        retry.hurry();
        assert!(retry.is_open() && retry.pause(now).is_zero());
        retry.failed(now, 0.0);
        assert_eq!(retry.pause(now + OPEN / 2), OPEN / 2, "the probe failed");
        retry.succeeded();
        assert!(!retry.is_open() && retry.failures() == 0 && retry.pause(now).is_zero());
    }
}
