//! One connection, and the transactions that run on it.
//!
//! In: batches. Out: committed tables. State: prepared statements and what is known about partitions and sliding windows;
//! all of it is only right while every transaction so far was committed, so after any error the session is thrown away.

use super::batch::{self, Batch, Net};
use super::connect::{Connected, Target};
use super::error::{Place, PostgresError};
use super::events;
use super::layout::{Layout, ViewTable};
use super::partition::{Part, Parts};
use super::schema::{self, Wanted};
use super::value::{Column, Time, params, quoted};
use super::{Plan, Progress};
use groundswell_core::time::{EventTime, Tick};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Statement, Transaction};

/// Longest wait for readers of a partition that is over; after that its rows are deleted and it is dropped later.
const DROP_WAIT: &str = "500ms";
/// Before a partition that readers hold is tried again.
const DROP_AGAIN: Duration = Duration::from_secs(30);

/// See the module documentation.
pub(super) struct Session {
    client: Connected,
    statements: Statements,
    /// Partitions there are, by table.
    partitions: Vec<Parts>,
    /// The last window start that was expired, by table.
    expired: Vec<Option<EventTime>>,
    /// End of the sliding window that all rows show, by table.
    slid: Vec<Option<EventTime>>,
    /// When readers last kept a partition from being dropped.
    readers: Option<Instant>,
}

impl Session {
    /// Connects and takes the sink over: from now on no other process can commit as this sink. Creates what is missing.
    pub(super) async fn fence(target: &Target, plan: &Plan) -> Result<(Self, Progress), PostgresError> {
        let place = &target.place;
        let mut client = target.connect().await?;
        let failed = |e: tokio_postgres::Error| place.statement(&e);
        let tx = client.transaction().await.map_err(failed)?;
        schema::prepare(&tx, place, schema::VERSION, schema::STEPS).await?;
        let sql = format!(
            "insert into {}._progress as p (sink, upper, epoch) values ($1, null, 1) \
             on conflict (sink) do update set epoch = p.epoch + 1 returning upper, epoch",
            quoted(&place.schema)
        );
        // Waits for a transaction of another process that has begun, and makes all its later ones fail.
        let row = tx.query_one(&sql, &[&plan.sink]).await.map_err(failed)?;
        let (upper, epoch): (Option<i64>, i64) = (row.get(0), row.get(1));
        let behind = schema::ensure(&tx, place, &plan.wanted(), upper).await?;
        // A sink that begins anew gets ticks again whose dead letters may be there.
        let mut dead_upper = upper;
        if let (None, Some(dead)) = (upper, &plan.dead) {
            let sql = format!("select max(tick) from {}", dead.path());
            dead_upper = tx.query_one(&sql, &[]).await.map_err(failed)?.get(0);
        }
        let partitions = schema::partitions(&tx, place, &plan.views).await?;
        tx.commit().await.map_err(failed)?;
        let tick = |n: Option<i64>| n.and_then(|n| Tick::try_from(n).ok());
        let progress = Progress {
            epoch,
            upper: tick(upper),
            dead_upper: tick(dead_upper),
            behind,
        };
        Ok((Self::new(client, plan, partitions), progress))
    }

