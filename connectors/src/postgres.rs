//! A sink that keeps tables in Postgres equal to the views, exactly once.
//!
//! In: the changes of ticks. Out: in the schema of the pipeline's name, one table per view, `alerts` and `dead_letters`.
//! Every commit is one transaction: rows, alerts, dead letters, and the tick itself in `_progress`, by compare-and-set under
//! the epoch this process took when it started. A crash at any moment therefore leaves the tables as of some tick, the sink
//! continues from there, and a process that was replaced in the meantime cannot write any more.
//!
//! State: the tables; here only a connection, and how far they are. What can fail is in [`PostgresError`]. After an error
//! the connection is thrown away, and the next attempt reads from the database how far it really is.
//!
//! Times are UTC. A group value that is none is the empty text; NUL characters and values longer than 600 bytes are
//! rewritten (`docs/adr/0006-postgres-sink.md`).

mod batch;
mod connect;
mod error;
mod events;
mod layout;
mod letters;
mod partition;
mod schema;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod value;

pub use error::{Altered, PostgresError};
pub use letters::TableLetters;
pub use session::Difference;

use crate::dlq::Origin;
use crate::json::PostIds;
use batch::Batch;
use connect::Target;
use groundswell_core::id::Names;
use groundswell_core::keywords::EventsSpec;
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use layout::{Layout, ViewTable};
use session::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a sink writes, and where.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The sink's name in the config.
    pub name: String,
    /// `postgres://user:password@host:port/database?sslmode=…`
    pub url: String,
    /// The schema: the pipeline's name.
    pub schema: String,
    /// All views of the pipeline.
    pub views: Arc<[ViewSpec]>,
    /// Which of them get a table.
    pub tables: Vec<usize>,
    /// Whether alerts get one.
    pub alerts: bool,
    /// What makes keyword events, if they get one.
    pub events: Option<EventsSpec>,
    /// Whether dead letters get one.
    pub dead_letters: bool,
    /// What is known about where they come from.
    pub origin: Origin,
    /// What else decides about the numbers in the views, such as how votes become weights. A table that was written under
    /// another basis is built again from the record.
    pub basis: String,
    /// Strings behind digests.
    pub names: Arc<Names>,
    /// Ids of posts.
    pub post_ids: PostIds,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a transaction may take.
    pub answer_timeout: Duration,
    /// How long [`PostgresSink::open`] tries again where waiting may help.
    pub patience: Duration,
}

/// Strings behind digests.
struct Strings {
    names: Arc<Names>,
    post_ids: PostIds,
}

/// What is written.
struct Plan {
    sink: String,
    all_views: Arc<[ViewSpec]>,
    views: Vec<ViewTable>,
    alerts: Option<Layout>,
    dead: Option<Layout>,
    /// The table of keyword events, and what its rows mean.
    events: Option<(Layout, String)>,
    origin: Origin,
    strings: Strings,
}

/// How far the tables are.
#[derive(Clone, Debug)]
struct Progress {
    /// Taken at the start; commits are refused once somebody else took a later one.
    epoch: i64,
    upper: Option<Tick>,
    /// Dead letters up to this tick are in the table.
    dead_upper: Option<Tick>,
    /// By table of a view, then that of keyword events: it is being filled from the beginning, because it is new or means
    /// something else than before.
    behind: Vec<bool>,
}

/// See the module documentation.
pub struct PostgresSink {
    plan: Plan,
    target: Target,
    runtime: tokio::runtime::Runtime,
    session: Option<Session>,
    progress: Progress,
    answer_timeout: Duration,
}

