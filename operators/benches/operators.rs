//! Time of one tick with 1,000 revisions, for every operator alone and for the whole graph, by how much it holds.
//!
//! Each operator is loaded with `size` posts first; then every measured tick revises 1,000 of them. What matters is how
//! the time grows with `size`: it should hardly do so, since the work is in what changed (caches get colder, that is all).
//! `MAX_SIZE=10000000 cargo bench -p groundswell-operators --bench operators` goes further than the default of 10⁶.

use criterion::{BenchmarkId, Criterion, Throughput};
use differential_dataflow::difference::Semigroup;
use differential_dataflow::input::InputSession;
use differential_dataflow::{ExchangeData, VecCollection};
use groundswell_core::dataflow::at_each_tick;
use groundswell_core::expr::Expr;
use groundswell_core::id::{Dim, ModelKey, PostKey, TextKey};
use groundswell_core::record::Entity;
use groundswell_core::score::Score;
use groundswell_core::scoring::Policy;
use groundswell_core::serving::{Cause, LivePost, Mention};
use groundswell_core::spec::{
    GraphSpec, GroupColumn, LinkSpec, Measure, Method, RuleSpec, ViewSpec, WeightSpec, WindowSpec,
};
use groundswell_core::time::Tick;
use groundswell_operators::aggregate::{Row, aggregate};
use groundswell_operators::dedupe::{Duplicates, Upserted, dedupe};
use groundswell_operators::event::{Control, Fact, PostEvent, PostRow};
use groundswell_operators::evidence::{Item, evidence};
use groundswell_operators::graph::{Inputs, Plan, render};
use groundswell_operators::inherit::inherit;
use groundswell_operators::link::{FetchText, Linked, Mentions, link};
use groundswell_operators::live::{Live, Part, live};
use groundswell_operators::posts::Posts;
use groundswell_operators::score::score;
use groundswell_operators::threshold::{Watched, threshold};
use groundswell_operators::window::{RowKey, contribution, for_each_row, window};
use smallvec::smallvec;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

/// Revisions per measured tick.
const STEP: u64 = 1_000;
/// Posts per window and group.
const PER_WINDOW: u64 = 20;
const THREADS: u64 = 200;
const MINUTE: i64 = 60_000;

fn main() {
    timely::execute_directly(|worker| {
        let mut c = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1))
            .configure_from_args();
        let largest = std::env::var("MAX_SIZE").ok().and_then(|n| n.parse().ok());
        let sizes = (3..)
            .map(|n| 10u64.pow(n))
            .take_while(|n| *n <= largest.unwrap_or(1_000_000));
        for size in sizes {
            keyed_by_post(worker, &mut c, size);
            by_row(worker, &mut c, size);
            whole(worker, &mut c, size);
        }
        c.final_summary();
    });
}

/// Loads an operator with `load` for every post and measures ticks of `step`, which is told the post and how often it was
/// revised before.
fn operator<D: ExchangeData, O: Clone + 'static, R: Semigroup + 'static>(
    worker: &mut Worker,
    c: &mut Criterion,
    (name, size): (&str, u64),
    render: impl for<'s> FnOnce(
        VecCollection<'s, Tick, D>,
        VecCollection<'s, Tick, Control>,
    ) -> VecCollection<'s, Tick, O, R>,
    (control, load): (Vec<Control>, &dyn Fn(u64) -> Vec<D>),
    step: &dyn Fn(u64, u64) -> Vec<(D, isize)>,
) {
    let (mut input, mut side, probe) = (InputSession::new(), InputSession::new(), ProbeHandle::new());
    worker.dataflow(|scope| {
        let out = render(input.to_collection(scope), side.to_collection(scope));
        at_each_tick(out, "Out", |_, rows| {
            black_box(rows.len());
        })
        .probe_with(&probe);
    });
    let mut tick: Tick = 1;
    let mut run = |worker: &mut Worker, rows: &mut dyn Iterator<Item = (D, isize)>, control: &[Control]| {
        input.advance_to(tick);
        side.advance_to(tick);
        rows.for_each(|(row, diff)| input.update(row, diff));
        control.iter().for_each(|c| side.update(c.clone(), 1));
        tick += 1;
        input.advance_to(tick);
        side.advance_to(tick);
        input.flush();
        side.flush();
        while probe.less_than(&tick) {
            worker.step();
        }
    };
    run(worker, &mut (0..size).flat_map(load).map(|row| (row, 1)), &control);
    let (mut steps, mut versions) = (0, vec![0u64; usize::try_from(size).unwrap_or(0)]);
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(STEP));
    group.bench_function(BenchmarkId::from_parameter(size), |b| {
        b.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let mut rows = Vec::new();
                for n in steps * STEP..(steps + 1) * STEP {
                    let i = spread(n, size);
                    let version = &mut versions[usize::try_from(i).unwrap_or(0)];
                    rows.extend(step(i, *version));
                    *version += 1;
                }
                steps += 1;
                let began = Instant::now();
                run(worker, &mut rows.into_iter(), &[]);
                took += began.elapsed();
            }
            took
        });
    });
    group.finish();
}

