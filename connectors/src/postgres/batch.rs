//! Several ticks as one change: what each row is in the end.
//!
//! Pure: ticks in, arrays for statements out. A row that changed in several ticks is written once, as it is after the last
//! of them; the same for alerts. Dead letters all stay.

use super::events::Events;
use super::layout::ViewTable;
use super::partition::{Part, Parts};
use super::value::{Column, Text, Time, key_name, plain_json, plain_text};
use super::{Plan, PostgresError, Strings};
use crate::dlq::{Facts, Origin};
use crate::json::{CellJson, alert_json};
use groundswell_core::acc::Acc;
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::number::Numbers;
use groundswell_core::serving::{AlertChange, DeadChange, TickChanges};
use groundswell_core::spec::{Cell, CellKind, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of one statement: enough that its overhead does not show, few enough that its arrays stay small.
const CHUNK: usize = 10_000;
/// Bytes of dead letters in one statement, about.
const CHUNK_BYTES: usize = 8 << 20;

/// A row in the end: its sums and numbers and the tick that gave it them, or gone.
pub(super) type Net = DigestMap<ViewKey, (Option<Sums>, Tick)>;
/// Sums of a row, its numbers where it has some, and its revision.
pub(super) type Sums = (Acc, Option<Arc<Numbers>>, u32);

/// Keys to delete, as columns, and the partition they are in.
pub(super) type Deletion = (Option<Part>, Vec<Column>);

/// Some ticks, folded.
pub(super) struct Batch<'a> {
    /// The last tick.
    pub(super) tick: Tick,
    /// Its clock.
    pub(super) clock: EventTime,
    /// Changed rows by table, in the order of the sink's tables; `None` for those that take no part.
    pub(super) views: Vec<Option<Net>>,
    /// Changed keyword events, if their table takes part.
    pub(super) events: Option<Events>,
    /// The last transition of each alert.
    pub(super) alerts: BTreeMap<u128, &'a AlertChange>,
    pub(super) dead: Vec<(Tick, &'a DeadChange)>,
}

impl<'a> Batch<'a> {
    /// Folds ticks, oldest first; `wants` says which tables take part. `None` without ticks.
    pub(super) fn fold(ticks: &[&'a TickChanges], plan: &Plan, wants: impl Fn(usize) -> bool) -> Option<Self> {
        let tables = &plan.views;
        let last = ticks.last()?;
        let events = (plan.events.is_some() && wants(tables.len())).then(|| {
            let all = ticks
                .iter()
                .flat_map(|t| t.events.iter().map(|e| (e.id, (e.event.clone(), t.tick))));
            all.collect::<Events>()
        });
        let fold = |(i, table): (usize, &ViewTable)| {
            let mut net = Net::default();
            for tick in ticks.iter().filter(|_| wants(i)) {
                for change in tick.views.get(table.index).into_iter().flatten() {
                    let sums = change.acc.map(|acc| (acc, change.numbers.clone(), change.revision));
                    net.insert(change.key, (sums, tick.tick));
                }
            }
            wants(i).then_some(net)
        };
        let alerts = ticks.iter().flat_map(|tick| tick.told_alerts());
        Some(Batch {
            tick: last.tick,
            clock: last.clock,
            views: tables.iter().enumerate().map(fold).collect(),
            events,
            alerts: alerts.map(|alert| (alert.id, alert)).collect(),
            dead: ticks
                .iter()
                .flat_map(|tick| tick.dead.iter().map(|d| (tick.tick, d)))
                .collect(),
        })
    }
}

/// A row on its way into columns.
struct Row<'a> {
    groups: SmallVec<[Text; 4]>,
    window: (EventTime, EventTime),
    sums: &'a Sums,
    tick: Tick,
}

/// Rows that are there in the end, as columns of the table, some thousands at a time. They are in the order of the key:
/// what lies together in the index is written together.
pub(super) fn upserts(
    table: &ViewTable,
    net: &Net,
    clock: EventTime,
    strings: &Strings,
) -> Result<Vec<Vec<Column>>, PostgresError> {
    let rows = net.iter().filter_map(|(key, (sums, tick))| {
        let row = |groups, sums| Row {
            groups,
            window: table.spec.window.bounds_at(key, clock),
            sums,
            tick: *tick,
        };
        sums.as_ref()
            .map(|sums| Ok(row(strings.group(&table.spec, key)?, sums)))
    });
    let mut rows: Vec<Row<'_>> = rows.collect::<Result<_, PostgresError>>()?;
    rows.sort_unstable_by(|a, b| (&a.groups, a.window).cmp(&(&b.groups, b.window)));
    rows.chunks(CHUNK)
        .map(|rows| row_columns(table, rows, strings))
        .collect()
}

fn row_columns(table: &ViewTable, rows: &[Row<'_>], strings: &Strings) -> Result<Vec<Column>, PostgresError> {
    let mut columns = group_columns(&table.spec, rows.iter().map(|row| &row.groups));
    columns.push(Column::Time(rows.iter().map(|row| Time(row.window.0)).collect()));
    columns.push(Column::Time(rows.iter().map(|row| Time(row.window.1)).collect()));
    for shown in table.spec.shows() {
        let cells = rows
            .iter()
            .map(|row| shown.cell(&table.spec, &row.sums.0, row.sums.1.as_deref()));
        columns.push(cell_column(shown.kind(), cells, strings)?);
    }
    if table.spec.extras.revisions {
        columns.push(Column::Count(rows.iter().map(|row| i64::from(row.sums.2)).collect()));
    }
    columns.push(Column::Time(rows.iter().map(|row| tick_time(row.tick)).collect()));
    Ok(columns)
}

fn cell_column<'a>(
    kind: CellKind,
    cells: impl Iterator<Item = Cell<'a>>,
    strings: &Strings,
) -> Result<Column, PostgresError> {
    let whole = |cell| match cell {
        Cell::Whole(n) => n,
        _ => None,
    };
    Ok(match kind {
        CellKind::Whole(true) => Column::Count(cells.map(|cell| whole(cell).unwrap_or_default()).collect()),
        CellKind::Whole(false) => Column::MaybeCount(cells.map(whole).collect()),
        CellKind::Real => {
            let real = cells.map(|cell| match cell {
                Cell::Real(n) => n,
                _ => None,
            });
            Column::Real(real.collect())
        }
        CellKind::Word => {
            let words = cells.map(|cell| match cell {
                Cell::Word(word) => Text(word.into()),
                _ => Text("".into()),
            });
            Column::Text(words.collect())
        }
        CellKind::Posts => {
            let posts = cells.map(|cell| {
                let posts = CellJson::of(cell, |key| (strings.post_ids)(key));
                let mut json = serde_json::to_value(posts).map_err(|e| PostgresError::Value(e.to_string()))?;
                plain_json(&mut json);
                Ok(json)
            });
            Column::Json(posts.collect::<Result<_, PostgresError>>()?)
        }
    })
}

fn group_columns<'a>(spec: &ViewSpec, groups: impl Iterator<Item = &'a SmallVec<[Text; 4]>> + Clone) -> Vec<Column> {
    let column = |slot: usize| Column::Text(groups.clone().map(|texts| texts[slot].clone()).collect());
    (0..spec.group_by.len()).map(column).collect()
}