    /// Connects again, under the epoch taken before, and reads how far the sink is: the last transaction may have been
    /// committed though its answer was lost.
    pub(super) async fn again(
        target: &Target,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<(Self, Progress), PostgresError> {
        let place = &target.place;
        let mut client = target.connect().await?;
        let failed = |e: tokio_postgres::Error| place.statement(&e);
        let tx = client.transaction().await.map_err(failed)?;
        // The lock waits for that transaction, if the server still works on it.
        let upper = stand(&tx, place, plan, progress.epoch).await?;
        let behind = schema::verify(&tx, place, &plan.wanted()).await?;
        let partitions = schema::partitions(&tx, place, &plan.views).await?;
        tx.commit().await.map_err(failed)?;
        let upper = upper.and_then(|n| Tick::try_from(n).ok());
        let now = Progress {
            upper,
            behind,
            ..progress.clone()
        };
        Ok((Self::new(client, plan, partitions), now))
    }

    fn new(client: Connected, plan: &Plan, partitions: Vec<Parts>) -> Self {
        Session {
            client,
            statements: Statements::default(),
            partitions,
            expired: vec![None; plan.views.len()],
            slid: vec![None; plan.views.len()],
            readers: None,
        }
    }

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Writes a batch and the progress in one transaction.
    pub(super) async fn commit(
        &mut self,
        place: &Place,
        plan: &Plan,
        progress: &Progress,
        batch: &Batch<'_>,
    ) -> Result<Progress, PostgresError> {
        let failed = |e: tokio_postgres::Error| place.statement(&e);
        let mut tx = self.client.transaction().await.map_err(failed)?;
        let next = advance(&tx, place, plan, progress, (batch.tick, batch.clock)).await?;
        fail::fail_point!("postgres::advanced");
        for (i, view) in plan.views.iter().enumerate() {
            let (Some(cut), Some(net)) = (view.cut, &batch.views[i]) else {
                continue;
            };
            let bound = cut.expired(batch.clock);
            if self.expired[i].is_none_or(|was| was < bound) {
                self.readers = expire(&mut tx, place, view, &mut self.partitions[i], batch.clock, self.readers).await?;
                self.expired[i] = Some(bound);
            }
            make_room(&tx, place, view, &mut self.partitions[i], net, batch.clock).await?;
        }
        let mut writes: Vec<(Statement, Vec<Column>)> = Vec::new();
        for (i, view) in plan.views.iter().enumerate() {
            let Some(net) = &batch.views[i] else { continue };
            for (part, columns) in batch::deletes(view, net, &self.partitions[i], batch.clock, &plan.strings)? {
                // A partition is addressed by its own name: the planner need not look for it.
                let from = part.map_or_else(|| view.layout.path(), |part| view.layout.partition_path(part));
                let statement = self.statements.get(&tx, place, view.layout.delete(&from)).await?;
                writes.push((statement, columns));
            }
            for columns in batch::upserts(view, net, batch.clock, &plan.strings)? {
                let statement = self.statements.get(&tx, place, view.layout.upsert()).await?;
                writes.push((statement, columns));
            }
            let (start, end) = view.spec.window.sliding_bounds(batch.clock);
            // Before the first record of an event clock there is no time, and no row to move.
            let timeless = batch.clock <= i64::MIN / 2;
            if view.sliding() && !timeless && self.slid[i] != Some(end) {
                let statement = self.statements.get(&tx, place, slide(&view.layout)).await?;
                writes.push((
                    statement,
                    vec![Column::Time(vec![Time(start)]), Column::Time(vec![Time(end)])],
                ));
                self.slid[i] = Some(end);
            }
        }
        if let (Some(events), Some((layout, _))) = (&batch.events, &plan.events) {
            if let Some(columns) = events::deletes(events) {
                let statement = self.statements.get(&tx, place, layout.delete(&layout.path())).await?;
                writes.push((statement, columns));
            }
            for columns in events::upserts(events) {
                writes.push((self.statements.get(&tx, place, layout.upsert()).await?, columns));
            }
        }
        if next.upper != progress.upper {
            if let Some(layout) = &plan.alerts {
                let alerts = batch::alerts(batch.alerts.values().copied(), &plan.all_views, &plan.strings)?;
                if let Some(columns) = alerts {
                    writes.push((self.statements.get(&tx, place, layout.upsert()).await?, columns));
                }
            }
            if let Some(layout) = &plan.dead {
                let new = |(tick, _): &&(Tick, _)| progress.dead_upper.is_none_or(|upper| *tick > upper);
                let dead: Vec<_> = batch.dead.iter().filter(new).copied().collect();
                for columns in batch::dead_letters(&dead, &plan.origin)? {
                    writes.push((self.statements.get(&tx, place, layout.upsert()).await?, columns));
                }
            }
        }
        execute(&tx, place, &writes).await?;
        fail::fail_point!("postgres::written");
        tx.commit().await.map_err(failed)?;
        fail::fail_point!("postgres::committed");
        Ok(next)
    }

    /// Notes that the tables of views are to be built again; the next [`Session::fence`] empties them. No alert stands until
    /// the first tick tells of it: one that does not come again ended in a tick that was missed.
    pub(super) async fn forget(
        &mut self,
        place: &Place,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Progress, PostgresError> {
        let failed = |e: tokio_postgres::Error| place.statement(&e);
        let tx = self.client.transaction().await.map_err(failed)?;
        stand(&tx, place, plan, progress.epoch).await?;
        let views = plan.views.iter().map(|v| &*v.layout.name);
        let views: Vec<&str> = views
            .chain(plan.events.iter().map(|(layout, _)| &*layout.name))
            .collect();
        let sql = format!(
            "update {}._tables set complete = false where sink = $1 and name = any($2)",
            quoted(&place.schema)
        );
        tx.execute(&sql, &[&plan.sink, &views]).await.map_err(failed)?;
        if let Some(layout) = &plan.alerts {
            let sql = format!(
                "update {} set state = 'retracted' where state = 'firing'",
                layout.path()
            );
            tx.execute(&sql, &[]).await.map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        Ok(progress.clone())
    }

    /// Makes the tables equal to a full state, writing only what differs. Returns what that was, by table.
    pub(super) async fn resync(
        &mut self,
        place: &Place,
        plan: &Plan,
        progress: &Progress,
        full: &Batch<'_>,
    ) -> Result<(Progress, Vec<Difference>), PostgresError> {
        let failed = |e: tokio_postgres::Error| place.statement(&e);
        let mut tx = self.client.transaction().await.map_err(failed)?;
        let next = advance(&tx, place, plan, progress, (full.tick, full.clock)).await?;
        let mut differences = Vec::new();
        for (i, view) in plan.views.iter().enumerate() {
            let Some(net) = &full.views[i] else { continue };
            let known = &mut self.partitions[i];
            self.readers = expire(&mut tx, place, view, known, full.clock, self.readers).await?;
            make_room(&tx, place, view, known, net, full.clock).await?;
            let path = view.layout.path();
            let wanted = Layout {
                schema: "pg_temp".to_owned(),
                name: "wanted".to_owned(),
                ..view.layout.clone()
            };
            tx.batch_execute(&format!("create temporary table wanted (like {path}) on commit drop"))
                .await
                .map_err(failed)?;
            let insert = tx.prepare(&wanted.insert()).await.map_err(failed)?;
            let rows = batch::upserts(view, net, full.clock, &plan.strings)?;
            let writes: Vec<_> = rows.into_iter().map(|columns| (insert.clone(), columns)).collect();
            execute(&tx, place, &writes).await?;
            tx.batch_execute("analyze pg_temp.wanted").await.map_err(failed)?;
            let [delete, upsert] = view.layout.resync(&wanted.path());
            let deleted = tx.execute(&delete, &[]).await.map_err(failed)?;
            let written = tx.execute(&upsert, &[]).await.map_err(failed)?;
            tx.batch_execute("drop table pg_temp.wanted").await.map_err(failed)?;
            differences.push(Difference {
                table: view.layout.name.clone(),
                deleted,
                written,
            });
            self.slid[i] = None;
        }
        if let (Some(events), Some((layout, _))) = (&full.events, &plan.events) {
            let path = layout.path();
            let wanted = Layout {
                schema: "pg_temp".to_owned(),
                name: "wanted".to_owned(),
                ..layout.clone()
            };
            tx.batch_execute(&format!("create temporary table wanted (like {path}) on commit drop"))
                .await
                .map_err(failed)?;
            let insert = tx.prepare(&wanted.insert()).await.map_err(failed)?;
            let rows = events::upserts(events).into_iter();
            execute(
                &tx,
                place,
                &rows.map(|columns| (insert.clone(), columns)).collect::<Vec<_>>(),
            )
            .await?;
            let [delete, upsert] = layout.resync(&wanted.path());
            let deleted = tx.execute(&delete, &[]).await.map_err(failed)?;
            let written = tx.execute(&upsert, &[]).await.map_err(failed)?;
            tx.batch_execute("drop table pg_temp.wanted").await.map_err(failed)?;
            let table = layout.name.clone();
            differences.push(Difference {
                table,
                deleted,
                written,
            });
        }
        if let Some(layout) = &plan.alerts {
            let alerts = batch::alerts(full.alerts.values().copied(), &plan.all_views, &plan.strings)?;
            if let Some(columns) = alerts {
                let sql = layout.upsert_differing();
                let written = tx.execute(&sql, &params(&columns)).await.map_err(failed)?;
                differences.push(Difference {
                    table: layout.name.clone(),
                    deleted: 0,
                    written,
                });
            }
        }
        let sql = format!(
            "update {}._tables set complete = true where sink = $1 and not complete",
            quoted(&place.schema)
        );
        tx.execute(&sql, &[&plan.sink]).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        let behind = vec![false; progress.behind.len()];
        Ok((Progress { behind, ..next }, differences))
    }
}

/// What a resync changed in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// Rows that should not have been there.
    pub deleted: u64,
    /// Rows that were missing or wrong.
    pub written: u64,
}

/// Locks the sink's row and returns its upper, if the epoch is still ours.
async fn stand(tx: &Transaction<'_>, place: &Place, plan: &Plan, epoch: i64) -> Result<Option<i64>, PostgresError> {
    let sql = format!(
        "select upper, epoch from {}._progress where sink = $1 for update",
        quoted(&place.schema)
    );
    let row = tx
        .query_opt(&sql, &[&plan.sink])
        .await
        .map_err(|e| place.statement(&e))?;
    match row {
        Some(row) if row.get::<_, i64>(1) == epoch => Ok(row.get(0)),
        other => Err(PostgresError::Fenced {
            sink: plan.sink.clone(),
            schema: place.schema.clone(),
            mine: epoch,
            found: other.map_or_else(|| "none".to_owned(), |row| row.get::<_, i64>(1).to_string()),
        }),
    }
}

/// Moves the sink's progress by compare-and-set, first thing in the transaction: whoever lost the sink to another process
/// learns it before it writes anything, and whoever takes it over waits for this transaction's end. A tick that only tables
/// behind the others need leaves the progress where it is.
async fn advance(
    tx: &Transaction<'_>,
    place: &Place,
    plan: &Plan,
    progress: &Progress,
    (tick, clock): (Tick, EventTime),
) -> Result<Progress, PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let new =
        i64::try_from(tick).map_err(|_| PostgresError::Value(format!("tick {tick} is beyond what can be stored")))?;
    let schema = quoted(&place.schema);
    let mut next = progress.clone();
    if progress.upper.is_some_and(|upper| tick <= upper) {
        stand(tx, place, plan, progress.epoch).await?;
    } else {
        let sql = format!(
            "update {schema}._progress set upper = $1, clock = $4 where sink = $2 and epoch = $3 and (upper is null or upper < $1)"
        );
        let hit = tx
            .execute(&sql, &[&new, &plan.sink, &progress.epoch, &Time::storable(clock)])
            .await
            .map_err(failed)?;
        if hit != 1 {
            let upper = stand(tx, place, plan, progress.epoch).await?;
            return Err(PostgresError::Progress {
                sink: plan.sink.clone(),
                schema: place.schema.clone(),
                upper: upper.unwrap_or_default(),
                tick: new,
            });
        }
        next.upper = Some(tick);
    }
    if next.behind.contains(&true) && progress.upper.is_none_or(|upper| tick >= upper) {
        let sql = format!("update {schema}._tables set complete = true where sink = $1 and not complete");
        tx.execute(&sql, &[&plan.sink]).await.map_err(failed)?;
        next.behind.fill(false);
    }
    Ok(next)
}

/// Takes out the windows that the engine has dropped: whole partitions where it can, single windows at the edge.
async fn expire(
    tx: &mut Transaction<'_>,
    place: &Place,
    view: &ViewTable,
    known: &mut Parts,
    clock: EventTime,
    mut readers: Option<Instant>,
) -> Result<Option<Instant>, PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let Some(cut) = view.cut else { return Ok(readers) };
    let parts = known.iter().map(|(start, level)| Part {
        start: *start,
        level: *level,
    });
    let over: Vec<Part> = parts.filter(|part| cut.is_over(*part, clock)).collect();
    if !over.is_empty() && readers.is_none_or(|seen| seen.elapsed() > DROP_AGAIN) {
        readers = None;
        let tables: Vec<String> = over.iter().map(|p| view.layout.partition_path(*p)).collect();
        let part = tx.savepoint("partitions").await.map_err(failed)?;
        let sql = format!(
            "set local lock_timeout = '{DROP_WAIT}'; drop table {}",
            tables.join(", ")
        );
        match part.batch_execute(&sql).await {
            Ok(()) => {
                part.batch_execute(&format!(
                    "set local lock_timeout = '{}ms'",
                    super::connect::LOCK.as_millis()
                ))
                .await
                .map_err(failed)?;
                part.commit().await.map_err(failed)?;
                known.retain(|start, _| over.iter().all(|p| p.start != *start));
            }
            // Somebody reads them: their rows go below, the tables when the next window expires.
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                part.rollback().await.map_err(failed)?;
                readers = Some(Instant::now());
            }
            Err(error) => return Err(failed(error)),
        }
    }
    // Before the first event the clock is the least time there is.
    if clock > EventTime::MIN / 2 {
        let sql = format!(
            "delete from {} where {} <= $1",
            view.layout.path(),
            quoted("window_start")
        );
        tx.execute(&sql, &[&Time(cut.expired(clock))]).await.map_err(failed)?;
    }
    Ok(readers)
}

