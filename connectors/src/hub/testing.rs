//! Small histories for the tests of the hub and of what serves it.
#![allow(missing_docs)]

use super::render::Lookup;
use super::{Hub, HubLimits, HubOptions};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::{Dim, Names, PostKey, TextKey};
use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::score::{Label, Score};
use groundswell_core::serving::{
    AlertChange, AlertState, Cause, Evidence, LivePost, Mention, PostChange, RowChange, TickChanges,
};
use groundswell_core::spec::{GroupColumn, Measure, Method, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const THREADS: [&str; 3] = ["t1", "t2", "thread/three é"];
pub const ENTITIES: [&str; 4] = ["curry", "lebron", "draymond", "klay"];

pub fn texts() -> Arc<Texts> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Arc::new(Texts::create(folder.path(), 1 << 20).expect("created"))
}

pub fn lookup() -> Lookup {
    Lookup {
        names: Arc::new(Names::default()),
        texts: texts(),
        post_ids: Arc::new(|_| None),
    }
}

pub fn spec(name: &str, window: WindowSpec) -> ViewSpec {
    ViewSpec {
        name: name.into(),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window,
        measures: Measure::ALL.to_vec(),
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    }
}

pub fn post(created_at: EventTime) -> LivePost {
    LivePost {
        text: TextKey::of(&created_at.to_le_bytes()),
        thread: Dim::of(THREADS[0]),
        author: Dim::NONE,
        source: Dim::NONE,
        created_at,
        votes: Some(3),
        weight: UNIT,
        score: Some(Score::given(250_000)),
        mentions: [Mention {
            entity: Dim::of(ENTITIES[0]),
            confidence: 950_000,
            method: Method::Exact,
        }]
        .into_iter()
        .collect(),
    }
}

pub fn alert(id: u128, state: AlertState, at: Tick) -> AlertChange {
    AlertChange {
        id,
        rule: "backlash".into(),
        state,
        cause: Cause::Data,
        view: "by_minute".into(),
        key: ViewKey {
            group: [Dim::of(THREADS[0]), Dim::of(ENTITIES[0]), Dim::NONE, Dim::NONE],
            start: 0,
        },
        window_end: 60_000,
        resolved: None,
        value: Some(-0.5),
        threshold: Some(-0.3),
        authors: 0,
        sums: Default::default(),
        muted: false,
        posts: 20,
        at,
        evidence: vec![Evidence {
            post: PostKey::of(b"p0"),
            weight: 2 * UNIT,
            sentiment: -900_000,
            influence: -100_000,
        }],
    }
}

/// Companies, their ids, keywords and outlets of events.
const ABOUT: [[&str; 2]; 4] = [
    ["Example Corp", "Other Corp"],
    ["example", "other"],
    ["tge", "listing"],
    ["outlet", "another"],
];

/// An event that is news; what varies is up to its number.
pub fn event(n: u8) -> KeywordEvent {
    let [company, entity, keyword, source] = ABOUT.map(|names| names[usize::from(n) % 2]);
    KeywordEvent {
        post: format!("p{n}").into(),
        keyword: keyword.into(),
        entity: Some(entity.into()),
        company: Some(company.into()),
        matched: "TGE <b>".into(),
        span: (4, 11),
        context: "the TGE <b>".into(),
        confidence: 850_000 + 10_000 * i32::from(n),
        suppressed_by: None,
        story: "p0".into(),
        duplicate_of: None,
        source: (source.into(), Dim::of(source)),
        entity_dim: Dim::of(entity),
        title: None,
        url: Some("https://example.com/a".into()),
        created_at: 600_000 * i64::from(n),
    }
}

pub const VIEWS: [&str; 2] = ["by_minute", "last_five"];

pub fn hub(limits: HubLimits) -> Hub {
    let names = Arc::new(Names::default());
    for name in THREADS.iter().chain(&ENTITIES) {
        names.intern(name).expect("no collision");
    }
    let texts = texts();
    let all: Vec<String> = (0..POSTS).map(|i| format!("text of post {i} <b>&")).collect();
    texts
        .put(all.iter().map(|t| (TextKey::of(t.as_bytes()), 0, t.as_str())))
        .expect("written");
    let ids: hashbrown::HashMap<PostKey, Arc<str>> = (0..POSTS)
        .map(|i| (PostKey::of(format!("p{i}").as_bytes()), Arc::from(format!("p{i}"))))
        .collect();
    Hub::new(HubOptions {
        views: vec![
            spec(VIEWS[0], WindowSpec::Tumble { size: 60_000 }),
            spec(
                VIEWS[1],
                WindowSpec::Sliding {
                    size: 300_000,
                    every: 60_000,
                },
            ),
        ],
        names,
        texts,
        post_ids: Arc::new(move |key| ids.get(&key).cloned()),
        limits,
        k_anonymity: None,
        feeds: None,
        events: true,
    })
}

