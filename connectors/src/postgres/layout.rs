//! The tables: which columns and keys they have, and the statements that write them.
//!
//! Pure: a view's specification in, SQL out. Every value is a parameter; identifiers are the pipeline's names, quoted.

use super::partition::{self, Cut, Part};
use super::value::quoted;
use crate::hub::render::is_sliding;
use groundswell_core::spec::{CellKind, Extras, REVISION, Shown, ViewSpec};
use groundswell_core::time::EventTime;
use std::borrow::Cow;

pub(super) const TEXT: &str = "text";
pub(super) const TIME: &str = "timestamp with time zone";
pub(super) const COUNT: &str = "bigint";
pub(super) const REAL: &str = "double precision";
const JSON: &str = "jsonb";
const BYTES: &str = "bytea";

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnLayout {
    pub(super) name: Cow<'static, str>,
    /// As `format_type` writes it.
    pub(super) sql_type: &'static str,
    pub(super) not_null: bool,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<ColumnLayout>,
    /// Columns of the primary key; empty for a table of one row.
    pub(super) key: Vec<&'static str>,
    /// Columns of other indexes.
    pub(super) indexes: Vec<Vec<&'static str>>,
    /// A column that numbers rows by itself.
    pub(super) identity: Option<&'static str>,
}

pub(super) const fn column(name: &'static str, sql_type: &'static str, not_null: bool) -> ColumnLayout {
    ColumnLayout {
        name: Cow::Borrowed(name),
        sql_type,
        not_null,
    }
}

impl Layout {
    /// The name in a statement.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// `alerts`: one row per alert, as it is now.
    pub(super) fn alerts(schema: &str) -> Self {
        Layout {
            schema: schema.to_owned(),
            name: "alerts".to_owned(),
            columns: vec![
                column("id", TEXT, true),
                column("rule", TEXT, true),
                column("state", TEXT, true),
                column("cause", TEXT, true),
                column("view", TEXT, true),
                column("key", JSON, true),
                column("window_start", TIME, true),
                column("window_end", TIME, true),
                column("resolved_window_start", TIME, false),
                column("resolved_window_end", TIME, false),
                column("value", REAL, false),
                column("threshold", REAL, false),
                column("posts", COUNT, true),
                column("at", TIME, true),
                column("evidence", JSON, true),
            ],
            key: vec!["id"],
            indexes: vec![vec!["state", "at"], vec!["window_start"]],
            identity: None,
        }
    }

    /// `dead_letters`: one row per record that could not be accepted.
    pub(super) fn dead_letters(schema: &str) -> Self {
        Layout {
            schema: schema.to_owned(),
            name: "dead_letters".to_owned(),
            columns: vec![
                column("n", COUNT, true),
                column("tick", COUNT, true),
                column("at", TIME, true),
                column("source", TEXT, true),
                column("partition", COUNT, true),
                column("offset", COUNT, true),
                column("stage", TEXT, true),
                column("code", TEXT, true),
                column("message", TEXT, true),
                column("id", TEXT, false),
                column("key", BYTES, true),
                column("payload", BYTES, true),
                // Since version 2, and last so that a migrated table is like a new one.
                column("topic", TEXT, false),
                column("written_at", TIME, false),
                column("headers", JSON, true),
                column("engine_version", TEXT, false),
                column("model", TEXT, false),
                column("attempt", COUNT, true),
            ],
            key: vec!["n"],
            indexes: vec![vec!["source", "partition", "offset"], vec!["tick"]],
            identity: Some("n"),
        }
    }