/// Rows that are gone in the end, as columns of the table's key, by the partition they are in. Windows the engine dropped
/// because of `keep` are not among them: they go all together.
pub(super) fn deletes(
    table: &ViewTable,
    net: &Net,
    parts: &Parts,
    clock: EventTime,
    strings: &Strings,
) -> Result<Vec<Deletion>, PostgresError> {
    let gone = net.iter().filter(|(_, (acc, _))| acc.is_none()).map(|(key, _)| *key);
    let mut by_part: BTreeMap<Option<Part>, Vec<ViewKey>> = BTreeMap::new();
    for key in gone {
        let Some(cut) = table.cut else {
            by_part.entry(None).or_default().push(key);
            continue;
        };
        // Without a partition there is no row.
        if key.start > cut.expired(clock)
            && let Some(part) = cut.find(parts, key.start)
        {
            by_part.entry(Some(part)).or_default().push(key);
        }
    }
    let mut out = Vec::new();
    for (part, keys) in by_part {
        let key = |key: ViewKey| Ok((strings.group(&table.spec, &key)?, key.start));
        let mut keys: Vec<_> = keys.into_iter().map(key).collect::<Result<_, PostgresError>>()?;
        keys.sort_unstable();
        for keys in keys.chunks(CHUNK) {
            let mut columns = group_columns(&table.spec, keys.iter().map(|(groups, _)| groups));
            if !table.sliding() {
                columns.push(Column::Time(keys.iter().map(|(_, start)| Time(*start)).collect()));
            }
            out.push((part, columns));
        }
    }
    Ok(out)
}