const POSTS: u32 = 40;

/// Random changes, one tick after the other.
pub struct History {
    rng: StdRng,
    pub tick: Tick,
    /// Events that are news.
    news: BTreeSet<u128>,
}

impl History {
    pub fn new(seed: u64) -> Self {
        History {
            rng: StdRng::seed_from_u64(seed),
            tick: 1_000_000,
            news: BTreeSet::new(),
        }
    }

    /// Events that come, change and go, and now and then only move in time.
    fn events(&mut self) -> Vec<EventChange> {
        let rng = &mut self.rng;
        let mut changes = BTreeMap::new();
        for _ in 0..rng.random_range(0..4) {
            let n = rng.random_range(0..14_u8);
            let event = rng.random_bool(0.75).then(|| {
                let mut event = event(rng.random_range(n..n + 2));
                event.suppressed_by = rng.random_bool(0.2).then(|| "rumor".into());
                event.duplicate_of = rng.random_bool(0.2).then_some(99);
                Arc::new(event)
            });
            changes.insert(u128::from(n), event);
        }
        let change = |(id, event): (u128, Option<Arc<KeywordEvent>>)| {
            let was_news = self.news.remove(&id);
            if event.as_ref().is_some_and(|event| event.is_news()) {
                self.news.insert(id);
            }
            EventChange { id, event, was_news }
        };
        changes.into_iter().map(change).collect()
    }

    pub fn next(&mut self) -> TickChanges {
        let rng = &mut self.rng;
        self.tick += rng.random_range(1..5_000);
        let row = |rng: &mut StdRng, windows: i64| {
            let dim = |names: &[&str], rng: &mut StdRng| Dim::of(names[rng.random_range(0..names.len())]);
            let group = [dim(&THREADS, rng), dim(&ENTITIES, rng), Dim::NONE, Dim::NONE];
            let key = ViewKey {
                group,
                start: 60_000 * rng.random_range(0..windows),
            };
            let mut acc = Acc::scored(
                rng.random_range(UNIT..9 * UNIT),
                rng.random_range(-1_000_000..=1_000_000),
                Label::Neutral,
                false,
                true,
            );
            acc.posts = rng.random_range(1..100);
            RowChange {
                key,
                acc: rng.random_bool(0.75).then_some(acc),
                numbers: None,
                revision: 0,
            }
        };
        let mut views = Vec::new();
        for windows in [8, 1] {
            let changed = rng.random_range(0..6);
            let mut rows: Vec<RowChange> = (0..changed).map(|_| row(rng, windows)).collect();
            rows.sort_by_key(|r| r.key);
            rows.dedup_by_key(|r| r.key);
            views.push(rows);
        }
        let posts = (0..rng.random_range(0..3))
            .map(|_| {
                let i = rng.random_range(0..POSTS);
                let mut live = post(i64::from(i) * 1_000);
                live.text = TextKey::of(format!("text of post {i} <b>&").as_bytes());
                live.votes = rng.random_bool(0.8).then(|| rng.random_range(-5..500));
                live.thread = Dim::of(THREADS[rng.random_range(0..THREADS.len())]);
                PostChange {
                    key: PostKey::of(format!("p{i}").as_bytes()),
                    post: rng.random_bool(0.8).then_some(live),
                }
            })
            .fold(Vec::<PostChange>::new(), |mut all, change| {
                all.retain(|c| c.key != change.key);
                all.push(change);
                all
            });
        let states = [AlertState::Firing, AlertState::Resolved, AlertState::Retracted];
        let alerts = if rng.random_bool(0.3) {
            vec![alert(rng.random_range(0..6), states[rng.random_range(0..3)], self.tick)]
        } else {
            Vec::new()
        };
        let clock = i64::try_from(self.tick).expect("small");
        TickChanges {
            tick: self.tick,
            clock,
            views,
            posts,
            alerts,
            events: self.events(),
            ..TickChanges::default()
        }
    }
}
