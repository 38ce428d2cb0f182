//! The durable store: what was recorded, as a log of ticks and the snapshot it folds into.
//!
//! In: one [`TickBatch`] per tick ([`Store::append`] returns once it is durable). Out: at the next start, the same
//! batches, or for what has been folded the winner of every identity ([`Restore`]). [`inspect`] and [`verify`] read a
//! state without opening it for writing. Nothing here knows about the dataflow; the calls block and belong on plain
//! threads, never into async code or onto a timely worker.
//!
//! # Layout
//!
//! ```text
//! manifest/<n>.json                        which objects are the state; the highest n wins
//! log/<epoch>-<tick>.arrow                 one tick: Arrow IPC file, lz4, carries its own BLAKE3 digest
//! snapshot/<epoch>-<tick>-<part>.parquet   the fold up to <tick>: Parquet, zstd; digests are in the manifest
//! LOCK                                     held by the one process that may write; its pid
//! ```
//!
//! Numbers are zero-padded. Log and snapshot share one flat schema (`schema.rs`), so DuckDB or pyarrow can read both.
//!
//! # Protocol
//!
//! Objects are immutable and put atomically; `object_store` syncs file and folder before it reports success.
//!
//! - **Open** takes the folder's lock, then (1) *fences*: puts a manifest with the next epoch; (2) *looks*: lists the log
//!   and checks that every tick names the one before it; (3) *begins*: puts a manifest that says after which tick the new
//!   epoch begins. Log objects of an older epoch above that tick do not count.
//! - **Append** puts the tick's object and then looks for a newer epoch's manifest. If there is one, the append fails with
//!   [`StoreError::Fenced`]. Looking after the put is what makes this safe without a lock: an acknowledged tick was put
//!   before the fence, so step 2 of the other process has seen it.
//! - **Fold** writes the parts of a new snapshot (in the background), then puts the manifest that names them, then removes
//!   the log it replaces. Until that put the old state is whole; after it the new one is.
//! - Manifests are put with create-only semantics, so of two processes reaching for a number one loses; and after the put
//!   it must be the newest, so a number that was freed by garbage collection misleads nobody.
//! - What a crash leaves over (temporary files, parts without a manifest, folded log) is removed by the next open.

mod chunks;
mod decode;
mod error;
mod fold;
mod inspect;
mod log;
mod manifest;
mod objects;
mod purge;
mod recover;
mod restore;
mod schema;
mod snapshot;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use inspect::{Inspection, LogSummary, Problem, SnapshotSummary, Verification, inspect, verify};
pub use manifest::FORMAT;
pub use restore::Restore;

use crate::record::TickBatch;
use crate::time::Tick;
use fold::Plan;
use log::LogName;
use manifest::Manifest;
use objects::{Lock, Objects};
use snapshot::Snapshot;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Objects removed per [`Store::fold_if_due`], so that no tick waits for thousands of them.
const SWEEP: usize = 64;

/// Where the state is and when the log is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// `file:PATH`, or a plain path.
    pub url: String,
    /// Fold once the log is this large, or as large as the snapshot if that is more: rewriting the snapshot then costs at
    /// most two bytes per byte recorded, however large it grows.
    pub fold_after_bytes: u64,
    /// Fold once the log has this many ticks, however small they are.
    pub fold_after_ticks: usize,
}

impl StoreOptions {
    /// The defaults: fold after 256 MiB or 32,768 ticks of log.
    pub fn new(url: impl Into<String>) -> Self {
        StoreOptions {
            url: url.into(),
            fold_after_bytes: 256 << 20,
            fold_after_ticks: 32_768,
        }
    }
}

/// Bytes the state takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreBytes {
    /// The live log.
    pub log: u64,
    /// The snapshot.
    pub snapshot: u64,
}

/// What [`Store::fold_if_due`] found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldStatus {
    /// The log is short; nothing is going on.
    NotDue,
    /// A fold began in the background.
    Started,
    /// A fold is running in the background.
    Running,
    /// A fold finished and its snapshot is now the state.
    Finished {
        /// The snapshot's tick.
        tick: Tick,
        /// Its records.
        rows: u64,
        /// Its size.
        bytes: u64,
    },
}

/// A tick of the live log, as far as the store needs to remember it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: LogName,
    bytes: u64,
}

