//! Generated histories: posts, edits, deletions, votes, threads, entities, rules, scores and model switches over small sets
//! of ids, so that everything collides with everything; and the ways in which a history may be delivered.

use groundswell_core::erasure::{Erasure, Subject};
use groundswell_core::expr::{Baseline, Expr};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{CONTROL, Entity, Envelope, Past, Post, Record, Thread, TickBatch, Votes};
use groundswell_core::score::{PPM, Rung, Score};
use groundswell_core::spec::RuleSpec;
use groundswell_core::tie::{Tie, TieKind};
use groundswell_core::time::WEEK;
use proptest::prelude::*;

pub const T0: i64 = 1_700_000_040_000;
/// Where the clock of a history starts.
const CLOCK: i64 = T0 + 120_000;
const WORDS: [&str; 12] = [
    "ann", "bob", "Annabel", "good", "bad", "lee", "Ann Lee", "so", "ANN", "#Go", "#go", "@A1",
];

/// One input; its index in the history is its source offset.
#[derive(Clone, Debug)]
pub enum Step {
    Record(Box<Record>),
    /// The clock moves on by this (ms).
    Clock(i64),
}

pub type History = Vec<Step>;

fn recorded(record: Record) -> Step {
    Step::Record(Box::new(record))
}

fn id(prefix: char, n: usize) -> impl Strategy<Value = String> {
    (0..n).prop_map(move |i| format!("{prefix}{i}"))
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..4).prop_map(|words| words.join(" "))
}

fn time() -> impl Strategy<Value = i64> {
    // Some posts are of the same minutes of weeks before, for baselines.
    let weeks_before = (1i64..3, 0i64..8).prop_map(|(week, m)| T0 + m * 31_000 - week * WEEK);
    prop_oneof![
        16 => (0i64..8).prop_map(|m| T0 + m * 31_000),
        2 => Just(T0 - 900_000),
        2 => Just(T0 + 10_000_000),
        3 => weeks_before,
    ]
}

fn votes() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![2 => Just(None), 6 => (-3i64..40).prop_map(Some), 1 => Just(Some(1_000_000))]
}

/// The score of a text is a function of text and model, like a recorded fact.
pub fn fixed_score(text: &str, model: u8) -> Score {
    let hash = TextKey::of(format!("{model}{text}").as_bytes()).0;
    let positive = i32::try_from(hash % 600_000).unwrap();
    let negative = i32::try_from(hash / 7 % 400_001).unwrap();
    Score {
        positive,
        negative,
        neutral: PPM - positive - negative,
        toxic: i32::try_from(hash / 13 % 1_000_000).unwrap(),
        sarcastic: i32::try_from(hash / 17 % 1_000_000).unwrap(),
        is_toxic: hash.is_multiple_of(5),
        is_sarcastic: hash.is_multiple_of(7),
        emotion: u8::try_from(hash % 6).unwrap(),
        ..Score::default()
    }
}

/// An answer is a function of text, model and rung; whether the model has one is a function of the text.
fn fact(text: &str, m: u8, rung: u8) -> Record {
    let (key, model) = (TextKey::of(text.as_bytes()), model(m));
    let rung = if rung == 0 && text.len() % 5 == 1 { 3 } else { rung };
    let score = match rung {
        0 => fixed_score(text, m),
        1 => Score {
            rung: Rung::Http,
            ..fixed_score(text, m + 10)
        },
        2 => Score::neutral(),
        _ => return Record::Unscorable { text: key, model },
    };
    let text = key;
    Record::Score { text, model, score }
}

pub fn model(n: u8) -> ModelKey {
    ModelKey::of(&[n])
}

fn live_model(n: u8) -> Record {
    let (model, past) = (model(n), Past::default());
    Record::LiveModel { model, past }
}