/// Window starts of rows that are there in the end.
pub(super) fn starts(net: &Net) -> impl Iterator<Item = EventTime> + '_ {
    net.iter()
        .filter(|(_, (acc, _))| acc.is_some())
        .map(|(key, _)| key.start)
}

/// Alerts as columns of their table.
pub(super) fn alerts<'a>(
    alerts: impl Iterator<Item = &'a AlertChange>,
    views: &[ViewSpec],
    strings: &Strings,
) -> Result<Option<Vec<Column>>, PostgresError> {
    let mut texts: [Vec<Text>; 5] = Default::default();
    let mut json: [Vec<serde_json::Value>; 2] = Default::default();
    let mut times: [Vec<Time>; 3] = Default::default();
    let mut resolved: [Vec<Option<Time>>; 2] = Default::default();
    let mut reals: [Vec<Option<f64>>; 2] = Default::default();
    let mut posts = Vec::new();
    for alert in alerts {
        let Some(spec) = views.iter().find(|v| *v.name == *alert.view) else {
            return Err(PostgresError::Value(format!(
                "rule \"{}\" watches a view \"{}\" that the pipeline lacks",
                alert.rule, alert.view
            )));
        };
        let record = alert_json(spec, &strings.names, &strings.post_ids, alert);
        let record = record.map_err(|e| PostgresError::Value(e.to_string()))?;
        let mut record = serde_json::to_value(record).map_err(|e| PostgresError::Value(e.to_string()))?;
        plain_json(&mut record);
        for (column, field) in texts.iter_mut().zip(["id", "rule", "state", "cause", "view"]) {
            column.push(Text(record[field].as_str().unwrap_or_default().into()));
        }
        for (column, field) in json.iter_mut().zip(["key", "evidence"]) {
            column.push(record[field].take());
        }
        let start = match spec.window {
            WindowSpec::Sliding { size, .. } => alert.window_end.saturating_sub(size),
            _ => alert.key.start,
        };
        for (column, at) in times
            .iter_mut()
            .zip([Time(start), Time(alert.window_end), tick_time(alert.at)])
        {
            column.push(at);
        }
        let bounds = alert.resolved.map(|(start, end)| [Time(start), Time(end)]);
        for (i, column) in resolved.iter_mut().enumerate() {
            column.push(bounds.map(|bounds| bounds[i]));
        }
        for (column, value) in reals.iter_mut().zip([alert.value, alert.threshold]) {
            column.push(value);
        }
        posts.push(i64::from(alert.posts));
    }
    if posts.is_empty() {
        return Ok(None);
    }
    let [id, rule, state, cause, view] = texts.map(Column::Text);
    let [key, evidence] = json.map(Column::Json);
    let [start, end, at] = times.map(Column::Time);
    let [resolved_start, resolved_end] = resolved.map(Column::MaybeTime);
    let [value, threshold] = reals.map(Column::Real);
    Ok(Some(vec![
        id,
        rule,
        state,
        cause,
        view,
        key,
        start,
        end,
        resolved_start,
        resolved_end,
        value,
        threshold,
        Column::Count(posts),
        at,
        evidence,
    ]))
}

