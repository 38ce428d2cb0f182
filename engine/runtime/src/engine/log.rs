//! Where ticks are recorded: the durable store, or, for tests and throw-away runs, a list in memory.

use groundswell_core::record::{Binding, TickBatch};
use groundswell_core::store::{FoldStatus, Restore, Store, StoreBytes, StoreError, StoreOptions};
use groundswell_core::time::Tick;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a pipeline's record lives.
#[derive(Clone, Debug)]
pub enum State {
    /// A folder: durable, survives crashes.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Fold the log into the snapshot when it has grown by this many bytes.
        fold_after: u64,
    },
    /// A list in memory, shared by whoever holds a clone: for tests and embedding without durability.
    Memory(MemoryLog),
}

/// A record kept in memory; clones share it, so an engine started on it again restores from it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<Vec<TickBatch>>>);

impl MemoryLog {
    /// All recorded ticks.
    pub fn ticks(&self) -> Vec<TickBatch> {
        self.0.lock().clone()
    }
}

/// A record that was opened: nobody else can append to it, and what it holds is about to be restored.
pub struct OpenState {
    pub(crate) log: Log,
    pub(crate) recorded: Recorded,
}

impl OpenState {
    /// The state's own name; none for a list in memory.
    pub fn id(&self) -> Option<&str> {
        match &self.log {
            Log::Durable(store) => Some(store.id()),
            Log::Memory(_) => None,
        }
    }
}

impl State {
    /// Opens the record, creating it if there is none. Do this before anything else is put into its folder.
    ///
    /// # Errors
    /// See [`StoreError`]: in use, not a state folder, written by a newer version, damaged.
    pub fn open(&self) -> Result<OpenState, StoreError> {
        let (log, recorded) = Log::open(self)?;
        Ok(OpenState { log, recorded })
    }
}

/// The record, open for appending.
pub(crate) enum Log {
    Durable(Box<Store>),
    Memory(MemoryLog),
}

/// What was recorded before.
pub(crate) struct Recorded {
    pub(crate) upper: Option<u64>,
    pub(crate) clock: Option<i64>,
    /// Tick of the snapshot: ticks up to it are one.
    pub(crate) folded: Option<u64>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) ticks: Box<dyn Iterator<Item = Result<TickBatch, StoreError>> + Send>,
}

impl From<Restore> for Recorded {
    fn from(restore: Restore) -> Self {
        Recorded {
            upper: restore.upper,
            clock: restore.clock,
            folded: restore.snapshot_tick(),
            bindings: restore.bindings.clone(),
            ticks: Box::new(restore),
        }
    }
}

impl Log {
    fn open(state: &State) -> Result<(Log, Recorded), StoreError> {
        match state {
            State::Folder { path, fold_after } => {
                let mut options = StoreOptions::new(format!("file:{}", path.display()));
                options.fold_after_bytes = *fold_after;
                let (store, restore) = Store::open(options)?;
                Ok((Log::Durable(Box::new(store)), restore.into()))
            }
            State::Memory(log) => {
                let ticks = log.ticks();
                let mut bindings = std::collections::BTreeMap::new();
                for b in ticks.iter().flat_map(|t| &t.bindings) {
                    bindings.insert((b.source, b.partition), *b);
                }
                let recorded = Recorded {
                    upper: ticks.last().map(|t| t.tick),
                    clock: ticks.last().map(|t| t.clock),
                    folded: None,
                    bindings: bindings.into_values().collect(),
                    ticks: Box::new(ticks.into_iter().map(Ok)),
                };
                Ok((Log::Memory(log.clone()), recorded))
            }
        }
    }

    /// From now on folds forget posts that are older than this (ms).
    pub(crate) fn expire_after(&mut self, retention: Option<i64>) {
        if let Log::Durable(store) = self {
            store.expire_after(retention);
        }
    }

    /// Durable when it returns.
    pub(crate) fn append(&mut self, batch: &TickBatch) -> Result<(), StoreError> {
        match self {
            Log::Durable(store) => store.append(batch),
            Log::Memory(log) => {
                log.0.lock().push(batch.clone());
                Ok(())
            }
        }
    }

    /// Whether a fold of ticks up to `last` would begin; with `soon`, however little there is to fold.
    pub(crate) fn is_due(&mut self, last: Tick, soon: bool) -> bool {
        let Log::Durable(store) = self else { return false };
        if soon {
            store.fold_soon();
        }
        store.is_due(last)
    }

    /// Lets a due fold of ticks up to `last` begin, or one that runs finish: then its tick. Cheap otherwise.
    pub(crate) fn maintain(&mut self, last: Tick) -> Option<Tick> {
        let Log::Durable(store) = self else { return None };
        match store.fold_if_due_through(last) {
            Ok(FoldStatus::Finished { tick, rows, bytes }) => {
                tracing::info!(tick, rows, bytes, "folded the log into a snapshot");
                Some(tick)
            }
            Ok(_) => None,
            Err(error) => {
                // The log alone is a complete record; the next fold is tried later.
                tracing::warn!(%error, "folding the log failed");
                None
            }
        }
    }

    pub(crate) fn bytes(&self) -> StoreBytes {
        match self {
            Log::Durable(store) => store.bytes(),
            Log::Memory(_) => StoreBytes::default(),
        }
    }
}