type FoldJob = JoinHandle<Result<Option<Snapshot>, StoreError>>;

/// The store, open for writing.
pub struct Store {
    options: StoreOptions,
    objects: Objects,
    manifest: Manifest,
    log: VecDeque<Entry>,
    log_bytes: u64,
    last: Option<Tick>,
    /// An append that failed may have landed all the same; it is removed before the next one.
    doubtful: Option<LogName>,
    /// Set once another epoch was seen: every later call fails in the same way.
    fenced_by: Option<u64>,
    job: Option<FoldJob>,
    cancel: Arc<AtomicBool>,
    /// The next fold is due however small the log is.
    soon: bool,
    /// After a failed fold the next one waits until the log has grown to this size.
    retry_above: u64,
    garbage: VecDeque<String>,
    pin: Arc<()>,
    part_bytes: usize,
    retention: Option<i64>,
    _lock: Lock,
}

impl Store {
    /// Opens a state for writing, creating it if there is none, and returns what it holds.
    ///
    /// # Errors
    /// See [`StoreError`]: not a folder or not a state folder, in use, written by a newer version, damaged, unreadable.
    pub fn open(options: StoreOptions) -> Result<(Store, Restore), StoreError> {
        let (objects, lock) = Objects::locked(&options.url)?;
        let fenced = recover::fence(&objects)?;
        let found = recover::scan(&objects, &fenced)?;
        let last = found.last_tick(&fenced);
        let manifest = recover::begin(&objects, &fenced, last)?;
        let pin = Arc::new(());
        let restore = Restore::new(objects.clone(), &manifest, &found.log, Arc::clone(&pin));
        let log: VecDeque<Entry> = found
            .log
            .iter()
            .map(|l| Entry {
                name: l.header.name,
                bytes: l.bytes,
            })
            .collect();
        // Everything found dead is dead for the restore too. Its own fence comes last, when there is a newer manifest.
        for object in found.garbage.iter().chain([&Manifest::object(fenced.number)]) {
            objects.delete(object)?;
        }
        let log_bytes = log.iter().map(|e| e.bytes).sum();
        tracing::info!(state = objects.place(), epoch = manifest.epoch, upper = ?last, log_bytes, "state opened");
        let store = Store {
            options,
            objects,
            manifest,
            log,
            log_bytes,
            last,
            doubtful: None,
            fenced_by: None,
            job: None,
            cancel: Arc::new(AtomicBool::new(false)),
            soon: false,
            retry_above: 0,
            garbage: VecDeque::new(),
            pin,
            part_bytes: snapshot::PART_BYTES,
            retention: None,
            _lock: lock,
        };
        Ok((store, restore))
    }

    /// Records a tick. It is durable when this returns; after an error it may or may not be, and the same or a later
    /// tick may be tried again (unless the error is [`StoreError::Fenced`]).
    ///
    /// # Errors
    /// [`StoreError::NonMonotone`] for a tick that is not after the last one, [`StoreError::Fenced`] after a takeover,
    /// [`StoreError::DiskFull`] and others if it cannot be written.
    pub fn append(&mut self, batch: &TickBatch) -> Result<(), StoreError> {
        self.check_fence()?;
        if let Some(last) = self.last.filter(|last| batch.tick <= *last) {
            return Err(StoreError::NonMonotone { tick: batch.tick, last });
        }
        let name = LogName {
            epoch: self.manifest.epoch,
            tick: batch.tick,
        };
        let bytes = log::encode(batch, name.epoch, self.last)?;
        if let Some(doubtful) = self.doubtful {
            self.objects.delete(&doubtful.object())?;
        }
        self.doubtful = Some(name);
        let size = bytes.len() as u64;
        fail::fail_point!("store::encoded");
        self.objects.put(&name.object(), bytes)?;
        fail::fail_point!("store::appended");
        self.look_for_fence()?;
        self.doubtful = None;
        self.last = Some(batch.tick);
        self.log.push_back(Entry { name, bytes: size });
        self.log_bytes += size;
        Ok(())
    }

    /// Folds in the background when the log has grown enough; appending stays possible meanwhile. A finished fold becomes
    /// the state in the call that finds it finished. Call it after every append; it is cheap when there is nothing to do.
    ///
    /// # Errors
    /// If the fold failed (the log is intact, and it is tried again once the log has grown), or after a takeover.
    pub fn fold_if_due(&mut self) -> Result<FoldStatus, StoreError> {
        self.fold_if_due_through(Tick::MAX)
    }

