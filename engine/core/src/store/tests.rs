//! The protocol as a whole: every crash, takeover and damage leaves the old state or the new one, or has a name.

mod damage;
mod erasure;
mod retention;

use super::testing::{envelope, histories, post, votes};
use super::*;
use crate::erasure::Subject;
use crate::id::{Dim, ModelKey};
use crate::record::{Binding, Envelope, Identity, Past, Record};
use bytes::Bytes;
use hashbrown::HashMap;
use proptest::prelude::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("folder")
}

fn options(folder: &TempDir) -> StoreOptions {
    StoreOptions::new(format!("file:{}", folder.path().display()))
}

fn open(folder: &TempDir) -> (Store, Restore) {
    Store::open(options(folder)).expect("opened")
}

fn batch(tick: Tick, records: Vec<Envelope>) -> TickBatch {
    let bindings = vec![Binding {
        source: 1,
        partition: 0,
        next: tick * 10,
    }];
    TickBatch {
        tick,
        clock: tick.cast_signed() * 1_000,
        bindings,
        records,
    }
}

fn history() -> Vec<TickBatch> {
    vec![
        batch(
            5,
            vec![
                post(1, "a", "first"),
                votes(2, "a", Some(3), 10),
                post(3, "b", "gone soon"),
            ],
        ),
        batch(
            6,
            vec![
                post(4, "a", "edited"),
                envelope(5, Record::PostDeleted { id: "b".into() }),
            ],
        ),
        batch(9, vec![votes(6, "a", Some(1), 9), post(0, "b", "stale redelivery")]),
    ]
}

fn purged(envelope: &Envelope) -> Option<Subject> {
    match envelope.record {
        Record::Purged(of) => Some(of),
        _ => None,
    }
}

/// Takes what is purged out of a record; whether nothing is left of it.
fn forget(known: &mut Envelope, of: Subject) -> bool {
    let is = |author: &str| of == Subject::Author(Dim::of(author));
    match &mut known.record {
        Record::Post(post) => {
            let key = crate::id::PostKey::of(post.id.as_bytes());
            let here = of == Subject::Post(key) || of == Subject::Thread(Dim::of(&post.thread));
            if here || is(post.author.as_deref().unwrap_or_default()) {
                known.record = Record::PostDeleted { id: post.id.clone() };
            }
            false
        }
        Record::Thread(thread) => {
            if of == Subject::Thread(Dim::of(&thread.id)) {
                thread.title.clear();
            }
            false
        }
        Record::Author(author) => is(&author.id),
        Record::Tie(tie) => is(&tie.user) || (tie.kind == crate::tie::TieKind::Follow && is(&tie.target)),
        _ => false,
    }
}

/// What a state means: the winner of every identity, the net bindings, upper and clock.
#[derive(Debug, PartialEq, Default)]
struct Contents {
    winners: HashMap<Identity, Envelope>,
    bindings: fold::NetBindings,
    upper: Option<Tick>,
    clock: Option<i64>,
}

impl Contents {
    fn of(batches: impl IntoIterator<Item = TickBatch>) -> Self {
        let mut contents = Contents::default();
        for batch in batches {
            contents.bindings.apply(&batch.bindings);
            (contents.upper, contents.clock) = (Some(batch.tick), Some(batch.clock));
            let purged: Vec<_> = batch.records.iter().filter_map(purged).collect();
            for new in batch.records {
                let identity = new.record.identity();
                let old = contents.winners.get(&identity);
                let wins = old.is_none_or(|old| identity == Identity::LiveModel || new.supersedes(old));
                if identity != Identity::None && wins {
                    contents.winners.insert(identity, new);
                }
            }
            contents
                .winners
                .retain(|_, known| !purged.iter().any(|of| forget(known, *of)));
        }
        contents
    }

    /// Reads a restore to its end and checks it against what it announced.
    fn restored(restore: Restore) -> Self {
        let announced = (restore.upper, restore.clock, restore.bindings.clone());
        let batches = restore.collect::<Result<Vec<_>, _>>().expect("readable");
        assert!(batches.is_sorted_by_key(|b| b.tick));
        let contents = Contents::of(batches);
        assert_eq!(announced, (contents.upper, contents.clock, contents.bindings.to_vec()));
        contents
    }