fn post() -> impl Strategy<Value = Record> {
    let parent = prop::option::weighted(0.6, id('p', 8));
    let given = prop::option::weighted(0.1, (-PPM..PPM).prop_map(Score::given));
    (
        id('p', 8),
        id('t', 2),
        parent,
        prop::option::of(id('a', 3)),
        text(),
        votes(),
        time(),
        given,
        prop::option::weighted(0.2, id('p', 8)),
    )
        .prop_map(|(id, thread, parent, author, text, votes, created_at, score, on)| {
            Record::Post(Post {
                id,
                source: "s".into(),
                thread,
                parent,
                author,
                text,
                votes,
                observed_at: created_at,
                created_at,
                score,
                extra: on.map(|on| format!(r#"{{"original_post_id":"{on}"}}"#)),
                ..Post::default()
            })
        })
}

fn entity() -> impl Strategy<Value = Record> {
    (
        id('e', 3),
        prop::sample::select(&WORDS[..]),
        prop::collection::vec(prop::sample::select(&WORDS[..]), 0..3),
    )
        .prop_map(|(id, name, aliases)| {
            let aliases = aliases.into_iter().map(str::to_owned).collect();
            Record::Entity(Entity {
                id,
                name: name.into(),
                aliases,
                ..Entity::default()
            })
        })
}

/// A thread with some times, none, or gone.
fn thread(gone: f64) -> impl Strategy<Value = Record> {
    let time = || prop::option::weighted(0.7, (-2i64..14).prop_map(|n| T0 + n * 37_000));
    (id('t', 2), prop::bool::weighted(gone), time(), time()).prop_map(|(id, deleted, air_time, ends_at)| {
        Record::Thread(Thread {
            id,
            deleted,
            air_time,
            ends_at,
            ..Thread::default()
        })
    })
}

/// An author, a post or a thread is erased, or no more. Undone as often as not, so that some of everything stands.
fn erasure() -> impl Strategy<Value = Record> {
    let of = prop_oneof![
        2 => id('a', 3).prop_map(|id| Subject::author(&id)),
        2 => id('p', 8).prop_map(|id| Subject::post(&id)),
        1 => id('t', 2).prop_map(|id| Subject::thread(&id)),
    ];
    (of, any::<bool>()).prop_map(|(of, undo)| Record::Erasure(Erasure { of, undo }))
}

fn rule(views: &'static [&'static str]) -> impl Strategy<Value = Record> {
    let when = prop::sample::select(
        &[
            "sentiment < 0.1",
            "posts >= 2",
            "negative / posts > 0.4 and posts > 0",
            "posts < 2",
            "posts > previous(posts)",
            "sentiment < 0.5 * previous(sentiment, 1m) or posts > previous(posts, 2m)",
            "not (posts < baseline(posts))",
            "posts >= baseline(posts) and posts >= 1",
        ][..],
    );
    let clears = [
        "sentiment > 0.2",
        "posts < 2",
        "posts < previous(posts, 1m)",
        "posts < baseline(posts)",
    ];
    let clear = prop::option::of(prop::sample::select(clears.to_vec()));
    let view = prop::sample::select(views);
    (
        id('r', 2),
        view,
        when,
        clear,
        0..3i32,
        0..3i64,
        prop::sample::select(&[0i64, 1, 2, 30][..]),
        (
            prop::sample::select(&[0, 0, 0, 0, 1][..]),
            prop::sample::select(&[0, 0, 0, 0, 1][..]),
            1..3u8,
        ),
    )
        .prop_map(|(id, view, when, clear, min_posts, for_minutes, cooldown, more)| {
            let (min_authors, min_n_eff, weeks) = more;
            Record::Rule(RuleSpec {
                min_authors,
                min_n_eff,
                baseline: Baseline { weeks, min: 1 },
                clear: clear.map(|c| Expr::parse(c).unwrap()),
                min_posts,
                for_ms: for_minutes * 60_000,
                cooldown_ms: cooldown * 60_000,
                ..RuleSpec::new(&id, view, Expr::parse(when).unwrap())
            })
        })
}

/// What one of few users did with one of few posts, or whom they follow, or that it was undone.
fn tie() -> impl Strategy<Value = Record> {
    use TieKind::{Comment, Follow, Like, Repost, View};
    let kind = prop::sample::select(&[Like, Repost, Comment, View, Follow][..]);
    (id('a', 3), kind, 0..8usize, time(), prop::bool::weighted(0.3)).prop_map(|(user, kind, target, at, undone)| {
        Record::Tie(Tie {
            target: match kind {
                TieKind::Follow => format!("a{}", target % 3),
                _ => format!("p{target}"),
            },
            user,
            kind,
            at,
            undone,
        })
    })
}

/// Lets most facts be about texts of posts, two after each other about the same.
fn about_posts(steps: &mut [Step]) {
    let of_post = |step: &Step| match step {
        Step::Record(record) => match &**record {
            Record::Post(post) if !post.text.is_empty() => Some(post.text.clone()),
            _ => None,
        },
        Step::Clock(_) => None,
    };
    let texts: Vec<String> = steps.iter().filter_map(of_post).collect();
    let mut facts = 0;
    for step in steps {
        let Step::Record(record) = step else { continue };
        let (of, rung) = match &**record {
            Record::Score { model, score, .. } if score.rung == Rung::Http => (*model, 1),
            Record::Score { model, score, .. } if score.rung == Rung::Neutral => (*model, 2),
            Record::Score { model, .. } => (*model, 0),
            Record::Unscorable { model, .. } => (*model, 3),
            _ => continue,
        };
        if facts % 6 < 4 && !texts.is_empty() {
            let m = (0..3).find(|m| model(*m) == of).unwrap();
            **record = fact(&texts[facts / 2 % texts.len()], m, rung);
        }
        facts += 1;
    }
}

fn step() -> impl Strategy<Value = Step> {
    let votes = (id('p', 8), votes(), 0i64..6).prop_map(|(id, votes, at)| {
        Record::Votes(Votes {
            id,
            votes,
            observed_at: T0 + at * 40_000,
        })
    });
    let thread = thread(0.3);
    let rung = prop::sample::select(&[0u8, 0, 0, 1, 2, 3][..]);
    let fact = (text(), 0..3u8, rung).prop_map(|(text, m, rung)| fact(&text, m, rung));
    prop_oneof![
        12 => post().prop_map(recorded),
        2 => id('p', 8).prop_map(|id| recorded(Record::PostDeleted { id })),
        8 => votes.prop_map(recorded),
        8 => tie().prop_map(recorded),
        2 => thread.prop_map(recorded),
        2 => erasure().prop_map(recorded),
        4 => entity().prop_map(recorded),
        1 => id('e', 3).prop_map(|id| recorded(Record::EntityDeleted { id })),
        6 => rule(&["by_minute", "by_thread", "sliding", "kept", "kept_hop", "labels", "phases", "tags"]).prop_map(recorded),
        1 => id('r', 2).prop_map(|id| recorded(Record::RuleDeleted { id })),
        10 => fact.prop_map(recorded),
        2 => (0..3u8).prop_map(|m| recorded(live_model(m))),
        2 => (0i64..300_000).prop_map(Step::Clock),
        1 => prop_oneof![Just(3_600_000), Just(60_000)].prop_map(Step::Clock),
    ]
}

/// A history of up to `max` steps that starts with a live model.
pub fn history(max: usize) -> impl Strategy<Value = History> {
    prop::collection::vec(step(), 1..max).prop_map(|mut steps| {
        about_posts(&mut steps);
        steps.insert(0, recorded(live_model(0)));
        steps
    })
}

/// A history in which rules on views with retention fire, resolve and are forgotten: posts of a quarter of an hour that bring
/// their sentiment, edits, deletions, and a clock that passes over them.
pub fn alert_history(max: usize) -> impl Strategy<Value = History> {
    let post = (
        id('p', 16),
        id('t', 2),
        0i64..15,
        prop::sample::select(&[-900_000, -200_000, 100_000, 800_000][..]),
    );
    let post = post.prop_map(|(id, thread, minute, sentiment)| {
        Record::Post(Post {
            id,
            source: "s".into(),
            thread,
            created_at: T0 + minute * 60_000 + 7_000,
            observed_at: T0 + minute * 60_000 + 7_000,
            score: Some(Score::given(sentiment)),
            ..Post::default()
        })
    });
    let steps = prop_oneof![
        10 => post.prop_map(recorded),
        2 => id('p', 16).prop_map(|id| recorded(Record::PostDeleted { id })),
        2 => rule(&["kept", "kept_hop"]).prop_map(recorded),
        1 => id('r', 2).prop_map(|id| recorded(Record::RuleDeleted { id })),
        6 => (10_000i64..100_000).prop_map(Step::Clock),
        1 => Just(Step::Clock(400_000)),
    ];
    let rules = prop::collection::vec(rule(&["kept", "kept_hop"]), 2);
    (rules, prop::collection::vec(steps, 1..max)).prop_map(|(rules, steps)| {
        let rules = rules.into_iter().map(recorded);
        rules.chain(steps).collect()
    })
}

/// A history for views that all have a `keep`: what [`alert_history`] has, votes, deleted threads and entities too, posts
/// with words and parents. A post is written when it is written, whatever its record says later, and nothing comes before.
pub fn forgetful_history(max: usize) -> impl Strategy<Value = History> {
    let votes = (id('p', 16), votes(), 0i64..20).prop_map(|(id, votes, at)| {
        Record::Votes(Votes {
            id,
            votes,
            observed_at: T0 + at * 60_000,
        })
    });
    let thread = thread(0.2);
    let more = prop_oneof![4 => votes, 2 => thread, 1 => erasure(), 2 => entity()].prop_map(recorded);
    let more = prop::collection::vec((any::<prop::sample::Index>(), more), 0..max / 3);
    let words = prop::collection::vec((prop::option::weighted(0.7, id('p', 16)), text()), max + max / 3);
    (alert_history(max), more, words).prop_map(|(mut steps, more, words)| {
        for (at, step) in more {
            steps.insert(at.index(steps.len()), step);
        }
        let mut clock = CLOCK;
        let mut out = History::new();
        for (mut step, (parent, text)) in steps.into_iter().zip(words) {
            match &mut step {
                Step::Clock(by) => clock += *by,
                Step::Record(record) => match &mut **record {
                    Record::Post(post) => {
                        post.created_at = written_at(&post.id);
                        (post.parent, post.text) = (parent, text);
                        if post.created_at > clock {
                            out.push(Step::Clock(post.created_at - clock));
                            clock = post.created_at;
                        }
                    }
                    Record::Votes(Votes { id, .. }) | Record::PostDeleted { id } if written_at(id) > clock => continue,
                    Record::Votes(votes) => votes.observed_at = votes.observed_at.max(written_at(&votes.id)),
                    _ => {}
                },
            }
            out.push(step);
        }
        out
    })
}

fn written_at(post: &str) -> i64 {
    T0 + i64::from(post.as_bytes()[post.len() - 1]) * 7 % 15 * 60_000 + 7_000
}

/// How a history reaches the engine: in which order, how often, cut into which ticks.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Indices into the history, each at least once.
    order: Vec<usize>,
    /// Where a tick ends: after these positions of `order`.
    cuts: Vec<bool>,
}

