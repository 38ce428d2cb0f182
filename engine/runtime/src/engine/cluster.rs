//! Several processes, one graph: how they find each other, and what they hold.
//!
//! Process 0 leads: it has the record, the sources, the sinks and the server. The others ([`Follower`]) run workers, with a
//! share of the keyed state, and a cache of the texts their workers look at. [`Member::join`] connects all of them before
//! anything is opened, and refuses a process that would render another graph; timely then takes the connections over.
//!
//! A session is one life of the whole cluster. Every connection belongs to exactly one, named by the leader when all have
//! come, so a process of an earlier session cannot be in a later one. Nobody outlives the loss of another ([`OnLost`]): all
//! start again, and the leader restores from the record.

mod follower;
mod hosts;
mod join;
mod link;
mod talk;
#[cfg(test)]
mod tests;

pub use follower::Follower;
pub use hosts::{HostsError, read_hosts};
pub use link::{Lost, OnLost};

use link::Link;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::{AllocatorBuilder, Hooks};

/// One process of a cluster.
#[derive(Clone, Debug)]
pub struct Member {
    /// Addresses of all processes, as in the hosts file.
    pub hosts: Vec<String>,
    /// Which of them this is.
    pub process: usize,
    /// Dataflow threads of every process.
    pub workers: usize,
    /// The pipeline's name, for people.
    pub pipeline: String,
    /// [`super::EngineOptions::digest`]: what all must agree on.
    pub graph: u128,
}

/// Why a process cannot join.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its own address cannot be listened on.
    #[error(
        "cannot listen on \"{host}\", the address of process {process} in the hosts file: {source}; a process's own line must be \
         a free port of the machine it runs on"
    )]
    Listen {
        /// This process.
        process: usize,
        /// Its address.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another process does not take it.
    #[error("process {by} ({host}) refuses: {why}")]
    Refused {
        /// Who.
        by: usize,
        /// Its address.
        host: String,
        /// Why.
        why: String,
    },
}

/// A process that is connected with all others.
pub struct Joined {
    member: Member,
    links: Vec<Option<Link>>,
}

impl Joined {
    /// Who this is.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Workers of all processes.
    pub fn peers(&self) -> usize {
        self.member.workers * self.member.hosts.len()
    }

    /// Hands the connections to timely.
    pub(crate) fn build(self) -> std::io::Result<(Vec<AllocatorBuilder>, CommsGuard)> {
        let hooks = Hooks::default();
        let Member { process, workers, .. } = self.member;
        let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) = initialize_networking_from_sockets(local, self.links, process, workers, hooks)?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), guard))
    }
}
