//! Random histories of ticks, the model of what the tables must hold after each, and a sink under test.

use groundswell_connectors::dlq::Origin;
use groundswell_connectors::postgres::{PostgresError, PostgresOptions, PostgresSink};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::{Dim, ModelKey, Names, PostKey};
use groundswell_core::record::{DeadLetter, Header};
use groundswell_core::score::Label;
use groundswell_core::serving::{AlertChange, AlertState, Cause, DeadChange, Evidence, RowChange, TickChanges};
use groundswell_core::spec::{GroupColumn, Measure, Sessions, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, HOUR, MINUTE, Tick};
use groundswell_testing::postgres::Postgres;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The server that tests share which do not stop it.
pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// Group values that are hard to store; the empty one is none.
pub fn values() -> Vec<String> {
    let long = "long ".repeat(2_000);
    [
        "",
        "plain",
        "'; drop table x; --",
        "\"quoted\" \\ {a,b} NULL",
        "NULL",
        "ünïcödé 🦀 \u{202e}rtl",
        "tab\tnew\nline",
        "a\0b",
        "a␀0b",
        "\0",
        &long,
        &format!("{long}!"),
        "%s $1 ?",
        "\u{feff}bom",
        " ",
        "é".repeat(299).as_str(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// As the model says a group value is stored: see ADR 6.
fn stored(value: &str) -> String {
    let plain = value.replace('␀', "␀␀").replace('\0', "␀0");
    if plain.len() <= 600 {
        return plain;
    }
    let mut cut = 600;
    while !plain.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}…{}", &plain[..cut], PostKey::of(value.as_bytes()))
}

pub fn views() -> Arc<[ViewSpec]> {
    use GroupColumn::*;
    let view = |name: &str, group_by: &[GroupColumn], window, keep, measures: &[Measure]| ViewSpec {
        name: name.to_owned(),
        group_by: group_by.to_vec(),
        window,
        measures: measures.to_vec(),
        keep,
        extras: groundswell_core::spec::Extras::default(),
    };
    let hop = WindowSpec::Hop {
        size: HOUR,
        every: 5 * MINUTE,
    };
    let sliding = WindowSpec::Sliding {
        size: HOUR,
        every: MINUTE,
    };
    let few = [Measure::Sentiment, Measure::Posts];
    [
        view(
            "by_minute",
            &[Thread, Entity],
            WindowSpec::Tumble { size: MINUTE },
            None,
            &Measure::ALL,
        ),
        view("kept", &[Author, Thread, Entity, Source], hop, Some(HOUR), &few),
        view(
            "aligned",
            &[Author],
            WindowSpec::Tumble { size: 20 * MINUTE },
            Some(2 * HOUR),
            &few,
        ),
        view("moving", &[Entity], sliding, None, &few),
        view("total", &[], sliding, None, &few),
        view("totals", &[], WindowSpec::Tumble { size: HOUR }, None, &few),
        view("bursts", &[Entity], WindowSpec::Session(SESSIONS), Some(2 * HOUR), &few),
    ]
    .into()
}

const SESSIONS: Sessions = Sessions {
    gap: 5 * MINUTE,
    max: HOUR,
};

/// A row of a table as the model has it: stored groups and the start of its window.
type Key = (Vec<String>, EventTime);

/// What the tables must hold.
#[derive(Clone, Default)]
pub struct Model {
    rows: Vec<BTreeMap<ViewKey, (Acc, Tick)>>,
    alerts: BTreeMap<u128, Value>,
    dead: Vec<Value>,
    clock: EventTime,
}

/// A history under way.
pub struct World {
    pub names: Arc<Names>,
    pub views: Arc<[ViewSpec]>,
    pub ticks: Vec<Arc<TickChanges>>,
    /// The model after each tick; the first is before any.
    pub models: Vec<Model>,
    dims: Vec<Dim>,
    pub dice: StdRng,
    tick: Tick,
}

pub const START: EventTime = 1_700_000_000_000;

impl World {
    pub fn new(seed: u64) -> Self {
        let names = Arc::new(Names::default());
        let dims = values().iter().map(|v| names.intern(v).unwrap()).collect();
        let views = views();
        let model = Model {
            rows: vec![BTreeMap::new(); views.len()],
            clock: START,
            ..Model::default()
        };
        World {
            names,
            views,
            ticks: Vec::new(),
            models: vec![model],
            dims,
            dice: StdRng::seed_from_u64(seed),
            tick: START as Tick,
        }
    }

    fn acc(&mut self) -> Acc {
        use differential_dataflow::difference::Semigroup;
        if self.dice.random_bool(0.2) {
            return Acc::unscored(); // its sentiment is null
        }
        let mut sum = Acc::unscored();
        for _ in 0..self.dice.random_range(1..4) {
            let (weight, x) = (
                self.dice.random_range(1..50 * UNIT),
                self.dice.random_range(-1_000_000..=1_000_000),
            );
            sum.plus_equals(&Acc::scored(weight, x, Label::Negative, x < 0, x > 500_000));
        }
        sum
    }

    fn key(&mut self, view: usize, clock: EventTime) -> ViewKey {
        let spec = self.views[view].clone();
        let mut group = [Dim::NONE; 4];
        for slot in group.iter_mut().take(spec.group_by.len()) {
            *slot = self.dims[self.dice.random_range(0..self.dims.len())];
        }
        let step = spec.window.step();
        let start = match spec.window {
            WindowSpec::Sliding { .. } => 0,
            // A few are dated far ahead.
            _ if self.dice.random_bool(0.02) => {
                (clock + self.dice.random_range(0..100 * 365) * 24 * HOUR) / step * step
            }
            _ => (clock - self.dice.random_range(0..4 * HOUR)) / step * step,
        };
        match spec.window {
            // Sessions last as long as they happen to.
            WindowSpec::Session(how) => {
                let last = start + self.dice.random_range(0..=how.max);
                ViewKey::with_end(group, start, how.end(last))
            }
            _ => ViewKey { group, start },
        }
    }

    fn expired(spec: &ViewSpec, key: &ViewKey, clock: EventTime) -> bool {
        !matches!(spec.window, WindowSpec::Sliding { .. })
            && spec.keep.is_some_and(|keep| spec.window.bounds(key).1 + keep <= clock)
    }

    /// One more tick with about as many changed rows in every view.
    pub fn step(&mut self, rows: usize) {
        let mut model = self.models.last().unwrap().clone();
        self.tick += self.dice.random_range(1..10_000);
        let jump = if self.dice.random_bool(0.1) {
            3 * HOUR
        } else {
            10 * MINUTE
        };
        model.clock += self.dice.random_range(0..jump);
        let clock = model.clock;
        let mut changes = TickChanges {
            tick: self.tick,
            clock,
            ..TickChanges::default()
        };
        for view in 0..self.views.len() {
            let spec = self.views[view].clone();
            let mut changed: BTreeMap<ViewKey, Option<Acc>> = BTreeMap::new();
            for key in model.rows[view].keys() {
                if Self::expired(&spec, key, clock) {
                    changed.insert(*key, None);
                }
            }
            for _ in 0..self.dice.random_range(0..=2 * rows) {
                let known = model.rows[view].len();
                let mut key = if known > 0 && self.dice.random_bool(0.6) {
                    *model.rows[view].keys().nth(self.dice.random_range(0..known)).unwrap()
                } else {
                    self.key(view, clock)
                };
                if let WindowSpec::Session(how) = spec.window {
                    // Its end moves: the row of the old end goes, at the same tick.
                    if self.dice.random_bool(0.5) {
                        let last = key.start + self.dice.random_range(0..=how.max);
                        key = ViewKey::with_end(key.group, key.start, how.end(last));
                    }
                    let same = |other: &ViewKey| other.start == key.start && other.group[0] == key.group[0];
                    let there = model.rows[view].keys().chain(changed.keys());
                    let there: Vec<ViewKey> = there.copied().filter(|other| same(other) && *other != key).collect();
                    changed.extend(there.into_iter().map(|other| (other, None)));
                }
                let gone = Self::expired(&spec, &key, clock) || self.dice.random_bool(0.25);
                let acc = self.acc();
                changed.entry(key).or_insert((!gone).then_some(acc));
            }
            for (key, acc) in &changed {
                match acc {
                    Some(acc) => drop(model.rows[view].insert(*key, (*acc, self.tick))),
                    None => drop(model.rows[view].remove(key)),
                }
            }
            changes
                .views
                .push(changed.into_iter().map(|(key, acc)| RowChange::new(key, acc)).collect());
        }
        for _ in 0..self.dice.random_range(0..3) {
            let alert = self.alert(clock);
            model
                .alerts
                .insert(alert.id, alert_row(&self.views[1], &self.names, &alert));
            changes.alerts.push(alert);
        }
        for n in 0..self.dice.random_range(0..3) {
            let dead = self.dead(n);
            model.dead.push(dead_row(&dead, self.tick));
            changes.dead.push(dead);
        }
        self.models.push(model);
        self.ticks.push(Arc::new(changes));
    }

    fn alert(&mut self, clock: EventTime) -> AlertChange {
        let states = [AlertState::Firing, AlertState::Resolved, AlertState::Retracted];
        let key = self.key(1, clock);
        AlertChange {
            id: self.dice.random_range(0..5),
            rule: "rule".into(),
            state: states[self.dice.random_range(0..3)],
            cause: Cause::Votes,
            view: "kept".into(),
            key,
            window_end: key.start + HOUR,
            resolved: self.dice.random_bool(0.3).then_some((clock, clock + HOUR)),
            value: self.dice.random_bool(0.5).then(|| self.dice.random_range(-1.0..1.0)),
            threshold: Some(-0.3),
            authors: 0,
            sums: Default::default(),
            muted: false,
            posts: self.dice.random_range(0..100),
            at: self.tick,
            evidence: vec![Evidence {
                post: PostKey(7),
                weight: 3 * UNIT,
                sentiment: -500_000,
                influence: 250_000,
            }],
        }
    }

    fn dead(&mut self, n: u64) -> DeadChange {
        let payload = (0..self.dice.random_range(0..300))
            .map(|_| self.dice.random())
            .collect();
        let mut letter = DeadLetter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            message: "it's \0 \"bad\"".into(),
            payload,
            ..DeadLetter::default()
        };
        letter.key = vec![0, 255, u8::try_from(n).unwrap()];
        letter.id = self.dice.random_bool(0.5).then(|| "id\0".to_owned());
        letter.written_at = [None, Some(START), Some(i64::MAX)][self.dice.random_range(0..3)];
        letter.model = self.dice.random_bool(0.5).then_some(ModelKey(7));
        letter.replays = self.dice.random_range(0..3);
        let header = |name: &str, value: &[u8]| Header {
            name: name.into(),
            value: Some(value.into()),
        };
        letter.headers = vec![
            header("trace\0", b"a\0b"),
            header("raw", &[255]),
            header("groundswell-code", b"old"),
        ];
        DeadChange {
            source: "posts".into(),
            partition: 3,
            offset: n,
            letter,
        }
    }

    /// The model as of a tick.
    pub fn model_at(&self, upper: Option<Tick>) -> &Model {
        &self.models[self.ticks.partition_point(|t| upper.is_some_and(|u| t.tick <= u))]
    }

    pub fn options(&self, url: &str) -> PostgresOptions {
        PostgresOptions {
            name: "pg".into(),
            url: url.to_owned(),
            schema: "live-threads".into(),
            views: Arc::clone(&self.views),
            tables: (0..self.views.len()).collect(),
            alerts: true,
            events: None,
            dead_letters: true,
            origin: origin(),
            basis: "log1p".into(),
            names: Arc::clone(&self.names),
            post_ids: Arc::new(|key| Some(format!("post\0{key}").into())),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            patience: Duration::ZERO,
        }
    }

    pub fn open(&self, url: &str) -> PostgresSink {
        PostgresSink::open(self.options(url)).unwrap()
    }

    /// Checks every table against the model as of what `_progress` says.
    pub fn check(&self, server: &Postgres, url: &str) -> Option<Tick> {
        let upper = server
            .psql(url, "select upper from \"live-threads\"._progress where sink = 'pg'")
            .unwrap();
        let upper = upper.parse().ok();
        self.check_at(server, url, upper, &(0..self.views.len()).collect::<Vec<_>>());
        upper
    }

    pub fn check_at(&self, server: &Postgres, url: &str, upper: Option<Tick>, tables: &[usize]) {
        let model = self.model_at(upper);
        let names: Vec<&str> = tables
            .iter()
            .map(|i| &*self.views[*i].name)
            .chain(["alerts", "dead_letters"])
            .collect();
        let mut all = read(server, url, &names);
        for (spec, rows) in tables.iter().map(|i| (&self.views[*i], &model.rows[*i])) {
            let columns: Vec<&str> = spec.group_by.iter().map(|g| g.name()).collect();
            let expected: BTreeMap<Key, Value> = rows
                .iter()
                .map(|(key, (acc, tick))| self.expected(spec, key, acc, *tick, model.clock))
                .collect();
            let mut found = BTreeMap::new();
            for row in all.remove(&spec.name).unwrap_or_default() {
                let groups = columns.iter().map(|c| row[*c].as_str().unwrap().to_owned()).collect();
                let start = row["window_start"].as_i64().unwrap();
                assert!(
                    found.insert((groups, start), row).is_none(),
                    "a row twice in {}",
                    spec.name
                );
            }
            for (key, row) in &expected {
                assert_eq!(found.get(key), Some(row), "{} at {upper:?}: {:.60?}", spec.name, key);
            }
            for key in found.keys() {
                assert!(
                    expected.contains_key(key),
                    "{} at {upper:?} has {:.60?} too many",
                    spec.name,
                    key
                );
            }
        }
        let mut rest = |table: &str| all.remove(table).unwrap_or_default();
        assert_eq!(rest("alerts"), model.alerts.values().cloned().collect::<Vec<_>>());
        assert_eq!(rest("dead_letters"), model.dead);
    }

    fn expected(&self, spec: &ViewSpec, key: &ViewKey, acc: &Acc, tick: Tick, clock: EventTime) -> (Key, Value) {
        let groups: Vec<String> = (0..spec.group_by.len())
            .map(|i| self.names.get(key.group[i]).map(|n| stored(&n)).unwrap_or_default())
            .collect();
        let (start, end) = match spec.window {
            WindowSpec::Sliding { .. } => spec.window.sliding_bounds(clock),
            window => window.bounds(key),
        };
        let mut row = json!({"window_start": start, "window_end": end, "updated_at": tick});
        for (column, value) in spec.group_by.iter().zip(&groups) {
            row[column.name()] = json!(value);
        }
        for measure in &spec.measures {
            let value = measure.value(acc);
            row[measure.name()] = match measure.is_count() {
                true => json!(value.map(|v| v as i64)),
                false => json!(value),
            };
        }
        ((groups, start), reread(&row))
    }
}

fn alert_row(spec: &ViewSpec, names: &Names, alert: &AlertChange) -> Value {
    let clean = |text: &str| text.replace('␀', "␀␀").replace('\0', "␀0");
    let mut key = serde_json::Map::new();
    for (i, column) in spec.group_by.iter().enumerate() {
        key.insert(
            column.name().to_owned(),
            json!(names.get(alert.key.group[i]).map(|n| clean(&n))),
        );
    }
    reread(&json!({
        "id": format!("{:032x}", alert.id), "rule": "rule", "state": alert.state, "cause": "votes", "view": "kept", "key": key,
        "window_start": alert.key.start, "window_end": alert.window_end,
        "resolved_window_start": alert.resolved.map(|(start, _)| start),
        "resolved_window_end": alert.resolved.map(|(_, end)| end), "value": alert.value, "threshold": -0.3,
        "posts": alert.posts, "at": alert.at,
        "evidence": [{"post": format!("post␀0{}", PostKey(7)), "weight": 3, "sentiment": -0.5, "influence": 0.25}],
    }))
}

fn dead_row(dead: &DeadChange, tick: Tick) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().fold("\\x".to_owned(), |s, b| format!("{s}{b:02x}"));
    json!({
        "tick": tick, "at": tick, "source": "posts", "partition": 3, "offset": dead.offset, "stage": "decode",
        "code": "invalid_json", "message": "it's ␀0 \"bad\"", "id": dead.letter.id.as_ref().map(|_| "id␀0"),
        "key": hex(&dead.letter.key), "payload": hex(&dead.letter.payload), "topic": "reddit.comments",
        // What Postgres cannot say is left out.
        "written_at": dead.letter.written_at.filter(|at| *at < i64::MAX),
        "headers": [{"name": "trace␀0", "value": "a␀0b"}, {"name": "raw", "value": [255]}],
        "engine_version": env!("CARGO_PKG_VERSION"), "model": dead.letter.model.map(|m| m.to_string()),
        "attempt": dead.letter.replays + 1,
    })
}

