//! Folds leave nothing of what is erased.

use super::*;
use crate::erasure::{Erasure, Subject};
use crate::record::{Author, Post, Thread};
use crate::tie::{Tie, TieKind};

fn written(offset: u64, id: &str, author: &str, thread: &str) -> Envelope {
    let post = Post {
        id: id.into(),
        author: Some(author.into()),
        thread: thread.into(),
        text: format!("words of {id}"),
        extra: Some(format!(r#"{{"url":"http://{id}.example","title":"about {id}"}}"#)),
        ..Post::default()
    };
    envelope(offset, Record::Post(post))
}

fn tie(offset: u64, user: &str, kind: TieKind, target: &str) -> Envelope {
    let (user, target) = (user.to_owned(), target.to_owned());
    envelope(
        offset,
        Record::Tie(Tie {
            user,
            kind,
            target,
            at: 5,
            undone: false,
        }),
    )
}

fn author(offset: u64, id: &str) -> Envelope {
    envelope(
        offset,
        Record::Author(Author {
            id: id.into(),
            observed_at: 5,
            numbers: Some(r#"{"followers":7}"#.into()),
        }),
    )
}

fn thread(offset: u64, id: &str) -> Envelope {
    let thread = Thread {
        id: id.into(),
        title: format!("title of {id}"),
        air_time: Some(9),
        ..Thread::default()
    };
    envelope(offset, Record::Thread(thread))
}

fn purge(of: Subject) -> Envelope {
    envelope(0, Record::Purged(of))
}

/// All text of a state as it is read back: what a grep over its decompressed objects would see.
fn content(folder: &TempDir) -> String {
    let (store, restore) = open(folder);
    let records: Vec<Envelope> = restore.flat_map(|batch| batch.expect("readable").records).collect();
    drop(store);
    format!("{records:?}")
}

/// Every byte of the snapshot's columns, whatever they are.
fn columns(folder: &TempDir) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder.path().join("snapshot")).expect("a snapshot") {
        let bytes = std::fs::read(entry.expect("listed").path()).expect("read");
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
            .expect("parquet")
            .build()
            .expect("readable");
        for batch in reader {
            for column in batch.expect("batch").columns() {
                let data = column.to_data();
                for buffer in data.buffers() {
                    all.push_str(&String::from_utf8_lossy(buffer.as_slice()));
                }
            }
        }
    }
    all
}

#[test]
fn nothing_that_was_said_is_left_after_a_fold() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    let erase = |offset, of| envelope(offset, Record::Erasure(Erasure { of, undo: false }));
    let first = vec![
        written(1, "p1", "ann", "t1"),
        written(2, "p2", "bob", "t1"),
        written(3, "p3", "bob", "t2"),
        votes(4, "p1", Some(3), 9),
        tie(5, "ann", TieKind::Like, "p2"),
        tie(6, "bob", TieKind::Follow, "ann"),
        tie(7, "bob", TieKind::Like, "p2"),
        author(8, "ann"),
        author(9, "bob"),
        thread(10, "t1"),
        thread(11, "t2"),
    ];
    store.append(&batch(10, first)).expect("appended");
    store.fold_now().expect("folded");
    // Of what comes after the purge nothing goes; of what came before in whatever object all does.
    let second = vec![
        written(20, "p4", "ann", "t3"),
        erase(21, Subject::author("ann")),
        erase(22, Subject::thread("t2")),
        purge(Subject::author("ann")),
        purge(Subject::thread("t2")),
        written(23, "p5", "ann", "t3"),
    ];
    store.append(&batch(11, second)).expect("appended");
    store
        .append(&batch(12, vec![written(24, "p6", "ann", "t3")]))
        .expect("appended");
    store.fold_now().expect("folded");
    drop(store);
    let (text, raw) = (content(&folder), columns(&folder));
    for gone in [
        "words of p1",
        "p3.example",
        "about p4",
        "words of p5",
        "title of t2",
        "\"like\\\",\\\"ann",
    ] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    for gone in ["words of p1", "p3.example", "about p4", "words of p5", "title of t2"] {
        assert!(!raw.contains(gone), "{gone}");
    }
    for kept in ["words of p2", "title of t1", "words of p6", "p1", "p3"] {
        assert!(text.contains(kept) && raw.contains(kept), "{kept} in {text}");
    }
    let left = Contents::at(&folder);
    let kind = |id: &str| match left.winners.get(&Identity::Post(crate::id::PostKey::of(id.as_bytes()))) {
        Some(Envelope {
            record: Record::PostDeleted { .. },
            order,
            ..
        }) => ("gone", *order),
        Some(Envelope { order, .. }) => ("post", *order),
        None => ("none", 0),
    };
    let kinds = ["p1", "p2", "p3", "p4", "p5", "p6"].map(kind);
    assert_eq!(
        kinds,
        [
            ("gone", 1),
            ("post", 2),
            ("gone", 3),
            ("gone", 20),
            ("gone", 23),
            ("post", 24)
        ],
        "deletions keep the rank, so that late copies lose against them"
    );
    let has = |identity| left.winners.contains_key(&identity);
    assert!(!has(Identity::Author(Dim::of("ann"))) && has(Identity::Author(Dim::of("bob"))));
    assert!(
        has(Identity::Erasure(Subject::author("ann"))),
        "it stays, so that late records stay out"
    );

    // The next fold goes on with what the last one left, and a purge that it did not see takes the rest.
    let (mut store, _) = open(&folder);
    store
        .append(&batch(13, vec![purge(Subject::author("ann"))]))
        .expect("appended");
    store.fold_now().expect("folded");
    drop(store);
    let raw = columns(&folder);
    assert!(!raw.contains("words of p6") && !raw.contains("ann"), "no name is left");
    assert!(raw.contains("words of p2"));
}