    /// The same, folding no tick after `last`: later ones stay in the log, whole.
    ///
    /// # Errors
    /// As [`Store::fold_if_due`].
    pub fn fold_if_due_through(&mut self, last: Tick) -> Result<FoldStatus, StoreError> {
        self.check_fence()?;
        let status = match self.job.take_if(|job| job.is_finished()) {
            Some(job) => self.finish(job)?,
            None if self.job.is_some() => FoldStatus::Running,
            None if self.is_due(last) => {
                self.start(last)?;
                FoldStatus::Started
            }
            None => FoldStatus::NotDue,
        };
        self.sweep(SWEEP)?;
        Ok(status)
    }

    /// Folds everything recorded, now. Waits for a fold that is running.
    ///
    /// # Errors
    /// If the fold failed (the log is intact), or after a takeover.
    pub fn fold_now(&mut self) -> Result<(), StoreError> {
        self.check_fence()?;
        if let Some(job) = self.job.take() {
            self.finish(job)?;
        }
        if !self.log.is_empty() {
            let plan = self.plan(Tick::MAX);
            if let Some(snapshot) = fold::fold(&self.objects, &plan, &AtomicBool::new(false))? {
                self.install(snapshot)?;
            }
        }
        self.sweep(usize::MAX)
    }

    /// From now on folds forget posts written longer than this before their clock (ms), with all that hangs on them.
    pub fn expire_after(&mut self, retention: Option<i64>) {
        self.retention = retention;
    }

    /// The last recorded tick.
    pub fn last_tick(&self) -> Option<Tick> {
        self.last
    }

