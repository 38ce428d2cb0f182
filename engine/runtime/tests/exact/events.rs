//! Keyword events: whatever happens to posts, keywords and companies, in any batching and on any number of workers, at every
//! tick they are what a computation from scratch gives.

use differential_dataflow::input::InputSession;
use groundswell_core::dataflow::at_each_tick;
use groundswell_core::id::{Names, PostKey, TextKey};
use groundswell_core::keywords::{EventsSpec, Keyword, about, searched, url_and_title};
use groundswell_core::record::{Entity, Envelope, Identity, Post, Record, TickBatch};
use groundswell_core::spec::{GraphSpec, LinkSpec, Measure, ViewSpec, WeightSpec, WindowSpec};
use groundswell_operators::dedupe::Duplicates;
use groundswell_operators::event::{Control, Event};
use groundswell_operators::graph::{Inputs, Plan, render};
use groundswell_operators::keywords::events::Event as Happening;
use groundswell_operators::keywords::search::{Dictionary, Match};
use groundswell_operators::stories::signature::Signature;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;

const MINUTE: i64 = 60_000;

fn spec() -> EventsSpec {
    EventsSpec {
        context: 12,
        max_distance: 8,
        keep: Some(30 * MINUTE),
        within: 10 * MINUTE,
        similarity: 500_000,
        ..EventsSpec::default()
    }
}

fn plan() -> Plan {
    let view = ViewSpec {
        name: "all".into(),
        group_by: Vec::new(),
        window: WindowSpec::Tumble { size: MINUTE },
        measures: vec![Measure::Posts],
        keep: None,
        extras: Default::default(),
    };
    let graph = GraphSpec {
        name: "events".into(),
        views: vec![view],
        link: LinkSpec::default(),
        weight: WeightSpec::Uniform,
        scoring: Default::default(),
        events: Some(spec()),
        ties: false,
        numbers: Vec::new(),
    };
    Plan::new(&graph, |_| false)
}

fn post(id: u8, at: i64, title: usize, text: &[&str], url: u8) -> Record {
    const TITLES: [&str; 6] = [
        "",
        "acme says its token launch is near",
        "acme says its token launch is very near",
        "beta says its token launch is very near",
        "what beta did about the TGE today",
        "TGE",
    ];
    let url = (url > 0).then(|| format!("https://example.com/{url}"));
    let extra = serde_json::json!({ "title": TITLES[title], "url": url });
    Record::Post(Post {
        id: format!("p{id}"),
        text: text.join(" "),
        created_at: at * MINUTE,
        extra: Some(extra.to_string()),
        ..Post::default()
    })
}

fn records() -> impl Strategy<Value = Record> {
    let words = prop::sample::select(vec![
        "TGE",
        "tge",
        "launch",
        "acme",
        "beta",
        "rumor",
        "of",
        "the",
        "long-winded",
        "token",
    ]);
    let phrases = prop::collection::vec(
        prop::sample::select(vec!["TGE", "token launch", "launch", "beta"]),
        1..3,
    );
    let exclude = prop::collection::vec(prop::sample::select(vec!["rumor", "the long"]), 0..2);
    let text = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let names = prop::sample::select(vec!["Acme", "Beta", "Long"]);
    prop_oneof![
        12 => (0..9_u8, 0..60_i64, 0..6_usize, prop::collection::vec(words, 0..8), 0..4_u8)
            .prop_map(|(id, at, title, text, url)| post(id, at, title, &text, url)),
        3 => (0..9_u8).prop_map(|id| Record::PostDeleted { id: format!("p{id}") }),
        3 => (0..2_u8, phrases, exclude).prop_map(move |(id, phrases, exclude)| Record::Keyword(Keyword {
            id: format!("k{id}"), phrases: text(phrases), exclude: text(exclude),
        })),
        1 => (0..2_u8).prop_map(|id| Record::KeywordDeleted { id: format!("k{id}") }),
        3 => (0..3_u8, names).prop_map(|(id, name)| Record::Entity(Entity {
            id: format!("e{id}"), name: name.to_owned(), ..Entity::default()
        })),
        1 => (0..3_u8).prop_map(|id| Record::EntityDeleted { id: format!("e{id}") }),
    ]
}

/// Ticks of records whose orders may be stale, and the minutes that pass between them.
fn history() -> impl Strategy<Value = Vec<TickBatch>> {
    let tick = (prop::collection::vec((records(), 0..6_u64), 0..8), 0..12_i64);
    prop::collection::vec(tick, 1..10).prop_map(|ticks| {
        let (mut clock, mut n) = (0, 0);
        let batch = |(tick, (records, minutes)): (u64, (Vec<(Record, u64)>, i64))| {
            clock += minutes * MINUTE;
            let records = records.into_iter().map(|(record, behind)| {
                n += 1;
                Envelope {
                    source: 0,
                    partition: 0,
                    offset: n,
                    order: n.saturating_sub(behind),
                    record,
                }
            });
            TickBatch {
                tick: tick * 10,
                clock,
                records: records.collect(),
                ..TickBatch::default()
            }
        };
        (1..).zip(ticks).map(batch).collect()
    })
}

/// What is told of an event: post, match, story, the post whose event stands for it.
type Told = (PostKey, Match, PostKey, PostKey);

