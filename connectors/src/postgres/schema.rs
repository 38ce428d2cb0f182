//! The sink's schema in the database: created, brought up to date, and checked for changes somebody else made.
//!
//! In: a transaction and the tables a sink wants. Out: which of them have to be filled from the beginning. Besides the
//! tables of views there are `_schema` (version of this layout), `_progress` (one row per sink), `row_state` (the state of a row by the clock) and `_tables` (whose table it
//! is, what its rows mean, whether it is complete). Everything happens inside the pipeline's own schema.

use super::error::{Altered, Place, PostgresError};
use super::layout::{Layout, ViewTable};
use super::partition::{self, Cut, Parts};
use super::value::quoted;
use std::collections::BTreeMap;
use tokio_postgres::Transaction;

/// Version of the layout.
pub(super) const VERSION: i32 = 3;

/// Brings a schema from one version to the next.
pub(super) struct Step {
    /// The version it starts from.
    pub(super) from: i32,
    /// Statements; `{}` stands for the schema, quoted.
    pub(super) sql: &'static str,
}

/// All steps, oldest first. A released version's step is never changed.
pub(super) const STEPS: &[Step] = &[
    // All that is known about a dead letter.
    Step {
        from: 1,
        sql: "alter table if exists {}.dead_letters add column topic text, add column written_at timestamptz, \
              add column headers jsonb not null default '[]', add column engine_version text, add column model text, \
              add column attempt bigint not null default 1;\n\
              alter table if exists {}.dead_letters alter column headers drop default, alter column attempt drop default;",
    },
    // The clock that states of rows depend on.
    Step {
        from: 2,
        sql: "alter table {}._progress add column if not exists clock timestamptz;\n\
              create or replace function {}.row_state(window_end timestamptz, revision bigint) returns text language sql stable as $state$ \
              select case when window_end > (select max(clock) from {}._progress) then 'open' when revision > 0 then 'revised' \
              else 'final' end $state$;",
    },
];

/// What a sink wants to be there.
pub(super) struct Wanted<'a> {
    pub(super) sink: &'a str,
    pub(super) views: &'a [ViewTable],
    /// Keyword events, and what their rows mean.
    pub(super) events: Option<(&'a Layout, &'a str)>,
    pub(super) alerts: Option<&'a Layout>,
    pub(super) dead: Option<&'a Layout>,
}

impl Wanted<'_> {
    fn layouts(&self) -> impl Iterator<Item = &Layout> {
        let views = self.views.iter().map(|v| &v.layout);
        views
            .chain(self.events.map(|e| e.0))
            .chain(self.alerts)
            .chain(self.dead)
    }

    /// Tables that are as the record has it, with what their rows mean.
    fn derived(&self) -> impl Iterator<Item = (&Layout, Option<Cut>, &str)> {
        let views = self.views.iter().map(|v| (&v.layout, v.cut, v.definition.as_str()));
        views.chain(self.events.map(|(layout, definition)| (layout, None, definition)))
    }
}