/// Where the dead letters come from.
pub fn origin() -> Origin {
    Origin {
        topics: [("posts".to_owned(), "reddit.comments".to_owned())].into(),
    }
}

/// The rows of all tables as JSON, times in epoch milliseconds; alerts by id, dead letters as they came.
fn read(server: &Postgres, url: &str, tables: &[&str]) -> BTreeMap<String, Vec<Value>> {
    let one = |table: &&str| {
        let (order, number) = match *table {
            "alerts" => ("order by t.id", ""),
            "dead_letters" => ("order by t.n", " - 'n'"),
            _ => ("", ""),
        };
        let times: &[&str] = match *table {
            "alerts" => &[
                "window_start",
                "window_end",
                "resolved_window_start",
                "resolved_window_end",
                "at",
            ],
            "dead_letters" => &["at", "written_at"],
            _ => &["window_start", "window_end", "updated_at"],
        };
        let times = times
            .iter()
            .map(|c| format!("'{c}', (extract(epoch from t.{c}) * 1000)::bigint"));
        let times: Vec<String> = times.collect();
        // Of two equal fields the last counts.
        format!(
            "(select '{table}', (to_jsonb(t) || jsonb_build_object({})){number} from \"live-threads\".\"{table}\" as t {order})",
            times.join(", ")
        )
    };
    let selects: Vec<String> = tables.iter().map(one).collect();
    let text = server.psql(url, &selects.join(" union all ")).unwrap();
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let (table, row) = line.split_once('\t').unwrap();
        rows.entry(table.to_owned())
            .or_default()
            .push(normal(serde_json::from_str(row).unwrap()));
    }
    rows
}

