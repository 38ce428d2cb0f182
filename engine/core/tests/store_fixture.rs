//! A state folder of every released format must keep restoring. The folders are committed; this build's own is written by
//! `cargo test --release -p groundswell-core --test store_fixture -- --ignored` and never again once it is released.

use groundswell_core::expr::Expr;
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::record::{
    Binding, DeadLetter, Entity, Envelope, Header, Past, Post, Record, Thread, TickBatch, Votes,
};
use groundswell_core::score::{Rung, Score};
use groundswell_core::spec::RuleSpec;
use groundswell_core::store::{FORMAT, Store, StoreOptions, inspect, verify};
use std::path::{Path, PathBuf};

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/state-v{format}"))
}

fn batch(tick: u64, records: Vec<Record>) -> TickBatch {
    let envelope = |(i, record)| Envelope {
        source: 1,
        partition: 2,
        offset: i as u64,
        order: tick * 100 + i as u64,
        record,
    };
    TickBatch {
        tick,
        clock: -5 + tick as i64,
        bindings: vec![Binding {
            source: 1,
            partition: 2,
            next: tick * 100,
        }],
        records: records.into_iter().enumerate().map(envelope).collect(),
    }
}

fn score() -> Score {
    Score {
        positive: 700_000,
        neutral: 200_000,
        negative: 100_000,
        toxic: 1,
        sarcastic: 2,
        emotion: 4,
        is_toxic: true,
        is_sarcastic: false,
        rung: Rung::Given,
    }
}

/// The first three ticks are folded, the last two are log.
fn history(format: u32) -> Vec<TickBatch> {
    let post = Post {
        id: "t1_a".into(),
        source: "reddit:nba".into(),
        thread: "t3_x".into(),
        parent: Some(String::new()),
        author: Some("zoë".into()),
        text: "what a \u{1F3C0} \0 game".into(),
        votes: Some(-3),
        observed_at: i64::MAX,
        created_at: i64::MIN,
        score: Some(score()),
        extra: Some("{\"flair\":\"x\"}".into()),
        ..Post::default()
    };
    let rule = RuleSpec {
        clear: Some(Expr::parse("sentiment > -0.2").expect("parses")),
        min_posts: 20,
        for_ms: 60_000,
        ..RuleSpec::new(
            "slump",
            "per_player",
            Expr::parse("sentiment < -0.3 and posts >= 20").expect("parses"),
        )
    };
    let entity = Entity {
        id: "lebron".into(),
        name: "LeBron James".into(),
        aliases: vec!["King James".into()],
        kind: "player".into(),
        exclude: vec!["king james bible".into()],
    };
    let thread = Thread {
        id: "t3_x".into(),
        title: "Game 7".into(),
        air_time: Some(1),
        ends_at: None,
        deleted: false,
    };
    let (text, model) = (TextKey::of(b"what a game"), ModelKey::of(b"model"));
    let dead = DeadLetter {
        stage: "decode".into(),
        code: "invalid_json".into(),
        message: "expected value at line 1".into(),
        payload: vec![0xFF, 0, 1],
        key: b"k".to_vec(),
        ..DeadLetter::default()
    };
    // Format 1 has no room for these.
    let received = DeadLetter {
        written_at: Some(-7),
        headers: vec![
            Header {
                name: "trace".into(),
                value: Some(b"zo\xC3\xAB".as_slice().into()),
            },
            Header {
                name: "raw".into(),
                value: Some([0xFF, 0].as_slice().into()),
            },
            Header::default(),
        ],
        ..dead.clone()
    };
    let last = if format == 1 { dead.clone() } else { received };
    let observed = |votes, observed_at| {
        Record::Votes(Votes {
            id: "t1_a".into(),
            votes,
            observed_at,
        })
    };
    vec![
        batch(
            10,
            vec![
                Record::Post(Post {
                    text: "superseded".into(),
                    ..post.clone()
                }),
                Record::Dead(dead.clone()),
            ],
        ),
        batch(
            11,
            vec![
                Record::Post(post),
                observed(Some(7), 20),
                observed(None, 30),
                Record::Thread(thread.clone()),
            ],
        ),
        batch(
            12,
            vec![
                Record::Entity(entity),
                Record::Rule(rule),
                Record::Score {
                    text,
                    model,
                    score: score(),
                },
                Record::LiveModel {
                    model,
                    past: Past::default(),
                },
                Record::PostDeleted { id: "t1_gone".into() },
            ],
        ),
        batch(
            20,
            vec![
                Record::Unscorable {
                    text: TextKey::of(b""),
                    model,
                },
                Record::Dead(last),
                observed(Some(9), 40),
            ],
        ),
        batch(
            21,
            vec![
                Record::Thread(Thread {
                    deleted: true,
                    ..thread
                }),
                Record::EntityDeleted { id: "lebron".into() },
                Record::RuleDeleted { id: "slump".into() },
                Record::Post(Post {
                    id: "t1_plain".into(),
                    ..Post::default()
                }),
            ],
        ),
    ]
}

