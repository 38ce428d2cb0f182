//! Runs ticks through the real graph and collects what it says at every tick.

use crate::tied::Tied;
use differential_dataflow::input::InputSession;
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::at_each_tick;
use groundswell_core::id::{ModelKey, Names, TextKey};
use groundswell_core::number::Numbers;
use groundswell_core::record::{AlertFloor, CONTROL, Envelope, Record, TickBatch};
use groundswell_core::scoring::{Sarcasm, ScoringSpec};
use groundswell_core::serving::AlertState;
use groundswell_core::spec::{
    Anchor, Edge, GraphSpec, GroupColumn, LinkSpec, Measure, Phase, PhaseName, Phases, Sessions, ViewSpec, WeightSpec,
    WindowSpec,
};
use groundswell_core::time::Tick;
use groundswell_operators::aggregate::Row;
use groundswell_operators::compare::Tally;
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::engagement::Engaged;
use groundswell_operators::event::{Background, Control, Event, TieEvent};
use groundswell_operators::evidence::Proven;
use groundswell_operators::graph::{Inputs, Plan, render};
use groundswell_operators::numbers::Numbered;
use groundswell_operators::score::Wanted;
use groundswell_operators::threshold::Carry;
use groundswell_operators::ties::Standing;
use groundswell_operators::window::RowKey;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;

/// Index of the sliding view in [`plan`].
pub const SLIDING: u16 = 3;

/// Views of every kind, all of them watched by whatever rules come.
pub fn plan() -> Plan {
    let view = |name: &str, group_by: &[GroupColumn], window, keep| ViewSpec {
        name: name.into(),
        group_by: group_by.to_vec(),
        window,
        measures: Measure::ALL.to_vec(),
        keep,
        extras: groundswell_core::spec::Extras::default(),
    };
    use GroupColumn::{Author, Emotion, Entity, Label, Phase, Source, Tag, Thread};
    let minute = WindowSpec::Tumble { size: 60_000 };
    let spec = GraphSpec {
        name: "oracle".into(),
        views: vec![
            view("by_minute", &[Thread, Entity], minute, None),
            view(
                "by_thread",
                &[Thread],
                WindowSpec::Hop {
                    size: 120_000,
                    every: 60_000,
                },
                None,
            ),
            view("kept", &[Source, Author], minute, Some(120_000)),
            view(
                "sliding",
                &[Entity],
                WindowSpec::Sliding {
                    size: 180_000,
                    every: 30_000,
                },
                None,
            ),
            view("all", &[], minute, None),
            view(
                "kept_hop",
                &[Thread],
                WindowSpec::Hop {
                    size: 120_000,
                    every: 60_000,
                },
                Some(180_000),
            ),
            view("labels", &[Label, Emotion], minute, None),
            view("phases", &[Thread, Entity, Phase], phases(None), None),
            view(
                "kept_phases",
                &[Thread, Label, Phase],
                phases(Some(100_000)),
                Some(90_000),
            ),
            view("tags", &[Tag, Thread], minute, None),
            view("said", &[GroupColumn::Mention, Entity, Tag], minute, Some(120_000)),
            view("bursts", &[Thread], sessions(70_000, 90_000), None),
            view(
                "kept_bursts",
                &[Source, Label],
                sessions(70_000, 130_000),
                Some(100_000),
            ),
        ],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        ties: true,
        events: None,
        scoring: ScoringSpec {
            views: [
                ("by_thread", Sarcasm::Flip),
                ("sliding", Sarcasm::Discount),
                ("kept", Sarcasm::Exclude),
                ("labels", Sarcasm::Flip),
                ("kept_phases", Sarcasm::Exclude),
                ("kept_bursts", Sarcasm::Flip),
            ]
            .map(|(view, policy)| (view.to_owned(), policy))
            .into(),
            ladder: true,
            ..ScoringSpec::default()
        },
        numbers: Vec::new(),
    };
    Plan::new(&spec, |_| true).comparing(true)
}

