//! When a feed may be asked: retries, a breaker, a rate. Pure but for the limiter's lock; time comes from the caller.

use parking_lot::Mutex;
use rand::RngExt;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What follows a failure that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Requests for one reading.
    pub attempts: u32,
    /// Longest first pause.
    pub base: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Retries {
            attempts: 3,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(60),
        }
    }
}

impl Retries {
    /// The pause after so many failures (1 is the first): doubling, at most `longest`, and at random between half and all of
    /// that, so that many readers that failed together do not come back together. What the server asked for counts if it is
    /// longer, up to `longest`.
    pub fn pause(&self, failures: u32, asked: Option<Duration>, random: &mut impl rand::Rng) -> Duration {
        let doubled = self.base.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = doubled.min(self.longest);
        let pause = most.mul_f64(random.random_range(0.5..=1.0));
        pause.max(asked.unwrap_or_default().min(self.longest))
    }
}

/// Leaves alone what fails again and again.
#[derive(Clone, Debug)]
pub struct Breaker {
    limit: u32,
    open: Duration,
    failures: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// Opens after so many failures in a row, for so long.
    pub fn new(limit: u32, open: Duration) -> Self {
        Breaker {
            limit: limit.max(1),
            open,
            failures: 0,
            until: None,
        }
    }

    /// How long to wait before the next request; none if it may be made.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A request succeeded.
    pub fn succeeded(&mut self) {
        (self.failures, self.until) = (0, None);
    }

    /// A request failed: after the limit each failure opens it anew.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.limit {
            self.until = Some(now + self.open);
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// At most so many requests in any stretch of so long.
#[derive(Debug)]
pub struct Limiter {
    requests: usize,
    per: Duration,
    made: Mutex<VecDeque<Instant>>,
}

impl Limiter {
    /// See there.
    pub fn new(requests: u32, per: Duration) -> Self {
        Limiter {
            requests: usize::try_from(requests.max(1)).unwrap_or(1),
            per,
            made: Mutex::new(VecDeque::new()),
        }
    }

    /// Counts a request, or says how long to wait before asking again.
    pub fn take(&self, now: Instant) -> Option<Duration> {
        let mut made = self.made.lock();
        while made
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= self.per)
        {
            made.pop_front();
        }
        match made.front() {
            Some(oldest) if made.len() >= self.requests => {
                Some(self.per.saturating_sub(now.saturating_duration_since(*oldest)))
            }
            _ => {
                made.push_back(now);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_at_random_up_to_the_longest() {
        let retries = Retries {
            longest: 5 * SECOND,
            ..Retries::default()
        };
        let mut random = rand::rng();
        for (failures, most) in [(1, 1), (2, 2), (3, 4), (4, 5), (40, 5)] {
            for _ in 0..100 {
                let pause = retries.pause(failures, None, &mut random);
                assert!(
                    pause <= most * SECOND && pause >= most * SECOND / 2,
                    "{failures}: {pause:?}"
                );
            }
        }
        assert_eq!(retries.pause(1, Some(3 * SECOND), &mut random), 3 * SECOND);
        assert_eq!(
            retries.pause(1, Some(90 * SECOND), &mut random),
            5 * SECOND,
            "nobody makes us wait for ever"
        );
    }

    #[test]
    fn a_breaker_lets_one_request_through_when_its_time_is_over() {
        let (mut breaker, now) = (Breaker::new(2, 60 * SECOND), Instant::now());
        breaker.failed(now);
        assert_eq!(breaker.wait(now), None);
        breaker.failed(now);
        assert_eq!(breaker.wait(now + SECOND), Some(59 * SECOND));
        assert_eq!(breaker.wait(now + 60 * SECOND), None);
        breaker.failed(now + 60 * SECOND);
        assert_eq!(
            breaker.wait(now + 61 * SECOND),
            Some(59 * SECOND),
            "one failure is enough now"
        );
        breaker.succeeded();
        assert_eq!((breaker.wait(now), breaker.failures()), (None, 0));
    }

    #[test]
    fn a_limiter_looks_at_any_stretch_of_its_time() {
        let (limiter, now) = (Limiter::new(2, 10 * SECOND), Instant::now());
        assert_eq!(limiter.take(now), None);
        assert_eq!(limiter.take(now + 6 * SECOND), None);
        assert_eq!(limiter.take(now + 7 * SECOND), Some(3 * SECOND));
        assert_eq!(limiter.take(now + 10 * SECOND), None);
        assert_eq!(limiter.take(now + 11 * SECOND), Some(5 * SECOND));
    }
}
