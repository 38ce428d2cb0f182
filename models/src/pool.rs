//! The scorer's threads: texts wanted in, answers out, nobody waits.
//!
//! ```text
//!  want / unwant ──▶ queue (newest first) ──▶ lot ──▶ batches of like length ──▶ forward ──▶ bounded channel of answers
//!                                              ▲ texts fetched by key
//! ```
//!
//! A lot is taken when a batch is full or its oldest text has waited for [`PoolOptions::age`]. Under load a lot is a few
//! batches long so that texts of like length meet. When answers are not picked up the pool stops after the batch at
//! hand; `want` never blocks. Pools of one process share a [`Lane`]: those in the background step back for the live one. A failing or panicking model costs the text to blame its score, and nothing else.

mod gate;
mod memo;
mod queue;

pub use gate::{Lane, Traffic};

use crate::lot::{Answer, Limits, score_lot};
use crate::scorer::{ScoreFailure, Scorer};
use crate::stats::{ScorerStats, count, set};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use gate::Gate;
use groundswell_core::id::TextKey;
use parking_lot::{Condvar, Mutex};
use queue::{Due, Queue};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A lot is at most this many batches: enough to sort by length, few enough that the newest need not wait long.
const LOT: usize = 4;

/// How a pool works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Threads that call the model.
    pub threads: usize,
    /// How large a batch may get.
    pub limits: Limits,
    /// How long a text may wait for others to fill its batch.
    pub age: Duration,
    /// Batches of answers that may lie unread before the pool stops.
    pub answers: usize,
    /// Answers remembered for texts that are wanted again before the record knows them.
    pub memory: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            threads: 1,
            limits: Limits::default(),
            age: Duration::from_millis(20),
            answers: 64,
            memory: 65_536,
        }
    }
}

/// Why a pool cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The operating system gave no thread.
    #[error("cannot start a scorer thread: {0}")]
    Thread(#[from] std::io::Error),
    /// An option is zero.
    #[error("the scorer pool needs at least one {0}")]
    Zero(&'static str),
}

/// Fetches the text behind a key.
type Fetch = dyn Fn(TextKey) -> Option<Arc<str>> + Send + Sync;

struct Shared {
    queue: Mutex<State>,
    wake: Condvar,
    scorer: Arc<dyn Scorer>,
    fetch: Box<Fetch>,
    options: PoolOptions,
    stats: Arc<ScorerStats>,
}

struct State {
    queue: Queue,
    gate: Gate,
    stopped: bool,
}

/// A scorer on threads of its own; one per process and model.
pub struct ScorerPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Dropped to wake threads that wait for room in the answers' channel.
    stop: Option<Sender<()>>,
}

impl ScorerPool {
    /// Starts the threads. Answers come out of the receiver, a batch at a time.
    ///
    /// # Errors
    /// If a thread cannot be started or an option is zero.
    pub fn start(
        scorer: Arc<dyn Scorer>,
        fetch: impl Fn(TextKey) -> Option<Arc<str>> + Send + Sync + 'static,
        options: PoolOptions,
    ) -> Result<(Self, Receiver<Vec<Answer>>), PoolError> {
        Self::start_in(Lane::default(), scorer, fetch, options)
    }

    /// The same, beside other pools.
    ///
    /// # Errors
    /// If a thread cannot be started or an option is zero.
    pub fn start_in(
        lane: Lane,
        scorer: Arc<dyn Scorer>,
        fetch: impl Fn(TextKey) -> Option<Arc<str>> + Send + Sync + 'static,
        options: PoolOptions,
    ) -> Result<(Self, Receiver<Vec<Answer>>), PoolError> {
        let PoolOptions {
            threads,
            limits,
            answers,
            ..
        } = options;
        for (n, what) in [
            (threads, "thread"),
            (limits.texts, "text in a batch"),
            (answers, "batch of answers"),
        ] {
            if n == 0 {
                return Err(PoolError::Zero(what));
            }
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(State {
                queue: Queue::new(options.memory),
                gate: Gate::new(lane),
                stopped: false,
            }),
            wake: Condvar::new(),
            scorer,
            fetch: Box::new(fetch),
            options,
            stats: Arc::new(ScorerStats::default()),
        });
        let (sender, receiver) = bounded(answers);
        let (stop, stopped) = bounded(0);
        let mut pool = ScorerPool {
            shared,
            threads: Vec::with_capacity(threads),
            stop: Some(stop),
        };
        for n in 0..threads {
            let (shared, sender, stopped) = (Arc::clone(&pool.shared), sender.clone(), stopped.clone());
            let thread = std::thread::Builder::new().name(format!("scorer-{n}"));
            pool.threads.push(thread.spawn(move || shared.work(&sender, &stopped))?);
        }
        Ok((pool, receiver))
    }

    /// Asks for a text's score. `recency` orders the queue (event time): the newest goes first.
    pub fn want(&self, text: TextKey, recency: i64) {
        let PoolOptions { limits, age, .. } = self.shared.options;
        let now = Instant::now();
        let wake = self.shared.with_queue(|queue| {
            let before = queue.due(limits.texts, age, now);
            if queue.want(text, recency, now) {
                count(&self.shared.stats.memo_hits);
            }
            // A thread that sleeps is woken for the first text, to start its timer, and for a full batch.
            before == Due::Idle || queue.due(limits.texts, age, now) == Due::Now
        });
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// Takes the wish back: the text is gone or its score is recorded.
    pub fn unwant(&self, text: TextKey) {
        self.shared.with_queue(|queue| queue.unwant(text));
    }

    /// Lets the pool step back for others, or not any more.
    pub fn set_background(&self, background: bool) {
        let mut state = self.shared.queue.lock();
        let (waiting, in_flight) = state.queue.sizes();
        state.gate.set_background(background, waiting + in_flight);
        drop(state);
        self.shared.wake.notify_all();
    }

    /// The counters.
    pub fn stats(&self) -> &Arc<ScorerStats> {
        &self.shared.stats
    }

    /// The scorer.
    pub fn scorer(&self) -> &Arc<dyn Scorer> {
        &self.shared.scorer
    }

    /// Stops after the batch at hand. What is waiting is forgotten: it is wanted again after a restart.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.shared.queue.lock().stopped = true;
        self.stop = None;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a scorer thread had panicked");
            }
        }
    }
}