/// Phases of threads that discuss something for a minute or two; the last two overlap.
fn phases(lasts: Option<i64>) -> WindowSpec {
    use Anchor::{AirTime, EndsAt};
    let phase = |name, from: (Anchor, i64), to: (Anchor, i64)| {
        let edge = |(anchor, offset)| Edge { anchor, offset };
        Phase {
            name: PhaseName::new(name).unwrap(),
            from: edge(from),
            to: edge(to),
        }
    };
    let all = [
        phase("pre", (AirTime, -60_000), (AirTime, 0)),
        phase("live", (AirTime, 0), (EndsAt, 0)),
        phase("post", (EndsAt, -20_000), (EndsAt, 60_000)),
    ];
    WindowSpec::Anchored(Phases::new(&all, lasts, 150_000).unwrap())
}

fn sessions(gap: i64, max: i64) -> WindowSpec {
    WindowSpec::Session(Sessions { gap, max })
}

/// Models asked beside the live one in [`plan`]: of some authors, of all, of none.
pub fn background() -> [Background; 3] {
    [(0, 500_000), (1, 1_000_000), (2, 0)].map(|(n, share)| Background {
        model: crate::history::model(n),
        share,
    })
}

/// Views of several kinds that all have a `keep`, so that posts are forgotten: six minutes after they were written, or twelve.
pub fn forgetful_plan(inherit_from_parent: bool) -> Plan {
    let view = |name: &str, group_by: &[GroupColumn], window, keep| ViewSpec {
        name: name.into(),
        group_by: group_by.to_vec(),
        window,
        measures: Measure::ALL.to_vec(),
        keep: Some(keep),
        extras: groundswell_core::spec::Extras::default(),
    };
    let minute = WindowSpec::Tumble { size: 60_000 };
    let hop = WindowSpec::Hop {
        size: 120_000,
        every: 60_000,
    };
    let spec = GraphSpec {
        name: "forgetful".into(),
        views: vec![
            view("by_thread", &[GroupColumn::Thread], minute, 300_000),
            view("by_entity", &[GroupColumn::Entity], minute, 240_000),
            view("kept", &[GroupColumn::Source, GroupColumn::Author], minute, 120_000),
            view("kept_hop", &[GroupColumn::Thread], hop, 180_000),
            view(
                "phases",
                &[GroupColumn::Thread, GroupColumn::Phase],
                phases(Some(60_000)),
                120_000,
            ),
            view("bursts", &[GroupColumn::Thread], sessions(60_000, 120_000), 120_000),
        ],
        link: LinkSpec {
            inherit_from_parent,
            ..LinkSpec::default()
        },
        weight: WeightSpec::Log1p,
        ties: false,
        events: None,
        scoring: ScoringSpec {
            sarcasm: Sarcasm::Discount,
            count_neutral: true,
            ..ScoringSpec::default()
        },
        numbers: Vec::new(),
    };
    Plan::new(&spec, |_| true)
}

/// One view with retention that rules watch.
pub fn kept_plan() -> Plan {
    let view = ViewSpec {
        name: "kept".into(),
        group_by: vec![],
        window: WindowSpec::Tumble { size: 60_000 },
        measures: Measure::ALL.to_vec(),
        keep: Some(300_000),
        extras: groundswell_core::spec::Extras::default(),
    };
    let spec = GraphSpec {
        name: "kept".into(),
        views: vec![view],
        link: LinkSpec::default(),
        weight: WeightSpec::Log1p,
        ties: false,
        scoring: ScoringSpec::default(),
        events: None,
        numbers: Vec::new(),
    };
    Plan::new(&spec, |_| true)
}

/// What the views and rules say at one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Rows of declared views.
    pub rows: BTreeMap<RowKey, Acc>,
    /// Alerts: rule and row that fired → window that resolved it.
    pub alerts: BTreeMap<(String, RowKey), Option<i64>>,
    /// What is counted of models, where they are compared.
    pub tallies: BTreeMap<Tally, isize>,
    /// Numbers of the rows of views that use some.
    pub numbers: BTreeMap<RowKey, Numbers>,
    /// What is known through ties, where the plan takes them in.
    pub tied: Tied,
}

