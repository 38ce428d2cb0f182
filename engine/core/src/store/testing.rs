//! Records for the store's tests: hand-made ones, and generators that reach into the corners.
#![allow(clippy::unwrap_used)]

use crate::erasure::{Erasure, Subject};
use crate::expr::Expr;
use crate::id::{Dim, ModelKey, PostKey, TextKey};
use crate::record::{
    AlertFloor, Author, Binding, Carried, DeadLetter, Entity, Envelope, Header, HeaderValue, Past, Post, Record,
    Thread, TickBatch, Votes,
};
use crate::score::{Rung, Score};
use crate::spec::RuleSpec;
use crate::tie::{Tie, TieKind};
use crate::time::EventTime;
use proptest::prelude::*;
use proptest::{collection, option};

pub(super) fn envelope(order: u64, record: Record) -> Envelope {
    Envelope {
        source: 1,
        partition: 0,
        offset: order,
        order,
        record,
    }
}

pub(super) fn post(order: u64, id: &str, text: &str) -> Envelope {
    let post = Post {
        id: id.into(),
        text: text.into(),
        ..Post::default()
    };
    envelope(order, Record::Post(post))
}

pub(super) fn votes(order: u64, id: &str, votes: Option<i64>, observed_at: EventTime) -> Envelope {
    envelope(
        order,
        Record::Votes(Votes {
            id: id.into(),
            votes,
            observed_at,
        }),
    )
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\0".to_owned()),
        Just("zoë \u{1F600}\u{0}\u{FFFD}".to_owned()),
        "[a-c]{1,2}",
        collection::vec(any::<char>(), 0..24).prop_map(String::from_iter),
    ]
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), -3..3_i64, any::<i64>()]
}

fn scores() -> impl Strategy<Value = Score> {
    (any::<[i32; 5]>(), any::<u8>(), any::<[bool; 3]>()).prop_map(|(p, emotion, [is_toxic, is_sarcastic, given])| {
        let [positive, neutral, negative, toxic, sarcastic] = p;
        let rung = if given { Rung::Given } else { Rung::Local };
        Score {
            positive,
            neutral,
            negative,
            toxic,
            sarcastic,
            emotion,
            is_toxic,
            is_sarcastic,
            rung,
        }
    })
}

fn posts() -> impl Strategy<Value = Record> {
    let names = (strings(), strings(), strings(), strings());
    let options = (option::of(strings()), option::of(strings()), option::of(strings()));
    (
        names,
        options,
        option::of(numbers()),
        numbers(),
        numbers(),
        option::of(scores()),
    )
        .prop_map(
            |((id, source, thread, text), (parent, author, extra), votes, observed_at, created_at, score)| {
                Record::Post(Post {
                    id,
                    source,
                    thread,
                    parent,
                    author,
                    text,
                    votes,
                    observed_at,
                    created_at,
                    score,
                    extra,
                    ..Post::default()
                })
            },
        )
}

fn rules() -> impl Strategy<Value = Record> {
    let conditions = prop::sample::select(vec![
        "sentiment < -0.3 and posts >= 20",
        "posts > 1",
        "toxic/posts > 0.25",
    ]);
    let when = (conditions.clone(), option::of(conditions));
    let more = (any::<i32>(), any::<i32>(), any::<(u8, u8)>());
    (strings(), strings(), when, any::<i32>(), numbers(), numbers(), more).prop_map(
        |(id, view, (when, clear), min_posts, for_ms, cooldown_ms, (min_authors, min_n_eff, (weeks, min)))| {
            let when = Expr::parse(when).unwrap();
            let clear = clear.map(|c| Expr::parse(c).unwrap());
            Record::Rule(RuleSpec {
                id,
                view,
                when,
                clear,
                min_posts,
                for_ms,
                cooldown_ms,
                min_authors,
                min_n_eff,
                baseline: crate::expr::Baseline { weeks, min },
            })
        },
    )
}

fn dead_letters() -> impl Strategy<Value = Record> {
    let bytes = || collection::vec(any::<u8>(), 0..20);
    let value = || option::of(bytes()).prop_map(|v| v.map(|v| HeaderValue::from(v.as_slice())));
    let header = || (strings(), value()).prop_map(|(name, value)| Header { name, value });
    let received = || (option::of(any::<i64>()), collection::vec(header(), 0..3));
    (
        strings(),
        strings(),
        strings(),
        bytes(),
        bytes(),
        option::of(strings()),
        received(),
        (0..3_u32, option::of((0..2_u128).prop_map(ModelKey))),
    )
        .prop_map(
            |(stage, code, message, payload, key, id, (written_at, headers), (replays, model))| {
                Record::Dead(DeadLetter {
                    stage,
                    code,
                    message,
                    payload,
                    key,
                    id,
                    written_at,
                    headers,
                    replays,
                    model,
                })
            },
        )
}