impl Drop for ScorerPool {
    fn drop(&mut self) {
        self.halt();
    }
}

/// What a thread does next.
struct Work {
    known: Vec<Answer>,
    lot: Vec<TextKey>,
}

impl Shared {
    fn with_queue<T>(&self, f: impl FnOnce(&mut Queue) -> T) -> T {
        let mut state = self.queue.lock();
        let result = f(&mut state.queue);
        self.publish_sizes(&mut state);
        result
    }

    fn publish_sizes(&self, state: &mut State) {
        let (waiting, in_flight) = state.queue.sizes();
        state.gate.load(waiting + in_flight);
        set(&self.stats.waiting, waiting);
        set(&self.stats.in_flight, in_flight);
    }

    /// A thread's life.
    fn work(&self, answers: &Sender<Vec<Answer>>, stopped: &Receiver<()>) {
        while let Some(Work { known, lot }) = self.next() {
            if !known.is_empty() && !send(answers, stopped, known) {
                return;
            }
            let (found, missing) = self.fetch_all(lot);
            if !missing.is_empty() && !self.deliver(answers, stopped, missing) {
                return;
            }
            let mut open = true;
            score_lot(&*self.scorer, found, self.options.limits, &self.stats, |batch| {
                open = self.deliver(answers, stopped, batch);
                open
            });
            if !open {
                return;
            }
        }
    }

    /// Waits until there is something to do; `None` when the pool stops.
    fn next(&self) -> Option<Work> {
        let Limits { texts, .. } = self.options.limits;
        let mut state = self.queue.lock();
        loop {
            if state.stopped {
                return None;
            }
            let now = Instant::now();
            match state.queue.due(texts, self.options.age, now) {
                Due::Now => match state.gate.wait(now) {
                    None => break,
                    Some(left) => {
                        self.wake.wait_for(&mut state, left);
                    }
                },
                Due::In(left) => {
                    self.wake.wait_for(&mut state, left);
                }
                Due::Idle => self.wake.wait(&mut state),
            }
        }
        let portion = state.gate.portion(texts * LOT);
        let work = Work {
            known: state.queue.take_known(),
            lot: state.queue.take(portion),
        };
        state.gate.took(work.lot.len(), Instant::now());
        self.publish_sizes(&mut state);
        Some(work)
    }

    fn fetch_all(&self, lot: Vec<TextKey>) -> (Vec<(TextKey, Arc<str>)>, Vec<Answer>) {
        let (mut found, mut missing) = (Vec::with_capacity(lot.len()), Vec::new());
        for key in lot {
            match (self.fetch)(key) {
                Some(text) => found.push((key, text)),
                None => {
                    self.stats.failed(&ScoreFailure::TextMissing);
                    let (model, result) = (self.scorer.model(), Err(ScoreFailure::TextMissing));
                    missing.push(Answer {
                        text: key,
                        model,
                        result,
                    });
                }
            }
        }
        (found, missing)
    }

    fn deliver(&self, answers: &Sender<Vec<Answer>>, stopped: &Receiver<()>, batch: Vec<Answer>) -> bool {
        for since in self.with_queue(|queue| queue.landed(&batch)) {
            self.stats.tell(|watch| watch.answered(since.elapsed()));
        }
        send(answers, stopped, batch)
    }
}

/// Waits for room; false when the pool stops or nobody listens any more.
fn send(answers: &Sender<Vec<Answer>>, stopped: &Receiver<()>, batch: Vec<Answer>) -> bool {
    select! {
        send(answers, batch) -> sent => sent.is_ok(),
        recv(stopped) -> _ => false,
    }
}

#[cfg(test)]
mod tests;
