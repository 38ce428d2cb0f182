//! What a sink's thread and the outside tell each other.
//!
//! In: pause, resume, resync from an operator; progress and trouble from the thread. Out: a report. State: one small
//! record per sink, behind locks that are held for an instant.

use groundswell_core::serving::TickChanges;
use groundswell_core::time::Tick;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The full state of all views, alerts included, as of a tick; `None` before the first.
pub type FullState = Arc<dyn Fn() -> Option<TickChanges> + Send + Sync>;

/// How a sink is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkCondition {
    /// It takes what comes.
    #[default]
    Running,
    /// It failed this often in a row and is tried again soon.
    Retrying(u32),
    /// It failed this often in a row and is tried once a minute.
    Broken(u32),
    /// Somebody paused it.
    Paused,
}

/// A sink as the outside sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// Its name.
    pub name: String,
    /// How it is.
    pub condition: SinkCondition,
    /// The last tick it has committed; 0 for none.
    pub committed: Tick,
    /// Ticks that wait for it.
    pub behind: usize,
    /// The oldest of them.
    pub oldest: Option<Tick>,
    /// Why it failed last, while it has not succeeded since.
    pub trouble: Option<String>,
    /// What the last resync did, or that one is under way.
    pub resync: Option<String>,
}

/// One sink's state, shared by its thread, the dispatcher and the operator's routes.
#[derive(Debug, Default)]
pub struct SinkState {
    name: String,
    can_resync: bool,
    committed: AtomicU64,
    behind: AtomicUsize,
    /// 0 for none.
    oldest: AtomicU64,
    paused: AtomicBool,
    hurry: AtomicBool,
    resync: AtomicBool,
    trouble: Mutex<(SinkCondition, Option<String>)>,
    resynced: Mutex<Option<String>>,
}

/// Why a sink cannot be told something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// No such sink.
    #[error("there is no sink \"{0}\"")]
    Unknown(String),
    /// It has nothing to compare with.
    #[error("the sink \"{0}\" cannot be resynced: it keeps a log of changes, not a state to compare with")]
    NoResync(String),
    /// Nobody holds the full state.
    #[error("a resync needs the state that is served; this pipeline serves nothing (`serve: false`)")]
    NotServed,
}

impl SinkState {
    pub(crate) fn new(name: &str, upper: Tick, can_resync: bool) -> Self {
        SinkState {
            name: name.to_owned(),
            can_resync,
            committed: AtomicU64::new(upper),
            ..SinkState::default()
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last tick it has committed; 0 for none.
    pub fn committed(&self) -> Tick {
        self.committed.load(Ordering::Acquire)
    }

    /// How it is.
    pub fn report(&self) -> SinkReport {
        let (condition, trouble) = self.trouble.lock().clone();
        let paused = self.paused.load(Ordering::Acquire);
        let oldest = self.oldest.load(Ordering::Acquire);
        SinkReport {
            name: self.name.clone(),
            condition: if paused { SinkCondition::Paused } else { condition },
            committed: self.committed(),
            behind: self.behind.load(Ordering::Acquire),
            oldest: (oldest > 0).then_some(oldest),
            trouble,
            resync: self.resynced.lock().clone(),
        }
    }

    /// Lets it finish what it is at and then take nothing more.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Lets it go on, at once even if it waits after failures.
    pub fn resume(&self) {
        self.hurry.store(true, Ordering::Release);
        self.paused.store(false, Ordering::Release);
    }

    /// Has it compare what it holds with what it should hold, at the next opportunity.
    ///
    /// # Errors
    /// If this kind of sink cannot.
    pub fn ask_resync(&self) -> Result<(), SinkError> {
        if !self.can_resync {
            return Err(SinkError::NoResync(self.name.clone()));
        }
        *self.resynced.lock() = Some("asked for".to_owned());
        self.resync.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }
    pub(crate) fn take_hurry(&self) -> bool {
        self.hurry.swap(false, Ordering::AcqRel)
    }
    pub(crate) fn wants_resync(&self) -> bool {
        self.resync.load(Ordering::Acquire)
    }
    pub(crate) fn resynced(&self, what: String) {
        self.resync.store(false, Ordering::Release);
        *self.resynced.lock() = Some(what);
    }
    pub(crate) fn commit(&self, tick: Tick) {
        self.committed.fetch_max(tick, Ordering::AcqRel);
    }
    pub(crate) fn waiting(&self, behind: usize, oldest: Option<Tick>) {
        self.behind.store(behind, Ordering::Release);
        self.oldest.store(oldest.unwrap_or(0), Ordering::Release);
    }
    pub(crate) fn condition(&self, condition: SinkCondition, why: Option<&str>) {
        *self.trouble.lock() = (condition, why.map(str::to_owned));
    }
}