fn erasures() -> impl Strategy<Value = Record> {
    let of = || {
        prop_oneof![
            2 => strings().prop_map(|id| Subject::author(&id)),
            2 => strings().prop_map(|id| Subject::thread(&id)),
            2 => strings().prop_map(|id| Subject::post(&id)),
            1 => any::<u64>().prop_map(|id| Subject::Author(Dim(id))),
            1 => any::<u128>().prop_map(|key| Subject::Post(PostKey(key))),
        ]
    };
    prop_oneof![
        (of(), any::<bool>()).prop_map(|(of, undo)| Record::Erasure(Erasure { of, undo })),
        of().prop_map(Record::Purged),
    ]
}

pub(super) fn records() -> impl Strategy<Value = Record> {
    let keys = || (0..3_u128, 0..2_u128).prop_map(|(t, m)| (TextKey(u128::MAX - t), ModelKey(m << 77)));
    let names = || collection::vec(strings(), 0..3);
    prop_oneof![
        4 => posts(),
        1 => strings().prop_map(|id| Record::PostDeleted { id }),
        3 => (strings(), option::of(numbers()), numbers())
            .prop_map(|(id, votes, observed_at)| Record::Votes(Votes { id, votes, observed_at })),
        1 => (strings(), strings(), option::of(numbers()), option::of(numbers()), any::<bool>())
            .prop_map(|(id, title, air_time, ends_at, deleted)| Record::Thread(Thread {
                id, title, air_time, ends_at, deleted,
            })),
        1 => (strings(), strings(), names(), strings(), names())
            .prop_map(|(id, name, aliases, kind, exclude)| Record::Entity(Entity { id, name, aliases, kind, exclude })),
        1 => strings().prop_map(|id| Record::EntityDeleted { id }),
        1 => rules(),
        1 => strings().prop_map(|id| Record::RuleDeleted { id }),
        1 => (strings(), names(), names())
            .prop_map(|(id, phrases, exclude)| Record::Keyword(crate::keywords::Keyword { id, phrases, exclude })),
        1 => strings().prop_map(|id| Record::KeywordDeleted { id }),
        2 => (keys(), scores()).prop_map(|((text, model), score)| Record::Score { text, model, score }),
        1 => keys().prop_map(|(text, model)| Record::Unscorable { text, model }),
        1 => keys().prop_map(|(_, model)| Record::LiveModel { model, past: Past::default() }),
        1 => (keys(), collection::vec(any::<u128>(), 0..3)).prop_map(|((_, model), before)| Record::LiveModel {
            model, past: Past { before: before.into_iter().map(ModelKey).collect(), configured: Some(model) },
        }),
        1 => (strings(), any::<i64>(), option::of(strings()))
            .prop_map(|(id, observed_at, numbers)| Record::Author(Author { id, observed_at, numbers })),
        2 => (strings(), strings(), 0..4_usize, numbers(), any::<bool>()).prop_map(|(user, target, kind, at, undone)| {
            let kind = TieKind::WITH_POSTS.get(kind).copied().unwrap_or(TieKind::Follow);
            Record::Tie(Tie { user, kind, target, at, undone })
        }),
        2 => erasures(),
        1 => (0..3_u128, any::<bool>()).prop_map(|(id, muted)| Record::AlertMuted { id: id << 99, muted }),
        1 => dead_letters(),
        1 => (strings(), any::<u64>(), numbers(), option::of(numbers()), option::of(numbers()))
            .prop_map(|(key, shape, up_to, since, fired)| Record::AlertFloor(AlertFloor {
                key, shape, up_to, state: Carried { since, fired, quiet_until: None },
            })),
    ]
}

pub(super) fn envelopes() -> impl Strategy<Value = Envelope> {
    let order = prop_oneof![0..5_u64, Just(u64::MAX), any::<u64>()];
    (any::<u16>(), any::<u32>(), any::<u64>(), order, records()).prop_map(
        |(source, partition, offset, order, record)| Envelope {
            source,
            partition,
            offset,
            order,
            record,
        },
    )
}

fn bindings() -> impl Strategy<Value = Vec<Binding>> {
    let binding = (0..3_u16, 0..2_u32, any::<u64>()).prop_map(|(source, partition, next)| Binding {
        source,
        partition,
        next,
    });
    collection::vec(binding, 0..4)
}

pub(super) fn batches() -> impl Strategy<Value = TickBatch> {
    (any::<u64>(), numbers(), bindings(), collection::vec(envelopes(), 0..30)).prop_map(
        |(tick, clock, bindings, records)| TickBatch {
            tick,
            clock,
            bindings,
            records,
        },
    )
}

/// A history: ticks ascend, the clock never goes back.
pub(super) fn histories(ticks: usize) -> impl Strategy<Value = Vec<TickBatch>> {
    collection::vec((1..1_000_u64, 0..50_i64, batches()), 1..ticks).prop_map(|steps| {
        let (mut tick, mut clock) = (0, -20);
        let at = |(step, later, batch): (u64, i64, TickBatch)| {
            tick += step;
            clock += later;
            TickBatch { tick, clock, ..batch }
        };
        steps.into_iter().map(at).collect()
    })
}