/// Creates the schema and the engine's own tables, or brings them up to date.
pub(super) async fn prepare(
    tx: &Transaction<'_>,
    place: &Place,
    version: i32,
    steps: &[Step],
) -> Result<(), PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let schema = quoted(&place.schema);
    // Two processes that start at once create one schema.
    let lock = format!("groundswell {}", place.schema);
    tx.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", &[&lock])
        .await
        .map_err(failed)?;
    let row = tx
        .query_one(
            "select to_regclass($1)::text, (select count(*) from pg_class c where c.relnamespace = n.oid), \
             current_setting('server_version_num')::int, current_setting('server_version'), n.oid is not null \
             from (select 1) as one left join pg_namespace n on n.nspname = $2",
            &[&format!("{schema}._schema"), &place.schema],
        )
        .await
        .map_err(failed)?;
    let (ours, tables): (Option<String>, i64) = (row.get(0), row.get(1));
    let (number, server, exists): (i32, String, bool) = (row.get(2), row.get(3), row.get(4));
    if number < 140_000 {
        return Err(PostgresError::Server {
            server: place.server.clone(),
            found: server,
        });
    }
    if ours.is_some() {
        return migrate(tx, place, version, steps).await;
    }
    if tables > 0 {
        return Err(PostgresError::Foreign {
            server: place.server.clone(),
            what: format!("schema {schema}"),
        });
    }
    let create = if exists {
        String::new()
    } else {
        format!("create schema {schema};\n")
    };
    let sql = format!(
        "{create}create table {schema}._schema (version integer not null);\n\
         insert into {schema}._schema values ({version});\n\
         create table {schema}._progress (sink text primary key, upper bigint, epoch bigint not null, clock timestamptz);\n\
         create table {schema}._tables (name text primary key, sink text not null, definition text not null, \
         complete boolean not null);\n\
         create or replace function {schema}.row_state(window_end timestamptz, revision bigint) returns text language sql stable as $state$ \
         select case when window_end > (select max(clock) from {schema}._progress) then 'open' when revision > 0 then 'revised' \
         else 'final' end $state$;\n"
    );
    tx.batch_execute(&sql).await.map_err(failed)
}

async fn migrate(tx: &Transaction<'_>, place: &Place, version: i32, steps: &[Step]) -> Result<(), PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let schema = quoted(&place.schema);
    let found: i32 = tx
        .query_one(&format!("select version from {schema}._schema"), &[])
        .await
        .map_err(failed)?
        .get(0);
    if found > version {
        return Err(PostgresError::Newer {
            schema: place.schema.clone(),
            found,
            known: version,
        });
    }
    let mut at = found;
    while at < version {
        let Some(step) = steps.iter().find(|s| s.from == at) else {
            return Err(PostgresError::TooOld {
                schema: place.schema.clone(),
                found,
                oldest: steps.first().map_or(version, |s| s.from),
            });
        };
        tx.batch_execute(&step.sql.replace("{}", &schema))
            .await
            .map_err(failed)?;
        at += 1;
        tracing::info!(schema = %place.schema, from = step.from, to = at, "migrated the schema");
    }
    if at != found {
        let sql = format!("update {schema}._schema set version = $1");
        tx.execute(&sql, &[&version]).await.map_err(failed)?;
    }
    Ok(())
}

/// A table as it is.
#[derive(Debug, Default)]
struct Found {
    /// `pg_class.relkind`.
    kind: String,
    columns: Vec<(String, String, bool)>,
    key: Vec<String>,
}

/// All tables of the schema as they are.
async fn found(tx: &Transaction<'_>, place: &Place) -> Result<BTreeMap<String, Found>, PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let mut tables: BTreeMap<String, Found> = BTreeMap::new();
    let columns = "select c.relname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
         where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition \
         order by c.relname, a.attnum";
    for row in tx.query(columns, &[&place.schema]).await.map_err(failed)? {
        let table = tables.entry(row.get(0)).or_default();
        table.kind = row.get(1);
        if let (Some(name), Some(kind), Some(not_null)) = (row.get(2), row.get(3), row.get(4)) {
            table.columns.push((name, kind, not_null));
        }
    }
    let keys = "select c.relname::text, a.attname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         join pg_index i on i.indrelid = c.oid and i.indisprimary \
         cross join lateral unnest(i.indkey) with ordinality as k (attnum, n) \
         join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum \
         where n.nspname = $1 order by c.relname, k.n";
    for row in tx.query(keys, &[&place.schema]).await.map_err(failed)? {
        if let Some(table) = tables.get_mut(row.get::<_, &str>(0)) {
            table.key.push(row.get(1));
        }
    }
    Ok(tables)
}

