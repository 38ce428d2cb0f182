//! The ladder at work: a thread that asks the HTTP scorer for what the model could not answer.

use super::breaker::Gate;
use super::client::{AskError, HttpScorer};
use super::table::{Pauses, Table};
use crate::scorer::ScoreFailure;
use crate::stats::ScorerStats;
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::score::Score;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// Requests under way at once.
const PARALLEL: usize = 4;
/// How often to look whether a probe has ended.
const PROBE: Duration = Duration::from_millis(500);
/// Lots of facts that may lie unread before nothing more is asked.
const UNREAD: usize = 64;

/// Why there is no ladder.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    /// The URL cannot be used.
    #[error("the URL of the HTTP scorer cannot be used: {0}")]
    Url(String),
    /// The token cannot be used; what it is goes nowhere.
    #[error("the token of the HTTP scorer has characters that cannot be in a header")]
    Token,
    /// The client cannot be made.
    #[error("the client of the HTTP scorer cannot be made: {0}")]
    Client(String),
    /// The operating system gave no thread.
    #[error("cannot start the thread of the HTTP scorer: {0}")]
    Thread(#[from] std::io::Error),
}

/// What is below the model.
#[derive(Clone)]
pub struct Fallback {
    /// Who is asked.
    pub http: Arc<HttpScorer>,
    /// Whether texts without any answer are neutral meanwhile; otherwise they have no score.
    pub neutral: bool,
    /// Whether a text that has waited for the model so long is asked for too.
    pub after: Option<Duration>,
    /// First pause after a text was asked for in vain, retries included; each further one is twice as long.
    pub again: Duration,
    /// Longest such pause.
    pub longest: Duration,
}

impl Fallback {
    /// The defaults.
    pub fn new(http: Arc<HttpScorer>) -> Self {
        Fallback {
            http,
            neutral: true,
            after: None,
            again: Duration::from_secs(60),
            longest: Duration::from_secs(3_600),
        }
    }
}

/// What a rung below the model says about a text: to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fell {
    /// The text.
    pub text: TextKey,
    /// The model in whose place it was answered.
    pub model: ModelKey,
    /// The answer; `None` is that there is none.
    pub score: Option<Score>,
    /// Why the model had none, and the rung below neither; for a dead letter.
    pub failure: Option<(ScoreFailure, String)>,
}

type Fetch = dyn Fn(TextKey) -> Option<Arc<str>> + Send + Sync;

struct Shared {
    table: Mutex<Table>,
    changed: Notify,
    stopped: AtomicBool,
    fallback: Fallback,
    model: ModelKey,
    fetch: Box<Fetch>,
    stats: Arc<ScorerStats>,
}

/// The rungs below one model, at work. Dropping it stops it; what it waits for is wanted again after a restart.
pub struct Ladder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ladder {
    /// Starts the thread. Facts come out of the receiver.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        fallback: Fallback,
        model: ModelKey,
        fetch: impl Fn(TextKey) -> Option<Arc<str>> + Send + Sync + 'static,
        stats: Arc<ScorerStats>,
    ) -> Result<(Self, mpsc::Receiver<Vec<Fell>>), LadderError> {
        let setup = &fallback.http.setup;
        let pauses = Pauses {
            retries: setup.retries,
            first: setup.pause,
            round: fallback.again,
            longest: fallback.longest,
            overdue: fallback.after,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(2)
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            table: Mutex::new(Table::new(pauses)),
            changed: Notify::new(),
            stopped: AtomicBool::new(false),
            fallback,
            model,
            fetch: Box::new(fetch),
            stats,
        });
        let (out, facts) = mpsc::channel(UNREAD);
        let at_work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("fallback".into()).spawn(move || {
            runtime.block_on(at_work.run(&out));
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        let thread = Some(thread);
        Ok((Ladder { shared, thread }, facts))
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.shared.table.lock());
        self.shared.changed.notify_one();
    }

    /// A text is wanted; tell before the model is asked. `recency` orders texts (event time): the newest goes first.
    /// `stopgap` is that something is recorded that stands for an answer.
    pub fn want(&self, text: TextKey, recency: i64, stopgap: bool) {
        self.change(|table| table.want(text, recency, stopgap, Instant::now()));
    }

    /// The wish is taken back: the text is gone, or its answer is recorded.
    pub fn unwant(&self, text: TextKey) {
        self.change(|table| table.unwant(text));
    }

    /// The model has no answer, and would have none if it were asked again.
    pub fn model_failed(&self, text: TextKey, failure: ScoreFailure) {
        self.change(|table| table.local_failed(text, failure));
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the HTTP scorer had panicked");
        }
    }
}