    /// The state's folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        self.objects.folder()
    }

    /// The state's own name, the same as long as it lives; what is written from it elsewhere can tell it from others.
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// This process's epoch: one higher with every opening.
    pub fn epoch(&self) -> u64 {
        self.manifest.epoch
    }

    /// Bytes the state takes.
    pub fn bytes(&self) -> StoreBytes {
        StoreBytes {
            log: self.log_bytes,
            snapshot: self.manifest.snapshot.as_ref().map_or(0, Snapshot::bytes),
        }
    }

    /// Makes the next fold due however small the log is.
    pub fn fold_soon(&mut self) {
        self.soon = true;
    }

    /// Whether a fold of the ticks up to `last` would begin now.
    pub fn is_due(&self, last: Tick) -> bool {
        if self.job.is_some() || self.log_bytes < self.retry_above {
            return false;
        }
        let least = self.options.fold_after_bytes.max(self.bytes().snapshot);
        let due = |bytes, ticks| bytes >= least || ticks >= self.options.fold_after_ticks;
        if self.soon {
            return self.log.front().is_some_and(|e| e.name.tick <= last);
        }
        if !due(self.log_bytes, self.log.len()) {
            return false;
        }
        let through = self.log.iter().take_while(|e| e.name.tick <= last);
        let (bytes, ticks) = through.fold((0, 0), |(bytes, ticks), e| (bytes + e.bytes, ticks + 1));
        ticks > 0 && due(bytes, ticks)
    }

    fn plan(&self, last: Tick) -> Plan {
        Plan {
            epoch: self.manifest.epoch,
            snapshot: self.manifest.snapshot.clone(),
            log: self
                .log
                .iter()
                .map(|e| e.name)
                .take_while(|name| name.tick <= last)
                .collect(),
            part_bytes: self.part_bytes,
            retention: self.retention,
        }
    }

    fn start(&mut self, last: Tick) -> Result<(), StoreError> {
        let (objects, plan, cancel) = (self.objects.clone(), self.plan(last), Arc::clone(&self.cancel));
        let job = std::thread::Builder::new()
            .name("store-fold".into())
            .spawn(move || fold::fold(&objects, &plan, &cancel))
            .map_err(|e| StoreError::from_io("open", self.objects.place(), e))?;
        self.job = Some(job);
        Ok(())
    }

    fn finish(&mut self, job: FoldJob) -> Result<FoldStatus, StoreError> {
        let folded = job.join().unwrap_or_else(|_| {
            let place = self.objects.place().to_owned();
            Err(StoreError::FoldFailed {
                place,
                problem: "its thread panicked".into(),
            })
        });
        match folded.and_then(|snapshot| snapshot.map_or(Ok(FoldStatus::NotDue), |s| self.install(s))) {
            Ok(status) => Ok(status),
            Err(e) => {
                self.retry_above = self.log_bytes + self.options.fold_after_bytes / 4;
                Err(e)
            }
        }
    }

    /// Makes a snapshot the state.
    fn install(&mut self, snapshot: Snapshot) -> Result<FoldStatus, StoreError> {
        let next = self.manifest.folded(snapshot);
        fail::fail_point!("store::folded");
        if next.install(&self.objects)? {
            self.adopt(next);
        } else {
            match Manifest::newest(&self.objects)? {
                // An earlier fold of ours, reported as failed, has landed after all: it is the state, this one is not.
                Some(landed) if landed.writer == self.manifest.writer => {
                    let unused = next.snapshot.into_iter().flat_map(|s| s.parts).map(|p| p.object);
                    let used = |object: &String| {
                        landed
                            .snapshot
                            .iter()
                            .flat_map(|s| &s.parts)
                            .any(|p| p.object == *object)
                    };
                    self.garbage.extend(unused.filter(|object| !used(object)));
                    self.adopt(landed);
                }
                _ => return Err(self.fenced()),
            }
        }
        fail::fail_point!("store::installed");
        (self.retry_above, self.soon) = (0, false);
        let folded = self.manifest.snapshot.as_ref();
        let (tick, rows, bytes) = folded.map_or((0, 0, 0), |s| (s.tick, s.rows, s.bytes()));
        tracing::info!(
            state = self.objects.place(),
            tick,
            rows,
            bytes,
            "log folded into a snapshot"
        );
        Ok(FoldStatus::Finished { tick, rows, bytes })
    }

    /// Goes on with a newer manifest of our own; what it no longer names becomes garbage.
    fn adopt(&mut self, next: Manifest) {
        let old = std::mem::replace(&mut self.manifest, next);
        self.garbage.push_back(Manifest::object(old.number));
        self.garbage
            .extend(old.snapshot.into_iter().flat_map(|s| s.parts).map(|p| p.object));
        while let Some(entry) = self.log.pop_front_if(|e| Some(e.name.tick) <= self.manifest.log_after) {
            self.log_bytes -= entry.bytes;
            self.garbage.push_back(entry.name.object());
        }
    }

    /// Removes up to `limit` objects that no longer count, unless a restore may still read them.
    fn sweep(&mut self, limit: usize) -> Result<(), StoreError> {
        if Arc::strong_count(&self.pin) > 1 {
            return Ok(());
        }
        for _ in 0..limit {
            let Some(object) = self.garbage.front() else {
                return Ok(());
            };
            self.objects.delete(object)?;
            self.garbage.pop_front();
        }
        Ok(())
    }

    fn check_fence(&self) -> Result<(), StoreError> {
        match self.fenced_by {
            None => Ok(()),
            Some(by) => Err(StoreError::Fenced {
                place: self.objects.place().to_owned(),
                epoch: self.manifest.epoch,
                by,
            }),
        }
    }

    fn look_for_fence(&mut self) -> Result<(), StoreError> {
        let newest = Manifest::newest_number(&self.objects)?;
        if newest == Some(self.manifest.number) {
            return Ok(());
        }
        if newest < Some(self.manifest.number) {
            let object = self.objects.full(&Manifest::object(self.manifest.number));
            return Err(StoreError::damaged(
                object,
                "it was removed while the engine is running",
            ));
        }
        // A manifest of our own is a fold that was reported as failed after it had landed.
        match Manifest::newest(&self.objects)? {
            Some(newest) if newest.writer == self.manifest.writer => Ok(()),
            _ => Err(self.fenced()),
        }
    }

    fn fenced(&mut self) -> StoreError {
        match recover::fenced_by_another(&self.objects, self.manifest.epoch) {
            Ok(StoreError::Fenced { place, epoch, by }) => {
                self.fenced_by = Some(by);
                StoreError::Fenced { place, epoch, by }
            }
            Ok(other) | Err(other) => other,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        if let Some(job) = self.job.take() {
            // The lock must outlive the thread that writes under it. What it wrote is collected by the next open.
            let _ = job.join();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.objects.place())
            .field("epoch", &self.manifest.epoch)
            .field("last", &self.last)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