    fn at(folder: &TempDir) -> Self {
        let contents = Self::restored(open(folder).1);
        let verification = verify(&options(folder).url).expect("verifiable");
        assert!(verification.is_ok() && verification.leftovers == 0, "{verification:?}");
        contents
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Folding and reopening at any moment never changes what the state means, and a fold leaves winners only.
    #[test]
    fn folds_and_restarts_change_nothing(
        history in histories(12),
        acts in prop::collection::vec((any::<bool>(), any::<bool>(), 1_usize..20_000), 12),
    ) {
        let folder = folder();
        let (mut store, restore) = open(&folder);
        prop_assert!(restore.is_empty());
        drop(restore);
        for (i, (batch, (fold, reopen, part_bytes))) in history.iter().zip(acts).enumerate() {
            store.append(batch).expect("appended");
            store.part_bytes = part_bytes;
            if fold {
                store.fold_now().expect("folded");
                prop_assert_eq!(store.bytes().log, 0);
            }
            if reopen {
                drop(store);
                let (again, restore) = open(&folder);
                prop_assert_eq!(Contents::restored(restore), Contents::of(history[..=i].to_vec()));
                store = again;
            }
        }
        store.fold_now().expect("folded");
        drop(store);
        let rows: u64 = inspect(&options(&folder).url).expect("inspected").rows_by_kind.values().sum();
        let contents = Contents::at(&folder);
        prop_assert_eq!(rows, contents.winners.len() as u64);
        prop_assert_eq!(contents, Contents::of(history));
    }
}

#[test]
fn the_parts_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Store>();
    is_send::<Restore>();
    is_send::<StoreError>();
}

#[test]
fn an_unfolded_log_comes_back_batch_by_batch() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    for batch in history() {
        store.append(&batch).expect("appended");
    }
    assert_eq!(store.last_tick(), Some(9));
    drop(store);
    let (store, restore) = open(&folder);
    assert_eq!((restore.upper, store.last_tick(), store.epoch()), (Some(9), Some(9), 2));
    assert_eq!(restore.map(|b| b.expect("readable")).collect::<Vec<_>>(), history());
}

#[test]
fn ticks_must_increase_also_across_folds_and_restarts() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.append(&batch(7, vec![])).expect("appended");
    store.fold_now().expect("folded");
    assert!(matches!(
        store.append(&batch(7, vec![])),
        Err(StoreError::NonMonotone { tick: 7, last: 7 })
    ));
    drop(store);
    let (mut store, restore) = open(&folder);
    assert!(matches!(
        store.append(&batch(6, vec![])),
        Err(StoreError::NonMonotone { tick: 6, last: 7 })
    ));
    let empty = restore.map(|b| b.expect("readable")).collect::<Vec<_>>();
    assert_eq!(
        empty,
        [batch(7, vec![])],
        "a snapshot without rows still has its tick, clock and bindings"
    );
}

/// Every step of a fold, done by hand; the state is opened again after each as a crash would have it.
#[test]
fn a_crash_at_any_step_of_a_fold_leaves_the_same_contents() {
    let expected = Contents::of(history());
    for crash_after in 0..=4 {
        let folder = folder();
        let (mut store, _) = open(&folder);
        store.part_bytes = 1;
        for batch in history() {
            store.append(&batch).expect("appended");
        }
        if crash_after == 0 {
            // A part only half written, and a temporary file of a put that never finished.
            let object = snapshot::part_object(1, 9, 0);
            store.objects.put(&object, Bytes::from_static(b"PAR1")).expect("put");
            std::fs::write(folder.path().join(format!("{object}#1")), b"PA").expect("written");
        }
        if crash_after >= 1 {
            let plan = store.plan(Tick::MAX);
            let snapshot = fold::fold(&store.objects, &plan, &AtomicBool::new(false))
                .expect("folded")
                .expect("whole");
            assert!(snapshot.parts.len() > 1, "{snapshot:?}");
            if crash_after >= 2 {
                store.install(snapshot).expect("installed");
            }
        }
        if crash_after >= 3 {
            store.sweep(2).expect("some removed");
        }
        if crash_after >= 4 {
            store.sweep(usize::MAX).expect("all removed");
        }
        drop(store);
        assert_eq!(Contents::at(&folder), expected, "after step {crash_after}");
        let names = Objects::existing(&options(&folder).url)
            .expect("open")
            .list("snapshot")
            .expect("listed");
        assert_eq!(
            names.is_empty(),
            crash_after < 2,
            "what no manifest names is removed: {names:?}"
        );
        assert_eq!(
            Contents::at(&folder),
            expected,
            "and once more after step {crash_after}"
        );
    }
}