/// Creates the tables that are missing, empties those that mean something else than their rows, checks the others.
/// Returns which views' tables are not complete: they want every tick from the beginning.
pub(super) async fn ensure(
    tx: &Transaction<'_>,
    place: &Place,
    wanted: &Wanted<'_>,
    upper: Option<i64>,
) -> Result<Vec<bool>, PostgresError> {
    let failed = |e: tokio_postgres::Error| place.statement(&e);
    let schema = quoted(&place.schema);
    let there = found(tx, place).await?;
    let known = known(tx, place).await?;
    let claim = format!(
        "insert into {schema}._tables (name, sink, definition, complete) values ($1, $2, $3, $4) \
         on conflict (name) do update set sink = excluded.sink, definition = excluded.definition, complete = excluded.complete"
    );
    let mut behind = Vec::new();
    for (layout, cut, definition) in wanted.derived() {
        let name = &layout.name;
        check_owner(place, wanted.sink, name, &known, there.contains_key(name))?;
        let registered = known.get(name);
        let same = registered.is_some_and(|k| k.definition == definition) && there.contains_key(name);
        if same {
            check(layout, cut.is_some(), there.get(name), true)?;
        }
        // Without progress everything comes again; then nothing of an earlier life may be left.
        let complete = same && registered.is_some_and(|k| k.complete) && upper.is_some();
        if !complete {
            if registered.is_some() && upper.is_some() {
                tracing::warn!(table = %layout.path(), "the table is built again from the record");
            }
            let path = layout.path();
            let sql = format!("drop table if exists {path};\n{}", layout.create(cut));
            tx.batch_execute(&sql).await.map_err(failed)?;
            let complete = upper.is_none();
            tx.execute(&claim, &[&name, &wanted.sink, &definition, &complete])
                .await
                .map_err(failed)?;
            behind.push(!complete);
        } else {
            behind.push(false);
        }
    }
    for layout in wanted.alerts.into_iter().chain(wanted.dead) {
        let name = &layout.name;
        check_owner(place, wanted.sink, name, &known, there.contains_key(name))?;
        if known.contains_key(name) {
            check(layout, false, there.get(name), false)?;
        } else {
            tx.batch_execute(&layout.create(None)).await.map_err(failed)?;
            tx.execute(&claim, &[&name, &wanted.sink, &"", &true])
                .await
                .map_err(failed)?;
        }
    }
    for (name, table) in known.iter().filter(|(_, k)| k.sink == wanted.sink) {
        if !wanted.layouts().any(|l| l.name == *name) && there.contains_key(name) {
            tracing::warn!(table = %format!("{schema}.{}", quoted(name)), sink = %table.sink,
                "no view of the pipeline writes this table any more; drop it if nobody needs it");
        }
    }
    Ok(behind)
}

/// Checks all tables, changing nothing: for a connection made anew.
pub(super) async fn verify(
    tx: &Transaction<'_>,
    place: &Place,
    wanted: &Wanted<'_>,
) -> Result<Vec<bool>, PostgresError> {
    let (there, known) = (found(tx, place).await?, known(tx, place).await?);
    for (layout, cut, _) in wanted.derived() {
        check(layout, cut.is_some(), there.get(&layout.name), true)?;
    }
    for layout in wanted.alerts.into_iter().chain(wanted.dead) {
        check(layout, false, there.get(&layout.name), false)?;
    }
    let behind = |layout: &Layout| known.get(&layout.name).is_some_and(|k| !k.complete);
    Ok(wanted.derived().map(|(layout, ..)| behind(layout)).collect())
}

/// A row of `_tables`.
struct Known {
    sink: String,
    definition: String,
    complete: bool,
}

async fn known(tx: &Transaction<'_>, place: &Place) -> Result<BTreeMap<String, Known>, PostgresError> {
    let sql = format!(
        "select name, sink, definition, complete from {}._tables",
        quoted(&place.schema)
    );
    let rows = tx.query(&sql, &[]).await.map_err(|e| place.statement(&e))?;
    let known = |row: tokio_postgres::Row| {
        let known = Known {
            sink: row.get(1),
            definition: row.get(2),
            complete: row.get(3),
        };
        (row.get(0), known)
    };
    Ok(rows.into_iter().map(known).collect())
}