/// Everything the graph put out.
#[derive(Default)]
pub struct Seen {
    rows: Vec<(Tick, Row, isize)>,
    numbered: Vec<(Tick, Numbered, isize)>,
    alerts: Vec<(Tick, Proven)>,
    carries: Vec<(Tick, Carry)>,
    tallies: Vec<(Tick, Tally, isize)>,
    wanted: Vec<(Tick, Wanted, isize)>,
    standing: Vec<(Tick, Standing, isize)>,
    engaged: Vec<(Tick, Engaged, isize)>,
    /// Posts the graph remembers as live, at the end.
    pub live: isize,
}

impl Seen {
    /// All alert transitions in the order of their ticks.
    pub fn transitions(&self) -> impl Iterator<Item = &groundswell_operators::threshold::Transition> {
        self.alerts.iter().map(|(_, proven)| &proven.transition)
    }

    /// What the ticks from `first` on said about forgotten windows, as the records the engine makes of it; names are those
    /// of the histories.
    pub fn floors(&self, plan: &Plan, first: Tick) -> Vec<Envelope> {
        let mut newest = BTreeMap::new();
        for (tick, carry) in self.carries.iter().filter(|(tick, _)| *tick >= first) {
            newest.insert((carry.rule.clone(), carry.view, carry.group), (*tick, carry));
        }
        let names = Names::default();
        let ids = ["p", "t", "a", "e"].map(|p| (0..8).map(move |n| format!("{p}{n}")));
        let known = ids.into_iter().flatten().chain(["s".to_owned(), String::new()]);
        known.for_each(|name| {
            names.intern(&name).unwrap();
        });
        let record = |(tick, carry): (Tick, &Carry)| {
            let view = plan.declared_view(carry.view).unwrap();
            let values = carry.group.iter().take(view.group_by.len());
            let values: Vec<_> = values.map(|dim| names.get(*dim).unwrap_or_default()).collect();
            let values: Vec<&str> = values.iter().map(|v| &**v).collect();
            Envelope {
                source: CONTROL,
                partition: 0,
                offset: 0,
                order: tick,
                record: Record::AlertFloor(AlertFloor {
                    key: AlertFloor::key(&carry.rule, &view.name, &values),
                    shape: plan.views[usize::from(carry.view)].shape(),
                    up_to: carry.up_to,
                    state: carry.state,
                }),
            }
        };
        newest.into_values().map(record).collect()
    }

    /// Texts that wait for a model at a tick.
    pub fn wanted(&self, tick: Tick) -> BTreeMap<(ModelKey, TextKey), (i64, bool)> {
        let mut net = BTreeMap::<Wanted, isize>::new();
        for (_, wanted, diff) in self.wanted.iter().filter(|(at, ..)| *at <= tick) {
            *net.entry(*wanted).or_default() += diff;
        }
        net.retain(|_, n| *n != 0);
        let mut texts = BTreeMap::new();
        for (wanted, n) in net {
            assert_eq!(n, 1, "{wanted:?} has multiplicity {n}");
            let before = texts.insert((wanted.model, wanted.text), (wanted.at, wanted.stopgap));
            assert_eq!(before, None, "{wanted:?} is wanted twice");
        }
        texts
    }

