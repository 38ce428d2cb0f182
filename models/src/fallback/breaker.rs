//! The breaker: after some failures in a row nobody is asked for a while, then one probe decides. Pure; the caller brings
//! the clock.

use std::time::{Duration, Instant};

/// Whether to ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Yes.
    Open,
    /// Not before this moment.
    Until(Instant),
    /// Not before the probe under way has ended.
    Probing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// See the module documentation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    most: u32,
    pause: Duration,
    state: State,
}

impl Breaker {
    /// Breaks at `most` failures in a row, for `pause`.
    pub(super) fn new(most: u32, pause: Duration) -> Self {
        Breaker {
            most: most.max(1),
            pause,
            state: State::Closed { failures: 0 },
        }
    }

    /// Whether to ask now.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match self.state {
            State::Closed { .. } => Gate::Open,
            State::Open { until } if now < until => Gate::Until(until),
            State::Open { .. } => Gate::Open,
            State::Probing => Gate::Probing,
        }
    }

    /// A request goes out: through a breaker that was open it is the probe.
    pub(super) fn asked(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
    }

    /// The service answered.
    pub(super) fn succeeded(&mut self) {
        // What was asked before it broke and is answered now says nothing about it.
        if !matches!(self.state, State::Open { .. }) {
            self.state = State::Closed { failures: 0 };
        }
    }

    /// The service failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.most => State::Closed { failures: failures + 1 },
            State::Open { until } => State::Open { until },
            State::Closed { .. } | State::Probing => State::Open {
                until: now + self.pause,
            },
        };
    }

    /// Whether it is broken, a probe under way or not.
    pub(super) fn is_broken(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn five_failures_in_a_row_break_it_and_a_probe_mends_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new(5, PAUSE);
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(start);
            assert_eq!(breaker.gate(start), Gate::Open, "a success in between counts");
        }
        breaker.failed(start);
        assert_eq!(breaker.gate(start + PAUSE / 2), Gate::Until(start + PAUSE));
        breaker.succeeded();
        assert!(breaker.is_broken(), "an answer to an earlier request changes nothing");
        assert_eq!(breaker.gate(start + PAUSE), Gate::Open);
        breaker.asked();
        assert_eq!(breaker.gate(start + PAUSE), Gate::Probing, "one probe, not two");
        breaker.failed(start + PAUSE);
        assert_eq!(breaker.gate(start + PAUSE), Gate::Until(start + PAUSE * 2));
        breaker.asked();
        breaker.succeeded();
        assert_eq!(breaker.gate(start), Gate::Open);
        assert!(!breaker.is_broken());
    }
}