/// Any order with duplicates and any batching.
pub fn delivery(len: usize) -> impl Strategy<Value = Delivery> {
    let all: Vec<usize> = (0..len).collect();
    let again = prop::collection::vec(0..len, 0..len);
    (again, any::<prop::sample::Index>()).prop_flat_map(move |(again, _)| {
        let order: Vec<usize> = all.iter().copied().chain(again).collect();
        let n = order.len();
        (
            Just(order).prop_shuffle(),
            prop::collection::vec(prop::bool::weighted(0.2), n),
        )
            .prop_map(|(order, cuts)| Delivery { order, cuts })
    })
}

impl Delivery {
    /// As written, one tick per step.
    pub fn natural(len: usize) -> Delivery {
        Delivery {
            order: (0..len).collect(),
            cuts: vec![true; len],
        }
    }

    /// As written, all in one tick but for what must not share one.
    pub fn one_tick(&self, history: &History) -> Vec<TickBatch> {
        Delivery {
            order: self.order.clone(),
            cuts: vec![false; self.order.len()],
        }
        .ticks(history)
    }

    /// The ticks. Model switches come from the engine itself, in their own order and never two in one tick; the clock is
    /// the sum of what has been passed and ends the same whatever the order, because every step is delivered.
    pub fn ticks(&self, history: &History) -> Vec<TickBatch> {
        let switches: Vec<usize> = (0..history.len())
            .filter(|i| matches!(&history[*i], Step::Record(r) if matches!(**r, Record::LiveModel { .. })))
            .collect();
        let (mut next_switch, mut seen) = (0, vec![false; history.len()]);
        let mut clock = CLOCK;
        let mut ticks = vec![TickBatch {
            tick: 1,
            clock,
            ..TickBatch::default()
        }];
        for (place, cut) in self.order.iter().zip(&self.cuts) {
            let first = !std::mem::replace(&mut seen[*place], true);
            let batch = ticks.last_mut().unwrap();
            match &history[*place] {
                Step::Clock(by) if first => {
                    clock += by;
                    batch.clock = clock;
                }
                Step::Clock(_) => {}
                Step::Record(r) if matches!(**r, Record::LiveModel { .. }) && !first => {}
                Step::Record(r) if matches!(**r, Record::LiveModel { .. }) => {
                    let index = switches[next_switch];
                    next_switch += 1;
                    let Step::Record(record) = &history[index] else {
                        unreachable!()
                    };
                    if batch
                        .records
                        .iter()
                        .any(|e| matches!(e.record, Record::LiveModel { .. }))
                    {
                        let tick = batch.tick + 1;
                        ticks.push(TickBatch {
                            tick,
                            clock,
                            ..TickBatch::default()
                        });
                    }
                    ticks.last_mut().unwrap().records.push(envelope(index, record));
                }
                Step::Record(record) => batch.records.push(envelope(*place, record)),
            }
            if *cut {
                let tick = ticks.last().unwrap().tick + 1;
                ticks.push(TickBatch {
                    tick,
                    clock,
                    ..TickBatch::default()
                });
            }
        }
        ticks
    }
}