/// A value as it is after it was text: the parser may miss the last digit, but always in the same way.
fn reread(value: &Value) -> Value {
    normal(serde_json::from_str(&value.to_string()).unwrap())
}

/// JSON with one way to write a number: Postgres leaves out the fraction of a whole one.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if f.fract() == 0.0 && f.abs() < 9e15 => json!(f as i64),
            _ => Value::Number(n),
        },
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, normal(v))).collect(),
        other => other,
    }
}

impl World {
    /// The whole state after the last tick, as a resync wants it.
    pub fn full(&self) -> TickChanges {
        let (model, last) = (self.models.last().unwrap(), self.ticks.last().unwrap());
        let rows = |rows: &BTreeMap<ViewKey, (Acc, Tick)>| {
            let row = |(key, (acc, _)): (&ViewKey, &(Acc, Tick))| RowChange {
                key: *key,
                acc: Some(*acc),
                numbers: None,
                revision: 0,
            };
            rows.iter().map(row).collect()
        };
        let mut alerts: BTreeMap<u128, AlertChange> = BTreeMap::new();
        for alert in self.ticks.iter().flat_map(|t| &t.alerts) {
            alerts.insert(alert.id, alert.clone());
        }
        TickChanges {
            tick: last.tick,
            clock: last.clock,
            views: model.rows.iter().map(rows).collect(),
            alerts: alerts.into_values().collect(),
            ..TickChanges::default()
        }
    }
}

/// The error of an attempt to open a sink.
pub fn refused(options: PostgresOptions) -> PostgresError {
    PostgresSink::open(options).err().unwrap()
}