    /// The state at a tick; each row must net to 0 or 1.
    pub fn at(&self, plan: &Plan, tick: Tick) -> Views {
        let mut net = BTreeMap::<(RowKey, Acc), isize>::new();
        for (_, row, diff) in self
            .rows
            .iter()
            .filter(|(at, row, _)| *at <= tick && usize::from(row.at.view) < plan.declared)
        {
            *net.entry((row.at, row.acc)).or_default() += diff;
        }
        net.retain(|_, n| *n != 0);
        let mut views = Views::default();
        for ((row, acc), n) in net {
            assert_eq!(n, 1, "row {row:?} has multiplicity {n}");
            assert_eq!(views.rows.insert(row, acc), None, "row {row:?} has two values");
        }
        let mut net = BTreeMap::<&Numbered, isize>::new();
        for (_, row, diff) in self.numbered.iter().filter(|(at, ..)| *at <= tick) {
            *net.entry(row).or_default() += diff;
        }
        for (numbered, n) in net.into_iter().filter(|(_, n)| *n != 0) {
            assert_eq!(n, 1, "row {numbered:?} has multiplicity {n}");
            let Row { at, acc } = numbered.row;
            assert_eq!(views.rows.insert(at, acc), None, "row {at:?} has two values");
            views.numbers.insert(at, Numbers::clone(&numbered.numbers));
        }
        for (_, tally, n) in self.tallies.iter().filter(|(at, ..)| *at <= tick && plan.compares()) {
            *views.tallies.entry(*tally).or_default() += n;
        }
        views.tallies.retain(|_, n| *n != 0);
        views.tied = Tied::at(&self.standing, &self.engaged, tick);
        let mut transitions: Vec<_> = self.alerts.iter().filter(|(at, _)| *at <= tick).collect();
        transitions.sort_by_key(|(at, p)| (*at, p.transition.state != AlertState::Firing));
        for (_, proven) in transitions {
            let t = &proven.transition;
            let key = (t.rule.id.clone(), t.fired);
            match t.state {
                AlertState::Firing => assert_ne!(views.alerts.insert(key, None), Some(None), "fired twice"),
                AlertState::Resolved => {
                    let was = views.alerts.insert(key, Some(t.window));
                    assert!(
                        was.is_some_and(|was| was != Some(t.window)),
                        "resolved without firing, or twice"
                    );
                }
                AlertState::Retracted => assert!(views.alerts.remove(&key).is_some(), "retracted without firing"),
            }
        }
        views
    }
}