/// What restoring gives: the winners of the folded ticks in order, then the log as it was.
fn restored(format: u32) -> Vec<TickBatch> {
    let history = history(format);
    let won = |b: &TickBatch, rows: &[usize]| rows.iter().map(|&r| b.records[r].clone()).collect::<Vec<_>>();
    let snapshot = [won(&history[1], &[0, 2, 3]), won(&history[2], &[0, 1, 2, 3, 4])].concat();
    let mut batches = vec![TickBatch {
        records: snapshot,
        ..history[2].clone()
    }];
    batches.extend_from_slice(&history[3..]);
    batches
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("the fixture is committed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn format_1_restores() {
    restores(1);
}

#[test]
fn format_2_restores() {
    restores(2);
}

#[test]
fn format_3_restores() {
    restores(3);
}

fn restores(format: u32) {
    let url = fixture(format).display().to_string();
    let verification = verify(&url).expect("readable");
    assert!(verification.is_ok() && verification.leftovers == 0, "{verification:?}");
    let inspection = inspect(&url).expect("readable");
    assert_eq!(
        (inspection.format, inspection.upper, inspection.clock),
        (format, Some(21), Some(16))
    );
    assert_eq!(
        inspection.bindings,
        [Binding {
            source: 1,
            partition: 2,
            next: 2_100
        }]
    );

    let copied = tempfile::tempdir().expect("folder");
    copy(&fixture(format), copied.path());
    let options = StoreOptions::new(copied.path().display().to_string());
    let (mut store, restore) = Store::open(options).expect("opened");
    assert_eq!(restore.bindings, inspection.bindings);
    let batches = restore.collect::<Result<Vec<_>, _>>().expect("readable");
    assert_eq!(batches, restored(format));
    store.append(&batch(22, vec![])).expect("and can be continued");
    store.fold_now().expect("and folded");
    drop(store);
    let written = inspect(&copied.path().display().to_string()).expect("readable").format;
    assert_eq!(written, FORMAT, "what older builds cannot read says so");
    let (_, restore) = Store::open(StoreOptions::new(copied.path().display().to_string())).expect("opened again");
    let folded = restore.collect::<Result<Vec<_>, _>>().expect("readable");
    let kept = |batches: &[TickBatch]| batches.iter().map(|b| b.records.len()).sum::<usize>();
    // Dead letters are not folded; votes, thread, entity and rule of the log replace those of the snapshot.
    assert_eq!(kept(&folded), kept(&batches) - 5);
}

#[test]
#[ignore = "writes the fixture of the format under development"]
fn write_the_fixture() {
    let folder = fixture(FORMAT);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    let (mut store, restore) = Store::open(StoreOptions::new(folder.display().to_string())).expect("opened");
    drop(restore);
    for (i, batch) in history(FORMAT).iter().enumerate() {
        store.append(batch).expect("appended");
        if i == 2 {
            store.fold_now().expect("folded");
        }
    }
    drop(store);
    std::fs::remove_file(folder.join("LOCK")).expect("removed");
}