    fn of_view(schema: &str, spec: &ViewSpec) -> Self {
        let groups = spec.group_by.iter().map(|g| g.name());
        let mut key: Vec<&'static str> = groups.clone().collect();
        let mut indexes = Vec::new();
        if !is_sliding(spec) {
            // A window's end follows from its start.
            key.push("window_start");
            if key.len() > 1 {
                indexes.push(vec!["window_start"]);
            }
        }
        let shown = |shown: Shown<'_>| {
            let (sql_type, not_null) = match shown.kind() {
                CellKind::Whole(always) => (COUNT, always),
                CellKind::Real => (REAL, false),
                CellKind::Word => (TEXT, true),
                CellKind::Posts => (JSON, true),
            };
            ColumnLayout {
                name: Cow::Owned(shown.name().to_owned()),
                sql_type,
                not_null,
            }
        };
        Layout {
            schema: schema.to_owned(),
            name: spec.name.clone(),
            columns: groups
                .map(|g| column(g, TEXT, true))
                .chain([column("window_start", TIME, true), column("window_end", TIME, true)])
                .chain(spec.shows().map(shown))
                .chain(spec.extras.revisions.then(|| column(REVISION, COUNT, true)))
                .chain([column("updated_at", TIME, true)])
                .collect(),
            key,
            indexes,
            identity: None,
        }
    }

    fn definition(&self, column: &ColumnLayout) -> String {
        let null = if column.not_null { " not null" } else { "" };
        let identity = match self.identity == Some(&*column.name) {
            true => " generated always as identity",
            false => "",
        };
        // Keys are compared and sorted byte by byte: faster, and the same on every machine.
        let collation = match column.sql_type == TEXT && self.key.contains(&&*column.name) {
            true => " collate pg_catalog.\"C\"",
            false => "",
        };
        format!(
            "{} {}{collation}{null}{identity}",
            quoted(&column.name),
            column.sql_type
        )
    }

    /// Statements that create the table and its indexes.
    pub(super) fn create(&self, cut: Option<Cut>) -> String {
        let mut parts: Vec<String> = self.columns.iter().map(|c| self.definition(c)).collect();
        if !self.key.is_empty() {
            parts.push(format!("primary key ({})", list(&self.key)));
        }
        let storage = match cut {
            Some(_) => format!(" partition by range ({})", quoted("window_start")),
            // Rows are revised in place where there is room.
            None => " with (fillfactor = 85)".to_owned(),
        };
        let path = self.path();
        let mut sql = format!("create table {path} ({}){storage};\n", parts.join(", "));
        for columns in &self.indexes {
            sql.push_str(&format!("create index on {path} ({});\n", list(columns)));
        }
        if self.key.is_empty() {
            sql.push_str(&format!("create unique index on {path} ((true));\n"));
        }
        sql
    }

    /// The table of a partition.
    pub(super) fn partition_path(&self, part: Part) -> String {
        let name = partition::table_name(&self.name, part);
        format!("{}.{}", quoted(&self.schema), quoted(&name))
    }

    /// Statements that make a partition: created beside its parent and attached, which no reader has to wait for.
    pub(super) fn create_partition(&self, part: Part, cut: Cut) -> String {
        let (path, table) = (self.path(), self.partition_path(part));
        let (from, to) = (literal(part.start), literal(cut.end(part)));
        format!(
            "create table {table} (like {path} including all) with (fillfactor = 85);\n\
             alter table {path} attach partition {table} for values from ({from}) to ({to});\n"
        )
    }

    /// `insert` of arrays, one per column; the identity column is left out.
    pub(super) fn insert(&self) -> String {
        let columns: Vec<&ColumnLayout> = self.written().collect();
        let names: Vec<&str> = columns.iter().map(|c| &*c.name).collect();
        let arrays: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| format!("${}::{}[]", i + 1, c.sql_type))
            .collect();
        let names = list(&names);
        let (path, arrays) = (self.path(), arrays.join(", "));
        match self.identity {
            None => format!("insert into {path} as t ({names}) select * from unnest({arrays})"),
            // The identity counts in the order of the arrays.
            Some(_) => format!(
                "insert into {path} as t ({names}) select {names} from unnest({arrays}) with ordinality as u({names}, n_) \
                 order by n_"
            ),
        }
    }

    /// `insert … on conflict do update` of arrays; for a table that numbers its rows a plain insert.
    pub(super) fn upsert(&self) -> String {
        match self.identity {
            Some(_) => self.insert(),
            None => format!(
                "{} on conflict {} do update set {}",
                self.insert(),
                self.conflict(),
                self.assignments()
            ),
        }
    }

    /// The same, leaving alone the rows that are as they should be.
    pub(super) fn upsert_differing(&self) -> String {
        let [t, excluded] = self.compared();
        format!("{} where {t} is distinct from {excluded}", self.upsert())
    }

    /// Makes the table what a temporary table of wanted rows says, touching only what differs: deletions, then the rest.
    pub(super) fn resync(&self, wanted: &str) -> [String; 2] {
        let path = self.path();
        let same = |column: &&str| format!("w.{0} = t.{0}", quoted(column));
        let on: Vec<String> = self.key.iter().map(same).collect();
        let on = if on.is_empty() {
            "true".to_owned()
        } else {
            on.join(" and ")
        };
        let names: Vec<&str> = self.written().map(|c| &*c.name).collect();
        let names = list(&names);
        let [t, excluded] = self.compared();
        [
            format!("delete from {path} as t where not exists (select 1 from {wanted} as w where {on})"),
            format!(
                "insert into {path} as t ({names}) select {names} from {wanted} on conflict {} do update set {} \
                 where {t} is distinct from {excluded}",
                self.conflict(),
                self.assignments(),
            ),
        ]
    }

    /// What makes two rows of one key differ, as rows of the table and of what is to be inserted.
    fn compared(&self) -> [String; 2] {
        let counts = |c: &&ColumnLayout| !self.key.contains(&&*c.name) && c.name != "updated_at";
        ["t", "excluded"].map(|table| {
            let all = self
                .written()
                .filter(counts)
                .map(|c| format!("{table}.{}", quoted(&c.name)));
            format!("row({})", all.collect::<Vec<_>>().join(", "))
        })
    }

    fn written(&self) -> impl Iterator<Item = &ColumnLayout> {
        self.columns.iter().filter(|c| self.identity != Some(&*c.name))
    }

    fn conflict(&self) -> String {
        if self.key.is_empty() {
            "((true))".to_owned()
        } else {
            format!("({})", list(&self.key))
        }
    }

    fn assignments(&self) -> String {
        let set = |c: &ColumnLayout| format!("{0} = excluded.{0}", quoted(&c.name));
        let changed: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !self.key.contains(&&*c.name))
            .map(set)
            .collect();
        changed.join(", ")
    }

    /// `delete` by arrays of the key's columns, from the table or one of its partitions.
    pub(super) fn delete(&self, from: &str) -> String {
        if self.key.is_empty() {
            return format!("delete from {from}");
        }
        let column = |name: &str| {
            self.columns
                .iter()
                .find(|c| c.name == name)
                .map_or(TEXT, |c| c.sql_type)
        };
        let arrays: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(i, k)| format!("${}::{}[]", i + 1, column(k)))
            .collect();
        let same: Vec<String> = self.key.iter().map(|k| format!("t.{0} = d.{0}", quoted(k))).collect();
        format!(
            "delete from {from} as t using unnest({}) as d({}) where {}",
            arrays.join(", "),
            list(&self.key),
            same.join(" and ")
        )
    }
}