/// Runs the ticks through a graph on `workers` workers; records are spread over them arbitrarily.
pub fn run(plan: &Plan, ticks: &[TickBatch], workers: usize) -> Seen {
    let names = Names::default();
    let mut texts = HashMap::<TextKey, Arc<str>>::new();
    let mut events = Vec::new();
    if let Some(first) = ticks.first().filter(|_| plan.compares()) {
        let models = Control::Background(background().into());
        events.push((first.tick, 0, Event::Control(models)));
    }
    for batch in ticks {
        for (i, envelope) in batch.records.iter().enumerate() {
            if let Record::Post(p) = &envelope.record {
                texts.insert(TextKey::of(p.text.as_bytes()), p.text.as_str().into());
            }
            events.push((batch.tick, i % workers, Event::of(envelope, &names).unwrap()));
            if !plan.numbers().is_empty() {
                let numbers = Event::numbers(envelope, plan.numbers(), &names).unwrap();
                events.push((batch.tick, (i / 2) % workers, numbers));
            }
            let passed_on = TieEvent::passed_on(envelope).map(Event::Tie);
            events.extend(passed_on.map(|event| (batch.tick, i % workers, event)));
        }
        events.push((batch.tick, 0, Event::Control(Control::Clock(batch.clock))));
    }
    let (events, texts) = (Arc::new(events), Arc::new(texts));
    let end = ticks.last().map_or(1, |t| t.tick + 1);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (plan, out) = (plan.clone(), Arc::clone(&seen));
    timely::execute(timely::Config::process(workers), move |worker| {
        let (mut posts, mut facts, mut control) = (InputSession::new(), InputSession::new(), InputSession::new());
        let mut ties = InputSession::new();
        let probe = ProbeHandle::new();
        worker.dataflow(|scope| {
            let inputs = Inputs {
                posts: posts.to_collection(scope),
                facts: facts.to_collection(scope),
                ties: plan.ties().then(|| ties.to_collection(scope)),
                control: control.to_collection(scope),
            };
            let texts = Arc::clone(&texts);
            let outputs = render(
                &plan,
                inputs,
                Arc::new(move |key| texts.get(&key).cloned()),
                Duplicates::default(),
            );
            let (rows, alerts) = (Arc::clone(&out), Arc::clone(&out));
            at_each_tick(outputs.rows, "Rows", move |tick, batch| {
                rows.lock()
                    .unwrap()
                    .rows
                    .extend(batch.into_iter().map(|(row, diff)| (tick, row, diff)));
            })
            .probe_with(&probe);
            if let Some(rows) = outputs.numbered {
                let numbered = Arc::clone(&out);
                at_each_tick(rows, "Numbered", move |tick, batch| {
                    let rows = batch.into_iter().map(|(row, diff)| (tick, row, diff));
                    numbered.lock().unwrap().numbered.extend(rows);
                })
                .probe_with(&probe);
            }
            let wanted = Arc::clone(&out);
            at_each_tick(outputs.wanted, "Wanted", move |tick, batch| {
                wanted
                    .lock()
                    .unwrap()
                    .wanted
                    .extend(batch.into_iter().map(|(wanted, diff)| (tick, wanted, diff)));
            })
            .probe_with(&probe);
            let live = Arc::clone(&out);
            at_each_tick(outputs.live, "Live", move |_, batch| {
                live.lock().unwrap().live += batch.into_iter().map(|(_, diff)| diff).sum::<isize>();
            })
            .probe_with(&probe);
            let tallies = Arc::clone(&out);
            at_each_tick(outputs.tallies, "Tallies", move |tick, batch| {
                let said = batch.into_iter().map(|(tally, n)| (tick, tally, n));
                tallies.lock().unwrap().tallies.extend(said);
            })
            .probe_with(&probe);
            if let Some(tied) = outputs.ties {
                let (standing, engaged) = (Arc::clone(&out), Arc::clone(&out));
                at_each_tick(tied.standing, "Ties", move |tick, batch| {
                    let said = batch.into_iter().map(|(row, diff)| (tick, row, diff));
                    standing.lock().unwrap().standing.extend(said);
                })
                .probe_with(&probe);
                at_each_tick(tied.engaged, "Engaged", move |tick, batch| {
                    let said = batch.into_iter().map(|(row, diff)| (tick, row, diff));
                    engaged.lock().unwrap().engaged.extend(said);
                })
                .probe_with(&probe);
            }
            let outputs = outputs.alerts.unwrap();
            let carries = Arc::clone(&out);
            at_each_tick(outputs.carries, "Carries", move |tick, batch| {
                carries
                    .lock()
                    .unwrap()
                    .carries
                    .extend(batch.into_iter().map(|(carry, _)| (tick, carry)));
            })
            .probe_with(&probe);
            at_each_tick(outputs.transitions, "Alerts", move |tick, batch| {
                alerts
                    .lock()
                    .unwrap()
                    .alerts
                    .extend(batch.into_iter().map(|(alert, _)| (tick, alert)));
            })
            .probe_with(&probe);
        });
        for (tick, at, event) in events.iter() {
            if *posts.time() < *tick {
                posts.advance_to(*tick);
                facts.advance_to(*tick);
                ties.advance_to(*tick);
                ties.flush();
                control.advance_to(*tick);
                posts.flush();
                facts.flush();
                control.flush();
                worker.step();
            }
            // Control events come from the first worker only, like in the engine.
            match event {
                Event::Control(c) if worker.index() == 0 => control.update(c.clone(), 1isize),
                Event::Post(key, e) if worker.index() == *at => posts.update((*key, *e), 1isize),
                Event::Fact(f) if worker.index() == *at => facts.update(*f, 1isize),
                Event::Tie(tie) if worker.index() == *at => ties.update(*tie, 1isize),
                _ => {}
            }
        }
        posts.advance_to(end);
        facts.advance_to(end);
        ties.advance_to(end);
        ties.flush();
        control.advance_to(end);
        posts.flush();
        facts.flush();
        control.flush();
        worker.step_while(|| probe.less_than(&end));
    })
    .unwrap();
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}
