//! Starting the timely workers, of a process that is alone, leads, or follows.

use super::cluster::Joined;
use super::dispatch::ToDispatch;
use super::release::{Buffers, Released};
use super::status::Status;
use super::worker::{self, Across};
use super::{EngineError, EngineOptions, spawn};
use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_core::text::Texts;
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::graph::Plan;
use groundswell_operators::link::FetchText;
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::thread::{JoinHandle, Thread};
use timely::communication::AllocatorBuilder;
use timely::worker::{Config, Worker};

/// Recorded ticks that may lie ahead of a worker.
const WORKER_QUEUE: usize = 4;

/// What workers are started with.
pub(crate) struct Workers {
    pub(crate) plan: Plan,
    pub(crate) texts: Arc<Texts>,
    pub(crate) out: Sender<ToDispatch>,
    pub(crate) status: Arc<Status>,
    /// The other processes, if there are any.
    pub(crate) joined: Option<Joined>,
}

/// Where released ticks go: a channel to every worker of this process, and how to wake it.
pub(crate) struct Feeds {
    pub(crate) workers: Vec<(Sender<Released>, Thread)>,
    /// Workers of all processes.
    pub(crate) peers: usize,
    pub(crate) buffers: Buffers,
}

impl Workers {
    fn shared(&self, options: &EngineOptions, duplicates: Duplicates, buffers: Buffers) -> worker::Shared {
        worker::Shared {
            plan: self.plan.clone(),
            fetch: fetch(Arc::clone(&self.texts), Arc::clone(&self.status)),
            duplicates,
            out: self.out.clone(),
            collect_posts: options.collect_posts,
            buffers,
            status: Arc::clone(&self.status),
            across: self.joined.as_ref().map(|joined| Across {
                leaders: joined.member().workers,
                texts: Arc::clone(&self.texts),
            }),
        }
    }
}

fn fetch(texts: Arc<Texts>, status: Arc<Status>) -> FetchText {
    Arc::new(move |key| match texts.get(key) {
        Ok(Some(text)) => Some(text),
        Ok(None) => {
            status.fail("a text the graph needs is not in the text cache; restart to rebuild it");
            None
        }
        Err(error) => {
            status.fail(format!("cannot read the text cache: {error}; restart to rebuild it"));
            None
        }
    })
}

/// The counts of what changed nothing: where workers are in several processes they have to travel.
pub(crate) fn duplicates(joined: Option<&Joined>) -> Duplicates {
    joined.map_or_else(Duplicates::default, |_| Duplicates::travelling())
}

/// Starts the workers of a process that is alone or leads.
pub(crate) fn lead(
    options: &EngineOptions,
    given: Workers,
    duplicates: Duplicates,
) -> Result<(Feeds, JoinHandle<()>), EngineError> {
    let count = options.workers.max(1);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded(WORKER_QUEUE)).unzip();
    let receivers: Vec<Mutex<Option<Receiver<Released>>>> =
        receivers.into_iter().map(|r| Mutex::new(Some(r))).collect();
    let buffers = Buffers::new(count);
    let peers = given.joined.as_ref().map_or(count, Joined::peers);
    let shared = given.shared(options, duplicates, buffers.clone());
    let (hello, threads) = bounded(count);
    let status = Arc::clone(&given.status);
    let handle = spawn("workers", &status, move || {
        execute(given.joined, count, move |worker| {
            let index = worker.index();
            let Some(input) = receivers.get(index).and_then(|r| r.lock().take()) else {
                return;
            };
            if hello.send((index, std::thread::current())).is_ok() {
                worker::run(worker, &input, &shared);
            }
        })
    })?;
    let mut threads: Vec<(usize, Thread)> = threads.iter().take(count).collect();
    if threads.len() < count {
        let why = status
            .fatal()
            .unwrap_or_else(|| "the dataflow workers did not start".into());
        return Err(EngineError::Failed(why));
    }
    threads.sort_by_key(|(index, _)| *index);
    let feeds = Feeds {
        workers: senders.into_iter().zip(threads.into_iter().map(|(_, t)| t)).collect(),
        peers,
        buffers,
    };
    Ok((feeds, handle))
}

/// Starts the workers of a process that follows.
pub(crate) fn follow(options: &EngineOptions, given: Workers) -> Result<JoinHandle<()>, EngineError> {
    let count = options.workers.max(1);
    let shared = given.shared(options, duplicates(given.joined.as_ref()), Buffers::new(1));
    let status = Arc::clone(&given.status);
    Ok(spawn("workers", &status, move || {
        execute(given.joined, count, move |worker| worker::follow(worker, &shared))
    })?)
}

/// Runs the workers until all are done.
fn execute(
    joined: Option<Joined>,
    count: usize,
    run: impl Fn(&mut Worker) + Send + Sync + 'static,
) -> Result<(), String> {
    let (builders, others): (Vec<AllocatorBuilder>, Box<dyn Any + Send>) = match joined {
        None => timely::CommunicationConfig::Process(count).try_build()?,
        Some(joined) => {
            let (builders, guard) = joined
                .build()
                .map_err(|e| format!("cannot hand the connections to the workers: {e}"))?;
            (builders, Box::new(guard))
        }
    };
    let guards = timely::execute::execute_from(builders, others, Config::default(), run)?;
    for result in guards.join() {
        result.map_err(|e| format!("a dataflow worker failed: {e}; this is a bug, the record is intact"))?;
    }
    Ok(())
}
