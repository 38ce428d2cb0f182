//! A pipeline in several processes: who a process is, and what one does that does not lead.

use super::{StartError, engine_options};
use crate::config::Pipeline;
use crate::engine::cluster::{Follower, Joined, Member};

/// A process of a pipeline that runs in several: `hosts` are the addresses of all of them.
pub fn member(pipeline: &Pipeline, hosts: Vec<String>, process: usize) -> Member {
    let options = engine_options(pipeline);
    Member {
        hosts,
        process,
        workers: options.workers.max(1),
        pipeline: pipeline.graph.name.clone(),
        graph: options.digest(),
    }
}

/// Runs the workers of a process that follows. It opens neither the state nor any source, sink or model; the texts its
/// workers look at lie in the system's folder for temporary files.
///
/// # Errors
/// If the workers cannot be started.
pub fn follow(pipeline: &Pipeline, joined: Joined) -> Result<Follower, StartError> {
    let follower = Follower::start(&engine_options(pipeline), joined, &std::env::temp_dir())?;
    Ok(follower)
}