/// The n-th post to revise: all over the place, each equally often.
fn spread(n: u64, size: u64) -> u64 {
    n.wrapping_mul(7_919) % size
}

fn post(i: u64) -> PostKey {
    PostKey::of(&i.to_le_bytes())
}

fn entity(i: u64) -> Dim {
    Dim(i % 50 + 1)
}

/// The texts of version `v` of a post: one of a thousand.
fn text(i: u64, v: u64) -> u64 {
    (i + v) % 1_000
}

fn text_key(n: u64) -> TextKey {
    TextKey::of(&n.to_be_bytes())
}

fn row(i: u64, v: u64) -> PostRow {
    PostRow {
        text: text_key(text(i, v)),
        parent: PostKey::NONE,
        thread: Dim(i % THREADS + 1),
        author: Dim(i % 1_009 + 1),
        source: Dim(1),
        created_at: i64::try_from(i / (THREADS * PER_WINDOW)).unwrap_or(0) * MINUTE,
        about: TextKey::NONE,
        given: None,
    }
}

fn answer(n: u64) -> Score {
    let x = i32::try_from(n % 1_000_000).unwrap_or(0);
    Score {
        positive: x,
        negative: 1_000_000 - x,
        ..Score::default()
    }
}

fn mentions(i: u64) -> Mentions {
    smallvec![Mention {
        entity: entity(i),
        confidence: 950_000,
        method: Method::Exact,
    }]
}

fn live_post(i: u64, votes: i64) -> Live {
    let row = row(i, 0);
    Live {
        key: post(i),
        post: LivePost {
            text: row.text,
            thread: row.thread,
            author: row.author,
            source: row.source,
            created_at: row.created_at,
            votes: Some(votes),
            weight: WeightSpec::Log1p.weight(Some(votes)),
            score: Some(answer(i * 977)),
            mentions: mentions(i),
        },
        cause: Cause::Votes,
    }
}

fn policies() -> Arc<[Policy]> {
    vec![Policy::default(); views().len()].into()
}

fn views() -> Arc<[ViewSpec]> {
    [ViewSpec {
        name: "by_minute".into(),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window: WindowSpec::Tumble { size: MINUTE },
        measures: vec![Measure::Posts, Measure::Sentiment],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    }]
    .into()
}

fn row_of(live: &Live) -> RowKey {
    let mut at = RowKey::default();
    for_each_row(&views()[0], &live.post, Policy::default(), &mut |key| at.key = key);
    at
}

/// What a revision of votes from `v` to `v + 1` looks like to whoever holds the old row.
fn replaced<D>(i: u64, v: u64, of: impl Fn(u64, i64) -> D) -> Vec<(D, isize)> {
    let votes = |v| i64::try_from(v).unwrap_or(0);
    vec![(of(i, votes(v)), -1), (of(i, votes(v + 1)), 1)]
}