/// A request that ended.
type Ended = (TextKey, Result<Score, AskError>, Duration);

impl Shared {
    async fn run(self: Arc<Self>, out: &mpsc::Sender<Vec<Fell>>) {
        let mut asking = JoinSet::<Ended>::new();
        while !self.stopped.load(Ordering::Acquire) {
            let (facts, wake) = self.turn(&mut asking);
            if !facts.is_empty() && !self.send(out, facts).await {
                return;
            }
            let later = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                ended = asking.join_next(), if !asking.is_empty() => ended,
                () = self.changed.notified() => None,
                () = later => None,
            };
            match ended {
                Some(Ok(ended)) => {
                    let fact = self.ended(ended);
                    if let Some(fact) = fact
                        && !self.send(out, vec![fact]).await
                    {
                        return;
                    }
                }
                Some(Err(error)) => tracing::error!(%error, "a request to the HTTP scorer was lost"),
                None => {}
            }
        }
    }

    /// Waits for room; false when it is time to stop or nobody listens.
    async fn send(&self, out: &mpsc::Sender<Vec<Fell>>, facts: Vec<Fell>) -> bool {
        tokio::select! {
            sent = out.send(facts) => sent.is_ok(),
            () = async { while !self.stopped.load(Ordering::Acquire) { self.changed.notified().await } } => false,
        }
    }

    /// Asks for what may be asked for now. Facts about what may not, and when to look again.
    fn turn(&self, asking: &mut JoinSet<Ended>) -> (Vec<Fell>, Option<Instant>) {
        let (now, http) = (Instant::now(), &self.fallback.http);
        let mut table = self.table.lock();
        table.turn(now);
        let (mut closed, mut until) = (false, None);
        while asking.len() < PARALLEL
            && let Some(text) = table.peek()
        {
            let Some(words) = (self.fetch)(text) else {
                // Nobody knows it any more, so nobody wants it.
                table.unwant(text);
                continue;
            };
            match http.admit(now) {
                Gate::Open => {
                    table.asked(text);
                    let http = Arc::clone(http);
                    asking.spawn(async move {
                        let began = Instant::now();
                        let answer = http.ask(&words).await;
                        (text, answer, began.elapsed())
                    });
                }
                Gate::Until(at) => (closed, until) = (true, Some(at)),
                // The probe may be somebody else's.
                Gate::Probing => (closed, until) = (true, Some(now + PROBE)),
            }
            if closed {
                break;
            }
        }
        let stranded = if closed && self.fallback.neutral {
            table.stranded()
        } else {
            Vec::new()
        };
        let why = if http.is_broken() {
            "the HTTP scorer is not asked, as it failed too often in a row"
        } else {
            "the HTTP scorer is not asked for now, to keep to its limits"
        };
        let facts = stranded
            .into_iter()
            .map(|(text, failure)| self.stopgap(text, failure, why));
        let facts = facts.collect();
        self.stats.tell(|watch| watch.below(table.len(), http.is_broken()));
        let wake = [table.next(), until].into_iter().flatten().min();
        (facts, wake)
    }

    /// Notes how a request ended; what is to be recorded then.
    fn ended(&self, (text, answer, took): Ended) -> Option<Fell> {
        let (now, http) = (Instant::now(), &self.fallback.http);
        let outcome = answer.as_ref().map_or_else(|error| error.outcome, |_| "ok");
        self.stats.tell(|watch| watch.asked(outcome, took));
        http.note(answer.as_ref().map(|_| ()), now);
        let mut table = self.table.lock();
        match answer {
            Ok(score) => {
                table.answered(text);
                Some(Fell {
                    text,
                    model: self.model,
                    score: Some(score),
                    failure: None,
                })
            }
            Err(error) => {
                tracing::warn!(%text, outcome = error.outcome, %error, "the HTTP scorer has no answer");
                let failure = table.failed(text, error.again, now, roll())?;
                Some(self.stopgap(text, failure, &format!("the HTTP scorer has no answer: {error}")))
            }
        }
    }

    fn stopgap(&self, text: TextKey, failure: ScoreFailure, why: &str) -> Fell {
        Fell {
            text,
            model: self.model,
            score: self.fallback.neutral.then(Score::neutral),
            failure: Some((failure, why.to_owned())),
        }
    }
}

/// Uniform in [0, 1).
#[allow(clippy::cast_precision_loss)] // 53 bits fit
fn roll() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
