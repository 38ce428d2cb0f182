//! Sources: each reads on a thread of its own, from where it had come to.

use super::status::Status;
use super::{EngineError, spawn};
use crossbeam_channel::{Receiver, Sender};
use groundswell_core::id::Names;
use groundswell_core::record::{Binding, SourceId};
use groundswell_core::source::{Durable, Source, SourceBatch, SourceContext, StopFlag};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::thread::JoinHandle;

/// What every source is started with.
pub(super) struct SourceStart {
    pub(super) input: Sender<SourceBatch>,
    pub(super) stop: StopFlag,
    pub(super) names: Arc<Names>,
    pub(super) horizon: Arc<AtomicI64>,
    pub(super) resume: Vec<Binding>,
    pub(super) durable: Vec<Durable>,
}

/// Positions of one source.
pub(super) fn of_source(id: usize, bindings: &[Binding]) -> Vec<Binding> {
    bindings
        .iter()
        .filter(|b| usize::from(b.source) == id)
        .copied()
        .collect()
}

impl SourceStart {
    /// Starts a source, which begins to read once `ready` is closed.
    pub(super) fn spawn(
        &self,
        id: SourceId,
        source: Box<dyn Source>,
        ready: &Receiver<()>,
        status: &Arc<Status>,
    ) -> Result<JoinHandle<()>, EngineError> {
        let context = SourceContext {
            source: id,
            resume: of_source(usize::from(id), &self.resume),
            out: self.input.clone(),
            stop: self.stop.clone(),
            names: Arc::clone(&self.names),
            horizon: Arc::clone(&self.horizon),
            durable: self.durable.get(usize::from(id)).cloned().unwrap_or_default(),
        };
        let ready = ready.clone();
        let name = format!("source-{}", source.name());
        Ok(spawn(&name, status, move || {
            // Closed, not sent to, once the past is restored.
            let _ = ready.recv();
            source.run(context).map_err(|e| e.to_string())
        })?)
    }
}