fn fetch() -> FetchText {
    let names = ["storm", "harbor", "copper", "meadow", "lantern"];
    let texts: std::collections::BTreeMap<TextKey, Arc<str>> = (0..1_000u64)
        .map(|n| {
            let name = names[usize::try_from(n % 5).unwrap_or(0)];
            (
                text_key(n),
                format!("what a night for {name}, number {n} of many such nights").into(),
            )
        })
        .collect();
    Arc::new(move |key| texts.get(&key).cloned())
}

fn dictionary() -> Vec<Control> {
    ["storm", "harbor", "copper", "meadow", "lantern"]
        .into_iter()
        .map(|name| Control::Entity {
            id: Dim::of(name),
            rank: (0, 1, 0, 0),
            entity: Some(Arc::new(Entity {
                id: name.into(),
                name: name.into(),
                ..Entity::default()
            })),
        })
        .collect()
}

fn event(i: u64, v: u64) -> (PostKey, PostEvent) {
    let rank = (0, i64::try_from(v).unwrap_or(0), 0, 0);
    (
        post(i),
        PostEvent::Row {
            rank,
            row: Some((row(i, v), (0, None))),
        },
    )
}

/// A newer vote observation.
fn votes(i: u64, at: u64) -> (PostKey, PostEvent) {
    let at = i64::try_from(at).unwrap_or(0);
    (post(i), PostEvent::Votes((at + 1, Some(at % 1_000)), 0))
}

fn keyed_by_post(worker: &mut Worker, c: &mut Criterion, size: u64) {
    let none = Vec::new;
    operator(
        worker,
        c,
        ("dedupe: votes", size),
        |events, control| dedupe(events, control, None, Duplicates::default(), Posts::default()),
        (none(), &|i| vec![event(i, 0)]),
        &|i, v| vec![(votes(i, v), 1)],
    );
    operator(
        worker,
        c,
        ("dedupe, link and live: edits", size),
        |events, control| {
            let exact = LinkSpec {
                fuzzy_min: None,
                ..LinkSpec::default()
            };
            let posts = Posts::default();
            let upserted = dedupe(events, control.clone(), None, Duplicates::default(), posts.clone());
            let turned = upserted.clone().flat_map(|(key, u)| u.row().map(|_| key));
            let linked = inherit(
                link(turned, control.clone(), exact, fetch(), posts.clone()),
                false,
                None,
            );
            let mentions = linked.map(|(key, m)| (key, Part::Mentions(m)));
            let parts = upserted.flat_map(|(key, u)| Part::of(&u).map(|part| (key, part)));
            live(parts.concat(mentions), control, WeightSpec::Log1p, posts)
        },
        (dictionary(), &|i| vec![event(i, 0)]),
        &|i, v| vec![(event(i, v), 1)],
    );
    operator(
        worker,
        c,
        ("inherit: edits of parents", size),
        |linked, _| inherit(linked, true, None),
        // Every second post replies to the one before it.
        (none(), &|i| match i % 2 {
            0 => vec![(post(i), Linked::Direct(mentions(i), 0))],
            _ => vec![(post(i), Linked::ReplyTo(post(i - 1), 0))],
        }),
        &|i, v| match i % 2 {
            0 => replaced(i, v, |i, v| {
                (post(i), Linked::Direct(mentions(i + v.unsigned_abs()), 0))
            }),
            _ => Vec::new(),
        },
    );
    operator(
        worker,
        c,
        ("score: posts with known texts", size),
        |posts, control| {
            let facts = posts.clone().filter(|(_, _, at, _)| *at == 0).map(|(text, ..)| Fact {
                text,
                model: ModelKey(1),
                score: Some(answer(7)),
            });
            score(posts, facts, control, None, false, Arc::default())
        },
        (vec![Control::LiveModel(ModelKey(1))], &|i| {
            vec![(text_key(i), post(i), 0, 0)]
        }),
        &|i, v| replaced(i, v, |i, v| (text_key(i), post(i), v, 0)),
    );
    operator(
        worker,
        c,
        ("dedupe and live: votes", size),
        |events, control| {
            let posts = Posts::default();
            let upserted = dedupe(events, control.clone(), None, Duplicates::default(), posts.clone());
            let rest = upserted.clone().flat_map(|(key, u)| {
                let new = matches!(u, Upserted::Row(_));
                new.then(|| {
                    [
                        (key, Part::Mentions(mentions(key.route()))),
                        (key, Part::Score(answer(7))),
                    ]
                })
                .into_iter()
                .flatten()
            });
            let parts = upserted.flat_map(|(key, u)| Part::of(&u).map(|part| (key, part)));
            live(parts.concat(rest), control, WeightSpec::Log1p, posts)
        },
        (none(), &|i| vec![event(i, 0)]),
        &|i, v| vec![(votes(i, v), 1)],
    );
}