/// A view's table.
#[derive(Clone, Debug)]
pub(super) struct ViewTable {
    /// Which of the pipeline's views.
    pub(super) index: usize,
    pub(super) spec: ViewSpec,
    pub(super) layout: Layout,
    pub(super) cut: Option<Cut>,
    /// What its rows mean; a table of another meaning is built again.
    pub(super) definition: String,
}

impl ViewTable {
    /// `basis` is what else decides about its numbers.
    pub(super) fn new(schema: &str, index: usize, spec: &ViewSpec, basis: &str) -> Self {
        ViewTable {
            index,
            layout: Layout::of_view(schema, spec),
            cut: Cut::of(spec),
            definition: definition(spec, basis),
            spec: spec.clone(),
        }
    }

    pub(super) fn sliding(&self) -> bool {
        is_sliding(&self.spec)
    }
}

fn definition(spec: &ViewSpec, basis: &str) -> String {
    // All of these are plain data: their debug text is as stable as their fields.
    let mut text = format!(
        "{:?} {:?} {:?} {:?} {basis}",
        spec.group_by, spec.window, spec.measures, spec.keep
    );
    let extras = Extras {
        unwatched: false,
        ..spec.extras.clone()
    };
    // A table that was made before there were any means the same without.
    if extras != Extras::default() {
        text.push_str(&format!(" {extras:?}").replace(", revisions: false", ""));
    }
    text
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| quoted(n)).collect();
    quoted.join(", ")
}

/// A time in a statement that takes no parameters.
fn literal(at: EventTime) -> String {
    format!("'{}'", crate::hub::render::time(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::spec::{GroupColumn, Measure, WindowSpec};

    fn table(window: WindowSpec, group_by: Vec<GroupColumn>, keep: Option<i64>) -> ViewTable {
        let spec = ViewSpec {
            name: "v".into(),
            group_by,
            window,
            measures: vec![Measure::Posts, Measure::Sentiment],
            keep,
            extras: groundswell_core::spec::Extras::default(),
        };
        ViewTable::new("my-pipe", 0, &spec, "")
    }

    #[test]
    fn a_view_has_the_columns_of_the_contract() {
        let table = table(
            WindowSpec::Tumble { size: 60_000 },
            vec![GroupColumn::Thread, GroupColumn::Entity],
            None,
        );
        assert_eq!(
            table.layout.create(None),
            "create table \"my-pipe\".\"v\" (\"thread\" text collate pg_catalog.\"C\" not null, \
             \"entity\" text collate pg_catalog.\"C\" not null, \"window_start\" timestamp with time zone not null, \
             \"window_end\" timestamp with time zone not null, \"posts\" bigint not null, \"sentiment\" double precision, \
             \"updated_at\" timestamp with time zone not null, primary key (\"thread\", \"entity\", \"window_start\")) \
             with (fillfactor = 85);\ncreate index on \"my-pipe\".\"v\" (\"window_start\");\n"
        );
    }

    #[test]
    fn a_sliding_view_is_keyed_by_its_group_alone() {
        let window = WindowSpec::Sliding {
            size: 60_000,
            every: 1000,
        };
        assert_eq!(table(window, vec![GroupColumn::Entity], Some(1)).layout.key, ["entity"]);
        let total = table(window, vec![], None);
        assert!(total.layout.key.is_empty() && total.layout.upsert().contains("on conflict ((true))"));
    }
}
