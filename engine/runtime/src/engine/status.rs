//! What the engine's threads tell each other and the outside about how they are.

use super::rules::{RuleBoard, RuleReport};
use super::sinks::{SinkError, SinkState};
use groundswell_core::time::Tick;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shared state of a running engine.
#[derive(Debug, Default)]
pub struct Status {
    recorded: AtomicU64,
    complete: AtomicU64,
    replayed: AtomicBool,
    /// The last tick of the past, once it is all released.
    past: AtomicU64,
    input_done: AtomicBool,
    wanted: AtomicUsize,
    sinks: Mutex<Vec<Arc<SinkState>>>,
    fatal: Mutex<Option<String>>,
    behind: Mutex<Vec<String>>,
    rules: RuleBoard,
    changed: Condvar,
}

impl Status {
    /// The last tick that is durable.
    pub fn recorded(&self) -> Tick {
        self.recorded.load(Ordering::Acquire)
    }
    /// The last tick whose changes were handed to the sinks.
    pub fn complete(&self) -> Tick {
        self.complete.load(Ordering::Acquire)
    }
    /// Texts that wait for the model.
    pub fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Acquire)
    }
    /// Whether the recorded past has been restored: released, and complete.
    pub fn is_replayed(&self) -> bool {
        self.replayed.load(Ordering::Acquire) && self.complete() >= self.past.load(Ordering::Acquire)
    }
    /// Why the engine stopped by itself, if it did.
    pub fn fatal(&self) -> Option<String> {
        self.fatal.lock().clone()
    }
    /// Whether all sources were read to their end and everything that follows from them is done.
    pub fn is_drained(&self) -> bool {
        self.input_done.load(Ordering::Acquire)
            && self.is_replayed()
            && self.complete() >= self.recorded()
            && self.wanted() == 0
    }

    /// The last tick that every sink has committed; everything if there are no sinks.
    pub fn committed(&self) -> Tick {
        self.sinks
            .lock()
            .iter()
            .map(|sink| sink.committed())
            .min()
            .unwrap_or(Tick::MAX)
    }

    /// The rules in force, by name.
    pub fn rules(&self) -> Vec<RuleReport> {
        self.rules.reports()
    }

    pub(crate) fn rule_board(&self) -> &RuleBoard {
        &self.rules
    }

    /// All sinks.
    pub fn sinks(&self) -> Vec<Arc<SinkState>> {
        self.sinks.lock().clone()
    }

    /// A sink by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn sink(&self, name: &str) -> Result<Arc<SinkState>, SinkError> {
        let found = self.sinks.lock().iter().find(|sink| sink.name() == name).cloned();
        found.ok_or_else(|| SinkError::Unknown(name.to_owned()))
    }

    /// Whether every sink has committed what it was handed.
    pub fn is_committed(&self) -> bool {
        self.committed() >= self.complete()
    }

    /// Sinks that gave up when the engine stopped, and why.
    pub fn behind(&self) -> Vec<String> {
        self.behind.lock().clone()
    }

    pub(crate) fn set_behind(&self, sinks: Vec<String>) {
        *self.behind.lock() = sinks;
    }

    pub(crate) fn watch_sink(&self, name: &str, upper: Tick, can_resync: bool) -> Arc<SinkState> {
        let state = Arc::new(SinkState::new(name, upper, can_resync));
        self.sinks.lock().push(Arc::clone(&state));
        state
    }

    pub(crate) fn set_recorded(&self, tick: Tick) {
        self.recorded.store(tick, Ordering::Release);
    }
    pub(crate) fn set_complete(&self, tick: Tick) {
        self.complete.store(tick, Ordering::Release);
        self.wake();
    }
    pub(crate) fn set_wanted(&self, n: usize) {
        self.wanted.store(n, Ordering::Release);
    }
    pub(crate) fn set_replayed(&self) {
        self.past.store(self.recorded(), Ordering::Release);
        self.replayed.store(true, Ordering::Release);
        self.wake();
    }
    pub(crate) fn set_input_done(&self, done: bool) {
        self.input_done.store(done, Ordering::Release);
        self.wake();
    }

    /// Notes why the engine cannot go on; the first reason stands.
    pub(crate) fn fail(&self, why: impl Into<String>) {
        let why = why.into();
        let mut fatal = self.fatal.lock();
        if fatal.is_none() {
            tracing::error!(reason = %why, "the engine stops");
            *fatal = Some(why);
        }
        self.changed.notify_all();
    }

    fn wake(&self) {
        let _guard = self.fatal.lock();
        self.changed.notify_all();
    }

    /// Waits until a condition holds; false if the time ran out or the engine failed before.
    pub fn wait(&self, timeout: Duration, holds: impl Fn(&Status) -> bool) -> bool {
        let end = Instant::now() + timeout;
        loop {
            if holds(self) {
                return true;
            }
            let mut fatal = self.fatal.lock();
            if fatal.is_some() || Instant::now() >= end {
                return false;
            }
            // Conditions may also depend on things that do not wake us; look again soon.
            self.changed
                .wait_until(&mut fatal, end.min(Instant::now() + Duration::from_millis(20)));
        }
    }
}