impl PostgresSink {
    /// Connects, takes the sink over from any other process, creates or migrates the schema and checks the tables.
    ///
    /// # Errors
    /// [`PostgresError`], saying what to do.
    pub fn open(options: PostgresOptions) -> Result<Self, PostgresError> {
        let target = Target::new(&options.url, &options.schema, &options.name, options.connect_timeout)?;
        let table = |index: &usize| {
            let spec = options.views.get(*index)?;
            Some(ViewTable::new(&options.schema, *index, spec, &options.basis))
        };
        let plan = Plan {
            sink: options.name,
            views: options.tables.iter().filter_map(table).collect(),
            all_views: options.views,
            alerts: options.alerts.then(|| Layout::alerts(&options.schema)),
            dead: options.dead_letters.then(|| Layout::dead_letters(&options.schema)),
            events: options
                .events
                .map(|spec| (Layout::events(&options.schema), format!("{spec:?}"))),
            origin: options.origin,
            strings: Strings {
                names: options.names,
                post_ids: options.post_ids,
            },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| PostgresError::Value(format!("cannot start a runtime for the sink: {e}")))?;
        let end = Instant::now() + options.patience;
        let mut pause = Duration::from_millis(100);
        let (session, progress) = loop {
            let within = options.connect_timeout + options.answer_timeout;
            match limited(&runtime, &target, within, Session::fence(&target, &plan)) {
                Err(error) if error.is_retriable() && Instant::now() + pause < end => {
                    tracing::warn!(sink = %plan.sink, %error, retry_in = ?pause, "a sink cannot start yet");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                other => break other?,
            }
        };
        Ok(PostgresSink {
            plan,
            target,
            runtime,
            session: Some(session),
            progress,
            answer_timeout: options.answer_timeout,
        })
    }

    /// The last tick that the tables hold. Some tables may still be behind it: see [`Sink::upper`].
    pub fn committed(&self) -> Option<Tick> {
        self.progress.upper
    }

    /// Commits ticks, oldest first, in as few transactions as can be.
    ///
    /// # Errors
    /// [`PostgresError`]; then none or some of the first ticks are committed, and the same call may be made again.
    pub fn commit(&mut self, ticks: &[&TickChanges]) -> Result<(), PostgresError> {
        self.reconnect()?;
        // Ticks that are committed are only for tables that are being filled.
        let upper = self.progress.upper;
        let known = ticks.partition_point(|t| upper.is_some_and(|upper| t.tick <= upper));
        for part in [&ticks[..known], &ticks[known..]] {
            let catching_up = part.last().is_some_and(|t| upper.is_some_and(|upper| t.tick <= upper));
            let behind = self.progress.behind.clone();
            if catching_up && !behind.contains(&true) {
                continue;
            }
            let wants = |table: usize| !catching_up || behind.get(table) == Some(&true);
            let Some(batch) = Batch::fold(part, &self.plan, wants) else {
                continue;
            };
            self.run(async |session, place, plan, progress| session.commit(place, plan, progress, &batch).await)?;
        }
        Ok(())
    }

    /// Makes the tables equal to a full state of the views, writing only what differs, and says what that was. `full` holds
    /// every row there is at its tick, and the alerts known; every tick up to it must have been handed to this sink.
    ///
    /// # Errors
    /// [`PostgresError`]; then nothing has changed.
    pub fn resync(&mut self, full: &TickChanges) -> Result<Vec<Difference>, PostgresError> {
        self.reconnect()?;
        let Some(batch) = Batch::fold(&[full], &self.plan, |_| true) else {
            return Ok(Vec::new());
        };
        let mut differences = Vec::new();
        self.run(async |session, place, plan, progress| {
            let (next, found) = session.resync(place, plan, progress, &batch).await?;
            differences = found;
            Ok(next)
        })?;
        Ok(differences)
    }

    /// Empties the tables of the views and wants everything again from the beginning.
    ///
    /// # Errors
    /// [`PostgresError`]; then the tables are as they were.
    pub fn begin_again(&mut self) -> Result<(), PostgresError> {
        self.reconnect()?;
        self.run(async |session, place, plan, progress| session.forget(place, plan, progress).await)?;
        self.session = None;
        close(&self.runtime);
        let fence = Session::fence(&self.target, &self.plan);
        let (session, progress) = limited(&self.runtime, &self.target, self.answer_timeout, fence)?;
        (self.session, self.progress) = (Some(session), progress);
        Ok(())
    }

    fn reconnect(&mut self) -> Result<(), PostgresError> {
        if self.session.as_ref().is_some_and(|s| !s.is_closed()) {
            return Ok(());
        }
        self.session = None;
        let again = Session::again(&self.target, &self.plan, &self.progress);
        let (session, progress) = limited(&self.runtime, &self.target, self.answer_timeout, again)?;
        (self.session, self.progress) = (Some(session), progress);
        Ok(())
    }

    /// Runs a transaction; the session survives only success.
    fn run(
        &mut self,
        transaction: impl AsyncFnOnce(&mut Session, &error::Place, &Plan, &Progress) -> Result<Progress, PostgresError>,
    ) -> Result<(), PostgresError> {
        let Some(mut session) = self.session.take() else {
            return Err(PostgresError::Value(
                "the sink has no connection; this is a bug".to_owned(),
            ));
        };
        let future = transaction(&mut session, &self.target.place, &self.plan, &self.progress);
        match limited(&self.runtime, &self.target, self.answer_timeout, future) {
            Ok(progress) => {
                (self.session, self.progress) = (Some(session), progress);
                Ok(())
            }
            Err(error) => {
                drop(session);
                close(&self.runtime);
                Err(error)
            }
        }
    }
}

/// Runs to the end, or to the time limit.
fn limited<T>(
    runtime: &tokio::runtime::Runtime,
    target: &Target,
    limit: Duration,
    future: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    let silent = || PostgresError::Silent {
        server: target.place.server.clone(),
        after: limit,
    };
    let done = runtime.block_on(async {
        let done = tokio::time::timeout(limit, future).await;
        done.unwrap_or_else(|_| Err(silent()))
    });
    if done.is_err() {
        close(runtime);
    }
    done
}

/// Lets connections go that were dropped. On this thread's runtime nothing happens by itself: without this the server would
/// hold a failed transaction's locks until the next attempt.
fn close(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    });
}

impl Sink for PostgresSink {
    fn name(&self) -> &str {
        &self.plan.sink
    }

    fn upper(&self) -> Option<Tick> {
        // A table that is being filled wants the restored state as well; the others skip what they have.
        self.progress.upper.filter(|_| !self.progress.behind.contains(&true))
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        self.commit(&[changes]).map_err(|e| e.to_string())
    }

    fn can_resync(&self) -> bool {
        true
    }

    fn resync(&mut self, full: &TickChanges) -> Result<String, String> {
        let found = PostgresSink::resync(self, full).map_err(|e| e.to_string())?;
        let differing = found.iter().filter(|d| d.deleted + d.written > 0);
        let said: Vec<String> = differing
            .map(|d| format!("{}: {} rows deleted, {} written", d.table, d.deleted, d.written))
            .collect();
        Ok(match said.is_empty() {
            true => format!("nothing differed at tick {}", full.tick),
            false => format!("at tick {}: {}", full.tick, said.join("; ")),
        })
    }

    fn rebuild(&mut self) -> Result<(), String> {
        self.begin_again().map_err(|e| e.to_string())
    }

    fn apply_all(&mut self, changes: &[Arc<TickChanges>]) -> Result<(), String> {
        let ticks: Vec<&TickChanges> = changes.iter().map(Arc::as_ref).collect();
        self.commit(&ticks).map_err(|e| e.to_string())
    }
}
