//! A process that does not lead: workers and nothing else. It ends when the leader closes the dataflow.

use super::Joined;
use crate::engine::status::Status;
use crate::engine::workers::{self, Workers};
use crate::engine::{EngineError, EngineOptions, RECENT_TEXTS, cannot_cache, join};
use crossbeam_channel::bounded;
use groundswell_core::text::Texts;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A running follower.
pub struct Follower {
    status: Arc<Status>,
    workers: JoinHandle<()>,
}

impl Follower {
    /// Starts the workers. `cache` is a folder for the texts they look at; nothing stays in it.
    ///
    /// # Errors
    /// If the cache cannot be created, a thread not be started, or the graph is another one than the process joined with.
    pub fn start(options: &EngineOptions, joined: Joined, cache: &Path) -> Result<Follower, EngineError> {
        let texts = Texts::create(cache, RECENT_TEXTS).map_err(|e| cannot_cache(cache, e))?;
        let status = Arc::new(Status::default());
        // What workers put out goes to the leader; nothing comes out here.
        let (out, _) = bounded(0);
        let given = Workers {
            plan: options.plan(),
            texts: Arc::new(texts),
            out,
            status: Arc::clone(&status),
            joined: Some(joined),
        };
        let workers = workers::follow(options, given)?;
        Ok(Follower { status, workers })
    }

    /// How it is.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Whether the leader has closed the dataflow, and everything of it is done here.
    pub fn is_done(&self) -> bool {
        self.workers.is_finished()
    }

    /// Waits for that.
    ///
    /// # Errors
    /// If the workers failed.
    pub fn wait(self) -> Result<(), EngineError> {
        join(self.workers);
        self.status.fatal().map_or(Ok(()), |why| Err(EngineError::Failed(why)))
    }
}