/// Creates the partitions that rows need and that are not there.
async fn make_room(
    tx: &Transaction<'_>,
    place: &Place,
    view: &ViewTable,
    known: &mut Parts,
    net: &Net,
    clock: EventTime,
) -> Result<(), PostgresError> {
    let Some(cut) = view.cut else { return Ok(()) };
    let starts: BTreeSet<EventTime> = batch::starts(net).collect();
    for start in starts {
        let part = cut.place(known, start, clock);
        if known.insert(part.start, part.level).is_none() {
            let sql = view.layout.create_partition(part, cut);
            tx.batch_execute(&sql).await.map_err(|e| place.statement(&e))?;
        }
    }
    Ok(())
}

/// Moves the window of all rows of a sliding view; the arrays have one element.
fn slide(layout: &Layout) -> String {
    format!(
        "update {} set {start} = ($1::timestamptz[])[1], {end} = ($2::timestamptz[])[1] where {end} <> ($2::timestamptz[])[1]",
        layout.path(),
        start = quoted("window_start"),
        end = quoted("window_end"),
    )
}

/// Sends all statements before it waits for the first answer. The error is that of the first that failed.
async fn execute(
    tx: &Transaction<'_>,
    place: &Place,
    writes: &[(Statement, Vec<Column>)],
) -> Result<(), PostgresError> {
    let sent = writes.iter().map(|(statement, columns)| async move {
        let params = params(columns);
        tx.execute(statement, &params).await
    });
    let mut first: Option<tokio_postgres::Error> = None;
    for answer in futures::future::join_all(sent).await {
        if let Err(error) = answer {
            let follows = error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
            if first.is_none() || (!follows && first.as_ref().is_some_and(|f| f.code().is_none())) {
                first = Some(error);
            }
        }
    }
    first.map_or(Ok(()), |error| Err(place.statement(&error)))
}

/// Prepared statements by their text.
#[derive(Default)]
struct Statements(HashMap<String, Statement>);

impl Statements {
    async fn get(&mut self, tx: &Transaction<'_>, place: &Place, sql: String) -> Result<Statement, PostgresError> {
        if let Some(statement) = self.0.get(&sql) {
            return Ok(statement.clone());
        }
        // One per partition is prepared as time goes on; the old ones are not needed again.
        if self.0.len() > 500 {
            self.0.clear();
        }
        let statement = tx.prepare(&sql).await.map_err(|e| place.statement(&e))?;
        self.0.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Plan {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            sink: &self.sink,
            views: &self.views,
            events: self
                .events
                .as_ref()
                .map(|(layout, definition)| (layout, definition.as_str())),
            alerts: self.alerts.as_ref(),
            dead: self.dead.as_ref(),
        }
    }
}
