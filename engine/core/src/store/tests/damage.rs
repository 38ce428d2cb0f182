//! What is missing, damaged or no state at all is named; and what an inspection counts.

use super::*;

#[test]
fn what_is_not_a_state_has_a_name() {
    let folder = folder();
    let at = |name: &str| StoreOptions::new(folder.path().join(name).display().to_string());
    let not_a_state = |result: Result<(Store, Restore), StoreError>| match result {
        Err(StoreError::NotAStateFolder { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    std::fs::write(folder.path().join("file"), b"").expect("written");
    assert_eq!(not_a_state(Store::open(at("file"))), "it is not a folder");
    std::fs::create_dir(folder.path().join("photos")).expect("created");
    std::fs::write(folder.path().join("photos/cat.png"), b"").expect("written");
    assert_eq!(
        not_a_state(Store::open(at("photos"))),
        "it holds \"cat.png\" and no manifest"
    );
    assert!(!folder.path().join("photos/LOCK").exists());
    assert!(matches!(
        inspect(&at("nowhere").url),
        Err(StoreError::NotAStateFolder { .. })
    ));
    assert!(matches!(
        verify(&at("photos").url),
        Err(StoreError::NotAStateFolder { .. })
    ));
    assert!(matches!(
        Store::open(StoreOptions::new("s3://bucket/state")),
        Err(StoreError::UnsupportedUrl { .. })
    ));
    Store::open(at("new/and/deep")).expect("created");
}

#[test]
fn a_state_without_its_manifest_is_not_started_over() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.append(&batch(1, vec![])).expect("appended");
    drop(store);
    std::fs::remove_dir_all(folder.path().join("manifest")).expect("removed");
    std::fs::create_dir(folder.path().join("manifest")).expect("created");
    let error = Store::open(options(&folder)).expect_err("damaged").to_string();
    assert!(error.contains("there is no manifest, but \"log/"), "{error}");
}

#[test]
fn a_state_removed_under_a_running_engine_is_noticed() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    std::fs::remove_dir_all(folder.path().join("manifest")).expect("removed");
    let error = store.append(&batch(1, vec![])).expect_err("damaged").to_string();
    assert!(error.contains("removed while the engine is running"), "{error}");
}

#[test]
fn damage_is_named_by_opening_restoring_and_verifying() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.append(&history()[0]).expect("appended");
    store.append(&history()[1]).expect("appended");
    store.fold_now().expect("folded");
    store.append(&history()[2]).expect("appended");
    store.append(&batch(12, vec![])).expect("appended");
    let part = store.manifest.snapshot.as_ref().expect("a snapshot").parts[0]
        .object
        .clone();
    drop(store);
    let url = options(&folder).url;
    let problems = || verify(&url).expect("verifiable").problems;
    assert_eq!(problems(), []);

    let damage = |object: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.path().join(object);
        let good = std::fs::read(&path).expect("read");
        let mut bad = good.clone();
        change(&mut bad);
        std::fs::write(&path, bad).expect("damaged");
        good
    };
    for object in [part, LogName { epoch: 1, tick: 9 }.object()] {
        let good = damage(&object, &|bytes| {
            let at = bytes.len() - 900;
            bytes[at] ^= 4;
        });
        let found = problems();
        assert!(found.len() == 1 && found[0].object.ends_with(&object), "{found:?}");
        let error = open(&folder).1.find_map(Result::err).expect("noticed").to_string();
        assert!(error.contains(&object), "{error}");
        std::fs::write(folder.path().join(&object), good).expect("mended");
    }
    let missing = LogName { epoch: 1, tick: 9 }.object();
    std::fs::remove_file(folder.path().join(missing)).expect("removed");
    assert!(problems()[0].problem.contains("a tick is missing"), "{:?}", problems());
    let error = Store::open(options(&folder)).expect_err("a gap").to_string();
    assert!(
        error.contains("it follows tick 9, but here it comes after tick 6"),
        "{error}"
    );
}

#[test]
fn an_inspection_counts_what_is_there() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.append(&history()[0]).expect("appended");
    store.append(&history()[1]).expect("appended");
    store.fold_now().expect("folded");
    store.append(&history()[2]).expect("appended");
    let found = inspect(&options(&folder).url).expect("beside the running engine");
    assert_eq!(
        (found.format, found.epoch, found.upper, found.clock),
        (FORMAT, 1, Some(9), Some(9_000))
    );
    assert_eq!(
        found.bindings,
        [Binding {
            source: 1,
            partition: 0,
            next: 90
        }]
    );
    let snapshot = found.snapshot.expect("a snapshot");
    assert_eq!(
        (snapshot.tick, snapshot.rows, snapshot.bytes),
        (6, 3, store.bytes().snapshot)
    );
    assert_eq!(
        (found.log.objects, found.log.rows, found.log.bytes),
        (1, 2, store.bytes().log)
    );
    let kinds: Vec<_> = found.rows_by_kind.into_iter().collect();
    assert_eq!(kinds, [("post", 2), ("post_deleted", 1), ("votes", 2)]);
}