/// Dead letters as columns of their table, some megabytes at a time.
///
/// # Errors
/// If a header has no JSON form.
pub(super) fn dead_letters(dead: &[(Tick, &DeadChange)], origin: &Origin) -> Result<Vec<Vec<Column>>, PostgresError> {
    let mut bytes = 0;
    let mut rest = dead;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let fits = rest.iter().take(CHUNK).take_while(|(_, d)| {
            let before = bytes;
            let headers = d.letter.headers.iter();
            let headers: usize = headers
                .map(|h| h.value.as_ref().map_or(20, |v| 4 * v.as_bytes().len()))
                .sum();
            bytes += d.letter.payload.len() + d.letter.message.len() + headers + 300;
            before < CHUNK_BYTES
        });
        let (chunk, after) = rest.split_at(fits.count().max(1));
        let facts: Vec<Facts<'_>> = chunk.iter().map(|(tick, d)| Facts::of(d, *tick, origin)).collect();
        out.push(dead_columns(&facts)?);
        (rest, bytes) = (after, 0);
    }
    Ok(out)
}

fn dead_columns(dead: &[Facts<'_>]) -> Result<Vec<Column>, PostgresError> {
    // A position beyond 2^63 is one no source has.
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let clean = |text: &str| Text(plain_text(text).into());
    let text = |field: for<'a> fn(&Facts<'a>) -> &'a str| Column::Text(dead.iter().map(|d| clean(field(d))).collect());
    let maybe = |field: for<'a, 'b> fn(&'b Facts<'a>) -> Option<&'b str>| {
        Column::MaybeText(dead.iter().map(|d| field(d).map(clean)).collect())
    };
    let headers = |d: &Facts<'_>| {
        let mut json = serde_json::to_value(&d.headers).map_err(|e| PostgresError::Value(e.to_string()))?;
        plain_json(&mut json);
        Ok(json)
    };
    let headers = dead.iter().map(headers).collect::<Result<_, PostgresError>>()?;
    Ok(vec![
        Column::Count(dead.iter().map(|d| whole(d.tick)).collect()),
        Column::Time(dead.iter().map(|d| tick_time(d.tick)).collect()),
        text(|d| d.source),
        Column::Count(dead.iter().map(|d| i64::from(d.partition)).collect()),
        Column::Count(dead.iter().map(|d| whole(d.offset)).collect()),
        text(|d| d.stage),
        text(|d| d.code),
        text(|d| d.message),
        maybe(|d| d.id),
        Column::Bytes(dead.iter().map(|d| d.key.to_vec()).collect()),
        Column::Bytes(dead.iter().map(|d| d.payload.to_vec()).collect()),
        maybe(|d| d.topic),
        Column::MaybeTime(dead.iter().map(|d| d.written_at.and_then(Time::storable)).collect()),
        Column::Json(headers),
        maybe(|d| d.engine_version),
        maybe(|d| d.model.as_deref()),
        Column::Count(dead.iter().map(|d| i64::from(d.attempt)).collect()),
    ])
}

/// A tick as a time.
pub(super) fn tick_time(tick: Tick) -> Time {
    Time(i64::try_from(tick).unwrap_or(i64::MAX))
}

impl Strings {
    /// A row's group as it is stored.
    fn group(&self, spec: &ViewSpec, key: &ViewKey) -> Result<SmallVec<[Text; 4]>, PostgresError> {
        let columns = spec.group_by.iter().zip(key.group);
        columns.map(|(column, dim)| self.name(column.name(), dim)).collect()
    }

    /// A group value as it is stored; none is the empty text, which the engine takes for none as well.
    fn name(&self, column: &'static str, dim: Dim) -> Result<Text, PostgresError> {
        if dim == Dim::NONE {
            return Ok(Text(Arc::from("")));
        }
        let name = self.names.get(dim);
        let name = name.ok_or_else(|| PostgresError::Value(crate::json::Unnamed { column, dim }.to_string()))?;
        Ok(key_name(name))
    }
}