fn by_row(worker: &mut Worker, c: &mut Criterion, size: u64) {
    operator(
        worker,
        c,
        ("window: votes", size),
        |live, _| window(live, &views(), &policies()),
        (Vec::new(), &|i| vec![live_post(i, 0)]),
        &|i, v| replaced(i, v, live_post),
    );
    operator(
        worker,
        c,
        ("window and aggregate: votes", size),
        |live, control| aggregate(window(live, &views(), &policies()), control, &views()),
        (Vec::new(), &|i| vec![live_post(i, 0)]),
        &|i, v| replaced(i, v, live_post),
    );
    let rules = (0..10).map(|n| {
        let id = format!("rule{n}");
        let when = Expr::parse(&format!("sentiment < -0.{n}1")).expect("parses");
        let rule = RuleSpec::new(&id, "by_minute", when);
        Control::Rule {
            id: Dim::of(&id),
            rank: (0, 1, 0, 0),
            rule: Some(Arc::new(rule)),
        }
    });
    let watched = |i, votes| {
        let live = live_post(i, votes);
        Watched::Row(Row {
            at: row_of(&live),
            acc: contribution(&live.post, Policy::default()),
        })
    };
    operator(
        worker,
        c,
        ("threshold: rows, 10 rules", size),
        |rows, control| {
            let watch = Arc::new(|name: &str| (name == "by_minute").then_some(0));
            threshold(rows, control, &views(), watch)
        },
        (rules.collect(), &|i| vec![watched(i, 0)]),
        &|i, v| replaced(i, v, watched),
    );
    let item = |i, votes| {
        let live = live_post(i, votes);
        let x = live.post.score.map_or(0, |s| s.sentiment());
        (row_of(&live), Item::Post(live.key, live.post.weight, x))
    };
    operator(
        worker,
        c,
        ("evidence: votes", size),
        |items, control| evidence(items, control, &views()),
        (Vec::new(), &|i| vec![item(i, 0)]),
        &|i, v| replaced(i, v, item),
    );
}

fn whole(worker: &mut Worker, c: &mut Criterion, size: u64) {
    let plan = Plan::new(
        &GraphSpec {
            name: "bench".into(),
            views: views().to_vec(),
            link: LinkSpec {
                fuzzy_min: None,
                ..LinkSpec::default()
            },
            weight: WeightSpec::Log1p,
            scoring: Default::default(),
            events: None,
            numbers: Vec::new(),
            ties: false,
        },
        |_| false,
    );
    let control = || {
        let mut all = dictionary();
        all.push(Control::LiveModel(ModelKey(1)));
        all
    };
    for (name, step) in [
        (
            "graph: votes",
            (|i, v| vec![(votes(i, v), 1)]) as fn(u64, u64) -> Vec<_>,
        ),
        ("graph: edits", |i, v| vec![(event(i, v + 1), 1)]),
    ] {
        let plan = plan.clone();
        operator(
            worker,
            c,
            (name, size),
            move |posts, control| {
                let facts = posts.clone().flat_map(|(_, event)| match event {
                    PostEvent::Row {
                        row: Some((row, _)), ..
                    } => Some(Fact {
                        text: row.text,
                        model: ModelKey(1),
                        score: Some(answer(row.text.route())),
                    }),
                    _ => None,
                });
                let inputs = Inputs {
                    posts,
                    facts,
                    ties: None,
                    control,
                };
                render(&plan, inputs, fetch(), Duplicates::default()).rows
            },
            (control(), &|i| vec![event(i, 0)]),
            &step,
        );
    }
}