#[test]
fn a_crash_while_opening_leaves_the_same_contents() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    for batch in history() {
        store.append(&batch).expect("appended");
    }
    drop(store);
    for _ in 0..2 {
        let (objects, _lock) = Objects::locked(&options(&folder).url).expect("locked");
        let fenced = recover::fence(&objects).expect("fenced");
        recover::scan(&objects, &fenced).expect("scanned");
    }
    assert_eq!(Contents::at(&folder), Contents::of(history()));
    std::fs::write(
        folder.path().join("log/0000000001-00000000000000000010.arrow#3"),
        b"half",
    )
    .expect("written");
    assert_eq!(Contents::at(&folder), Contents::of(history()));
    assert_eq!(std::fs::read_dir(folder.path().join("log")).expect("listed").count(), 3);
}

#[test]
fn a_folder_is_open_once() {
    let folder = folder();
    let (store, _) = open(&folder);
    let error = Store::open(options(&folder)).expect_err("locked");
    assert!(
        matches!(&error, StoreError::Locked { pid, .. } if *pid == std::process::id().to_string()),
        "{error}"
    );
    assert_eq!(store.folder(), Some(folder.path()));
    drop(store);
    open(&folder);
}

/// The lock does not exist on a bucket: a takeover is simulated by opening past it.
#[test]
fn a_process_that_was_taken_over_is_fenced_and_its_late_writes_are_void() {
    let folder = folder();
    let (mut old, _) = open(&folder);
    old.append(&batch(5, vec![post(1, "a", "kept")])).expect("appended");
    let expected = Contents::of([batch(5, vec![post(1, "a", "kept")])]);

    let objects = Objects::existing(&options(&folder).url).expect("open");
    let fenced = recover::fence(&objects).expect("fenced");
    let found = recover::scan(&objects, &fenced).expect("scanned");
    recover::begin(&objects, &fenced, found.last_tick(&fenced)).expect("begun");

    let error = old.append(&batch(6, vec![post(2, "a", "late")])).expect_err("fenced");
    assert!(matches!(error, StoreError::Fenced { epoch: 1, by: 2, .. }), "{error}");
    assert!(
        matches!(old.append(&batch(7, vec![])), Err(StoreError::Fenced { .. })),
        "and stays so"
    );
    assert!(matches!(old.fold_if_due(), Err(StoreError::Fenced { .. })));
    drop(old);
    assert_eq!(Contents::at(&folder), expected);
}

#[test]
fn a_fold_of_a_process_that_was_taken_over_does_not_count() {
    let folder = folder();
    let (mut old, _) = open(&folder);
    for batch in history() {
        old.append(&batch).expect("appended");
    }
    let objects = Objects::existing(&options(&folder).url).expect("open");
    let fenced = recover::fence(&objects).expect("fenced");
    let begun = recover::begin(&objects, &fenced, Some(9)).expect("begun");
    // The number the old process will reach for is free again: the newest manifest must win all the same.
    objects.delete(&Manifest::object(fenced.number)).expect("collected");
    assert!(matches!(old.fold_now(), Err(StoreError::Fenced { by: 2, .. })));
    assert_eq!(
        Manifest::newest(&objects).expect("read").map(|m| m.number),
        Some(begun.number)
    );
    drop(old);
    assert_eq!(Contents::at(&folder), Contents::of(history()));
}

#[test]
fn a_fold_in_the_background_leaves_room_for_appends() {
    let folder = folder();
    let options = StoreOptions {
        fold_after_bytes: 1,
        ..options(&folder)
    };
    let (mut store, restore) = Store::open(options).expect("opened");
    let mut all = Vec::new();
    let mut finished = 0;
    for tick in 1..200 {
        let batch = batch(
            tick,
            vec![
                post(tick, &format!("p{}", tick % 7), "text"),
                votes(tick, "x", Some(1), 1),
            ],
        );
        store.append(&batch).expect("appended");
        all.push(batch);
        if matches!(store.fold_if_due().expect("folding"), FoldStatus::Finished { .. }) {
            finished += 1;
        }
    }
    assert!(finished > 1, "{finished}");
    assert!(
        !store.garbage.is_empty(),
        "a restore is still there, so nothing was removed"
    );
    drop(restore);
    store.fold_if_due().expect("folding");
    drop(store);
    assert_eq!(Contents::at(&folder), Contents::of(all));
}