/// Every other rule is one of the pipeline file.
fn envelope(index: usize, record: &Record) -> Envelope {
    let offset = index as u64;
    let of_file = matches!(record, Record::Rule(_) | Record::RuleDeleted { .. }) && index.is_multiple_of(2);
    Envelope {
        source: if of_file { CONTROL } else { 0 },
        partition: 0,
        offset,
        order: offset,
        record: record.clone(),
    }
}

/// A rule before any event time is known, then minute after minute one post it dislikes, with the clock at the post.
pub fn one_bad_post_a_minute(minutes: i64) -> Vec<TickBatch> {
    let rule = RuleSpec {
        clear: Some(Expr::parse("sentiment > 0.3").unwrap()),
        ..RuleSpec::new("r", "kept", Expr::parse("sentiment < -0.3").unwrap())
    };
    let mut ticks = vec![TickBatch {
        tick: 1,
        clock: i64::MIN,
        records: vec![envelope(0, &Record::Rule(rule))],
        ..TickBatch::default()
    }];
    for minute in 0..minutes {
        let created_at = T0 + 20_000 + minute * 60_000;
        let score = Some(Score::given(-900_000));
        let post = Post {
            id: format!("p{minute}"),
            source: "s".into(),
            created_at,
            score,
            ..Post::default()
        };
        let index = usize::try_from(minute).unwrap() + 1;
        let records = vec![envelope(index, &Record::Post(post))];
        ticks.push(TickBatch {
            tick: 1 + index as u64,
            clock: created_at,
            records,
            ..TickBatch::default()
        });
    }
    ticks
}
