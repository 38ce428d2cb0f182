//! Who goes first: texts of the live model before those of models in the background.
//!
//! State shared by the pools of a process: how many texts the pools in front have to do. A pool in the background takes
//! up little at a time, only while that number is zero, and at most so many texts a second. Pure but for the number: the
//! caller brings the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A pool in the background takes up so many texts at a time: what comes for the live model waits for no more.
const AT_ONCE: usize = 8;
/// How soon a pool in the background looks again whether the others are done.
const LOOK: Duration = Duration::from_millis(5);

/// What the pools in front have to do; shared by all pools of a process.
#[derive(Debug, Default)]
pub struct Traffic(AtomicUsize);

/// How a pool stands to the others.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Shared with the other pools.
    pub traffic: Arc<Traffic>,
    /// Whether it steps back for those in front.
    pub background: bool,
    /// Most texts a second while it is in the background.
    pub rate: Option<u32>,
}

/// A pool's place in its lane.
pub(super) struct Gate {
    lane: Lane,
    /// What this pool adds to the traffic.
    adds: usize,
    /// The next texts may be taken up from then on.
    next: Option<Instant>,
}

impl Gate {
    pub(super) fn new(lane: Lane) -> Self {
        Gate {
            lane,
            adds: 0,
            next: None,
        }
    }

    /// Moves the pool to the front or to the background; `load` are its texts waiting or in flight.
    pub(super) fn set_background(&mut self, background: bool, load: usize) {
        self.lane.background = background;
        self.load(load);
    }

    /// Tells the others how many texts are waiting or in flight.
    pub(super) fn load(&mut self, load: usize) {
        let adds = if self.lane.background { 0 } else { load };
        self.lane.traffic.0.fetch_add(adds, Ordering::AcqRel);
        self.lane.traffic.0.fetch_sub(self.adds, Ordering::AcqRel);
        self.adds = adds;
    }

    /// How long to wait before texts may be taken up; `None` if they may be now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.lane.background {
            return None;
        }
        if self.lane.traffic.0.load(Ordering::Acquire) > 0 {
            return Some(LOOK);
        }
        self.next
            .map(|next| next.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// How many of `most` texts to take up at once.
    pub(super) fn portion(&self, most: usize) -> usize {
        if !self.lane.background {
            return most;
        }
        let rate = self
            .lane
            .rate
            .map_or(AT_ONCE, |rate| usize::try_from(rate).unwrap_or(AT_ONCE));
        most.min(AT_ONCE).min(rate).max(1)
    }

    /// Notes that `n` texts were taken up.
    pub(super) fn took(&mut self, n: usize, now: Instant) {
        if let Some(rate) = self.lane.rate.filter(|_| self.lane.background) {
            let spent = Duration::from_secs(1).saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)) / rate.max(1);
            // Time in which nothing was asked is not saved up.
            self.next = Some(self.next.map_or(now, |next| next.max(now)) + spent);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.load(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(traffic: &Arc<Traffic>, background: bool, rate: Option<u32>) -> Gate {
        Gate::new(Lane {
            traffic: Arc::clone(traffic),
            background,
            rate,
        })
    }

    #[test]
    fn the_background_waits_for_those_in_front() {
        let (traffic, now) = (Arc::default(), Instant::now());
        let (mut live, mut shadow) = (lane(&traffic, false, None), lane(&traffic, true, None));
        shadow.load(100);
        assert_eq!((live.wait(now), shadow.wait(now)), (None, None));
        assert_eq!((live.portion(128), shadow.portion(128)), (128, AT_ONCE));
        live.load(3);
        assert_eq!((live.wait(now), shadow.wait(now)), (None, Some(LOOK)));
        live.load(0);
        assert_eq!(shadow.wait(now), None);
        // They change places.
        live.load(2);
        live.set_background(true, 2);
        shadow.set_background(false, 100);
        assert_eq!((live.wait(now), shadow.wait(now)), (Some(LOOK), None));
        drop(shadow);
        assert_eq!(live.wait(now), None, "what is gone is in nobody's way");
    }

    #[test]
    fn the_background_keeps_to_its_rate_and_the_front_does_not() {
        let (traffic, now) = (Arc::default(), Instant::now());
        let mut shadow = lane(&traffic, true, Some(4));
        assert_eq!(shadow.portion(128), 4);
        shadow.took(4, now);
        assert_eq!(shadow.wait(now), Some(Duration::from_secs(1)));
        let later = now + Duration::from_secs(9);
        assert_eq!(shadow.wait(later), None);
        shadow.took(2, later);
        assert_eq!(
            shadow.wait(later),
            Some(Duration::from_millis(500)),
            "a pause is not made up for"
        );
        shadow.set_background(false, 0);
        assert_eq!((shadow.wait(later), shadow.portion(128)), (None, 128));
    }
}