#[test]
fn a_fold_leaves_later_ticks_in_the_log() {
    let folder = folder();
    let options = StoreOptions {
        fold_after_bytes: 1,
        ..options(&folder)
    };
    let (mut store, _) = Store::open(options).expect("opened");
    let all: Vec<_> = (1..=9).map(|tick| batch(tick, vec![post(tick, "p", "text")])).collect();
    all.iter().for_each(|batch| store.append(batch).expect("appended"));
    assert_eq!(store.fold_if_due_through(0).expect("nothing"), FoldStatus::NotDue);
    assert_eq!(store.fold_if_due_through(6).expect("folding"), FoldStatus::Started);
    while store.fold_if_due_through(6).expect("folding") == FoldStatus::Running {}
    let kept: Vec<_> = store.log.iter().map(|e| e.name.tick).collect();
    assert_eq!(kept, [7, 8, 9]);
    drop(store);
    assert_eq!(Contents::at(&folder), Contents::of(all));
}

#[test]
fn a_restore_stays_readable_while_the_store_goes_on() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    for batch in history() {
        store.append(&batch).expect("appended");
    }
    drop(store);
    let (mut store, mut restore) = open(&folder);
    assert_eq!(restore.next().expect("first").expect("readable"), history()[0]);
    store.append(&batch(20, vec![post(9, "z", "later")])).expect("appended");
    store.fold_now().expect("folded");
    let rest: Vec<_> = restore.map(|b| b.expect("readable")).collect();
    assert_eq!(rest, history()[1..]);
}

#[test]
fn a_failed_append_may_have_landed_and_is_taken_back() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.append(&batch(5, vec![])).expect("appended");
    // As if the put of tick 6 had landed and its answer had been lost.
    let lost = LogName { epoch: 1, tick: 6 };
    let bytes = log::encode(&batch(6, vec![post(1, "a", "lost")]), 1, Some(5)).expect("encoded");
    store.objects.put(&lost.object(), bytes).expect("put");
    store.doubtful = Some(lost);
    store.append(&batch(8, vec![])).expect("appended");
    drop(store);
    assert_eq!(
        Contents::at(&folder),
        Contents::of([batch(5, vec![]), batch(8, vec![])])
    );
}

#[test]
fn a_fold_that_was_reported_as_failed_may_have_landed() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    for batch in history() {
        store.append(&batch).expect("appended");
    }
    let snapshot = fold::fold(&store.objects, &store.plan(Tick::MAX), &AtomicBool::new(false))
        .expect("folded")
        .expect("whole");
    assert!(
        store
            .manifest
            .folded(snapshot)
            .install(&store.objects)
            .expect("landed unnoticed")
    );
    store
        .append(&batch(10, vec![post(7, "c", "more")]))
        .expect("appending goes on");
    store.fold_now().expect("the earlier fold is adopted");
    assert_eq!(store.manifest.log_after, Some(9));
    store.fold_now().expect("folded");
    drop(store);
    assert_eq!(
        Contents::at(&folder),
        Contents::of(history().into_iter().chain([batch(10, vec![post(7, "c", "more")])]))
    );
}

#[test]
fn the_latest_model_pointer_survives_folds() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    let live = |order, model| {
        envelope(
            order,
            Record::LiveModel {
                model: ModelKey(model),
                past: Past::default(),
            },
        )
    };
    store.append(&batch(1, vec![live(9, 1), live(3, 2)])).expect("appended");
    store.fold_now().expect("folded");
    store.append(&batch(2, vec![live(1, 3)])).expect("appended");
    store.fold_now().expect("folded");
    drop(store);
    let restored: Vec<_> = open(&folder).1.map(|b| b.expect("readable")).collect();
    assert_eq!(restored, [batch(2, vec![live(1, 3)])]);
}