fn check_owner(
    place: &Place,
    sink: &str,
    table: &str,
    known: &BTreeMap<String, Known>,
    exists: bool,
) -> Result<(), PostgresError> {
    match known.get(table) {
        Some(k) if k.sink != sink && exists => Err(PostgresError::Owned {
            schema: place.schema.clone(),
            table: table.to_owned(),
            owner: k.sink.clone(),
        }),
        None if exists => Err(PostgresError::Foreign {
            server: place.server.clone(),
            what: format!("table {}.{}", quoted(&place.schema), quoted(table)),
        }),
        _ => Ok(()),
    }
}

/// Compares a table with what was created.
fn check(layout: &Layout, partitioned: bool, found: Option<&Found>, is_view: bool) -> Result<(), PostgresError> {
    let altered = |what: String, expected: String, found: String| {
        PostgresError::Altered(Box::new(Altered {
            schema: layout.schema.clone(),
            table: layout.name.clone(),
            what,
            expected,
            found,
            rebuilt: if is_view {
                ": the next start builds it again from the record"
            } else {
                " and its row in _tables to begin an empty one"
            },
        }))
    };
    let Some(found) = found else {
        return Err(match is_view {
            true => altered(
                "the table".into(),
                "there".into(),
                "gone (restart the engine to build it again)".into(),
            ),
            false => PostgresError::Gone {
                schema: layout.schema.clone(),
                table: layout.name.clone(),
            },
        });
    };
    let kind = if partitioned { "p" } else { "r" };
    if found.kind != kind {
        let name = |kind: &str| {
            match kind {
                "r" => "a table",
                "p" => "a partitioned table",
                "v" | "m" => "a view",
                _ => "something else",
            }
            .to_owned()
        };
        return Err(altered("it".into(), name(kind), name(&found.kind)));
    }
    let null = |not_null: bool| if not_null { " not null" } else { "" };
    for column in &layout.columns {
        let expected = format!("{}{}", column.sql_type, null(column.not_null));
        let what = format!("column \"{}\"", column.name);
        match found.columns.iter().find(|(name, ..)| *name == column.name) {
            None => return Err(altered(what, expected, "missing".to_owned())),
            Some((_, kind, not_null)) => {
                let is = format!("{kind}{}", null(*not_null));
                if is != expected {
                    return Err(altered(what, expected, is));
                }
            }
        }
    }
    if let Some((name, kind, _)) = found
        .columns
        .iter()
        .find(|(n, ..)| layout.columns.iter().all(|c| c.name != *n))
    {
        return Err(altered(format!("column \"{name}\""), "absent".to_owned(), kind.clone()));
    }
    if found.key != layout.key {
        let list = |names: &[String]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                format!("({})", names.join(", "))
            }
        };
        let expected: Vec<String> = layout.key.iter().map(|k| (*k).to_owned()).collect();
        return Err(altered("the primary key".to_owned(), list(&expected), list(&found.key)));
    }
    Ok(())
}

/// The partitions there are, by table.
pub(super) async fn partitions(
    tx: &Transaction<'_>,
    place: &Place,
    views: &[ViewTable],
) -> Result<Vec<Parts>, PostgresError> {
    let sql = "select p.relname::text, c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid \
         join pg_class p on p.oid = i.inhparent join pg_namespace n on n.oid = p.relnamespace where n.nspname = $1";
    let rows = tx.query(sql, &[&place.schema]).await.map_err(|e| place.statement(&e))?;
    let of = |view: &ViewTable| {
        let own = rows.iter().filter(|row| row.get::<_, &str>(0) == view.layout.name);
        own.filter_map(|row| partition::part_of(row.get(1)).map(|p| (p.start, p.level)))
            .collect()
    };
    Ok(views.iter().map(of).collect())
}