/// From scratch, as of the last of some ticks.
fn oracle(ticks: &[TickBatch]) -> Vec<Told> {
    let mut newest = BTreeMap::<Identity, &Envelope>::new();
    for envelope in ticks.iter().flat_map(|t| &t.records) {
        let slot = newest.entry(envelope.record.identity()).or_insert(envelope);
        if envelope.rank() > slot.rank() {
            *slot = envelope;
        }
    }
    let clock = ticks.iter().map(|t| t.clock).max().unwrap();
    let all = || newest.values().map(|e| &e.record);
    let keywords = all().filter_map(|r| match r {
        Record::Keyword(k) => Some(k),
        _ => None,
    });
    let entities = all().filter_map(|r| match r {
        Record::Entity(e) => Some(e),
        _ => None,
    });
    let dictionary = Dictionary::build(keywords, entities, &spec());
    let posts = all().filter_map(|r| match r {
        Record::Post(p) if p.created_at + spec().keep.unwrap() > clock => Some(p),
        _ => None,
    });
    let mut posts: Vec<(i64, PostKey, &Post)> =
        posts.map(|p| (p.created_at, PostKey::of(p.id.as_bytes()), p)).collect();
    posts.sort_by_key(|(at, key, _)| (*at, *key));
    let mut beginnings: Vec<(i64, PostKey, Signature)> = Vec::new();
    let mut first = BTreeMap::new();
    let mut told = Vec::new();
    for (at, key, post) in posts {
        let about = about(post.extra.as_deref()).unwrap_or_default();
        let (url, title) = url_and_title(&about);
        let signature = Signature::of(url, title, spec().similarity);
        let near = beginnings.iter().filter(|(b, ..)| at - b <= spec().within);
        let story = near
            .clone()
            .find(|(.., s)| s.is_like(&signature, spec().similarity))
            .map(|b| b.1);
        if story.is_none() {
            beginnings.push((at, key, signature));
        }
        let story = story.unwrap_or(key);
        for found in dictionary.search(&searched(title, &post.text)) {
            let group = (found.keyword, found.entity, story, found.suppressed_by.0 != 0);
            let stands = *first.entry(group).or_insert(key);
            told.push((key, found, story, stands));
        }
    }
    told.sort();
    told
}

/// Every change that the graph tells, by tick.
fn run(ticks: &[TickBatch], workers: usize) -> Vec<(u64, Happening, isize)> {
    let (names, mut texts, mut fed) = (Names::default(), HashMap::<TextKey, Arc<str>>::new(), Vec::new());
    for batch in ticks {
        for (i, envelope) in batch.records.iter().enumerate() {
            let mut event = Event::of(envelope, &names).unwrap();
            if let (Record::Post(post), Event::Post(_, row)) = (&envelope.record, &mut event) {
                texts.insert(TextKey::of(post.text.as_bytes()), post.text.as_str().into());
                if let Some(about) = about(post.extra.as_deref()) {
                    row.set_about(TextKey::of(about.as_bytes()));
                    texts.insert(TextKey::of(about.as_bytes()), about.into());
                }
            }
            fed.push((batch.tick, i % workers, event));
        }
        fed.push((batch.tick, 0, Event::Control(Control::Clock(batch.clock))));
    }
    let end = ticks.last().map_or(1, |t| t.tick + 1);
    let (fed, texts, told) = (Arc::new(fed), Arc::new(texts), Arc::new(Mutex::new(Vec::new())));
    let out = Arc::clone(&told);
    timely::execute(timely::Config::process(workers), move |worker| {
        let (mut posts, mut control) = (InputSession::new(), InputSession::new());
        let probe = ProbeHandle::new();
        worker.dataflow(|scope| {
            let mut facts = InputSession::new();
            let inputs = Inputs {
                posts: posts.to_collection(scope),
                facts: facts.to_collection(scope),
                ties: None,
                control: control.to_collection(scope),
            };
            let texts = Arc::clone(&texts);
            let fetch = Arc::new(move |key| texts.get(&key).cloned());
            let outputs = render(&plan(), inputs, fetch, Duplicates::default());
            let out = Arc::clone(&out);
            at_each_tick(outputs.events.unwrap(), "Events", move |tick, batch| {
                out.lock()
                    .unwrap()
                    .extend(batch.into_iter().map(|(event, diff)| (tick, event, diff)));
            })
            .probe_with(&probe);
        });
        for (tick, at, event) in fed.iter() {
            if *posts.time() < *tick {
                posts.advance_to(*tick);
                control.advance_to(*tick);
                posts.flush();
                control.flush();
                worker.step();
            }
            match event {
                Event::Control(c) if worker.index() == 0 => control.update(c.clone(), 1isize),
                Event::Post(key, e) if worker.index() == *at => posts.update((*key, *e), 1isize),
                _ => {}
            }
        }
        posts.advance_to(end);
        control.advance_to(end);
        posts.flush();
        control.flush();
        worker.step_while(|| probe.less_than(&end));
    })
    .unwrap();
    std::mem::take(&mut *told.lock().unwrap())
}

fn cases() -> u32 {
    std::env::var("GROUNDSWELL_ORACLE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn events_are_those_from_scratch_at_every_tick(ticks in history(), workers in 1..4_usize) {
        let told = run(&ticks, workers);
        // What an event was before a tick, and is after it, is said once: sinks take back what was news by that.
        let mut said = BTreeMap::<(u64, u128, isize), usize>::new();
        for (at, event, diff) in &told {
            *said.entry((*at, event.id(), *diff)).or_default() += 1;
        }
        prop_assert!(said.iter().all(|((.., diff), n)| diff.abs() == 1 && *n == 1));
        for (n, tick) in ticks.iter().enumerate() {
            let mut net = BTreeMap::<Happening, isize>::new();
            for (_, event, diff) in told.iter().filter(|(at, ..)| *at <= tick.tick) {
                *net.entry(*event).or_default() += diff;
            }
            net.retain(|_, n| *n != 0);
            prop_assert!(net.values().all(|n| *n == 1));
            let mut now: Vec<Told> = net.keys().map(|e| (e.post, e.hit.found, e.story, e.stands)).collect();
            now.sort();
            prop_assert_eq!(now, oracle(&ticks[..=n]));
        }
    }
}
