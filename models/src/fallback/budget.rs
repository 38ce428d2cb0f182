//! The budget: requests a minute, as a bucket of tokens. And how long to pause before a request is made again. Pure; the
//! caller brings the clock and the dice.

use std::time::{Duration, Instant};

/// So many requests a minute; a minute's worth may go out at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    a_minute: f64,
    tokens: f64,
    at: Instant,
}

impl Budget {
    /// A full bucket; `None` has no end.
    pub(super) fn new(a_minute: Option<u32>, now: Instant) -> Self {
        let a_minute = a_minute.map_or(f64::INFINITY, |n| f64::from(n.max(1)));
        Budget {
            a_minute,
            tokens: a_minute,
            at: now,
        }
    }

    /// When a request may go out: now, or later.
    pub(super) fn due(&mut self, now: Instant) -> Instant {
        if self.a_minute.is_infinite() {
            return now;
        }
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / 60.0 * self.a_minute;
        self.tokens = (self.tokens + gained).min(self.a_minute);
        self.at = self.at.max(now);
        if self.tokens >= 1.0 {
            return now;
        }
        now + Duration::from_secs_f64((1.0 - self.tokens) * 60.0 / self.a_minute)
    }

    /// One goes out.
    pub(super) fn take(&mut self) {
        if self.a_minute.is_finite() {
            self.tokens -= 1.0;
        }
    }
}

/// Pauses that double from `base` up to `most`, each anywhere between nothing and all of it; `roll` is uniform in [0, 1).
pub(super) fn pause(base: Duration, most: Duration, failures: u32, roll: f64) -> Duration {
    let whole = base.saturating_mul(2_u32.saturating_pow(failures)).min(most);
    whole.mul_f64(roll.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_requests() {
        let start = Instant::now();
        let mut budget = Budget::new(Some(60), start);
        let mut now = start;
        let mut out = 0;
        while now < start + Duration::from_secs(60) {
            let due = budget.due(now);
            if due > now {
                now = due;
                continue;
            }
            budget.take();
            out += 1;
        }
        assert!((119..=121).contains(&out), "{out}: what was saved, and what came");
        let mut endless = Budget::new(None, start);
        for _ in 0..1_000 {
            assert_eq!(endless.due(start), start);
            endless.take();
        }
    }

    #[test]
    fn pauses_double_with_full_jitter() {
        let (base, most) = (Duration::from_secs(1), Duration::from_secs(60));
        let whole: Vec<u64> = (0..8).map(|n| pause(base, most, n, 1.0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(base, most, 40, 0.0), Duration::ZERO);
        assert_eq!(pause(base, most, 2, 0.5), Duration::from_secs(2));
    }
}
