//! An author is forgotten: at once in what is served, with the next fold on disk, and whatever comes later.

use crate::program::{Running, get, groundswell, run};
use crate::world::{T0, append, counted, eventually, page, post, post_by, start, write};
use groundswell_core::store::{Store, StoreOptions};
use serde_json::Value;
use std::path::Path;

const SOURCE: &str = "  erasures: {type: file, path: erasures.jsonl, into: erasures, pace: follow}\nmodels:";

/// A pipeline that takes erasures from a file too, with posts of two authors.
fn world(folder: &Path) {
    write(folder);
    let pipeline = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    std::fs::write(folder.join("p.yaml"), pipeline.replacen("models:", SOURCE, 1)).unwrap();
    std::fs::write(folder.join("erasures.jsonl"), "").unwrap();
    append(folder, "posts.jsonl", &posts());
}

fn posts() -> Vec<String> {
    let by = |id, author, text| post_by(id, "t", author, text, T0, 1, 0.5);
    vec![
        by("p1", "ann-of-the-hill", "unspeakable words"),
        by("p2", "ann-of-the-hill", "more of the unspeakable"),
        by("p3", "bob", "harmless words"),
    ]
}

fn erase(folder: &Path, running: &Running, args: &[&str]) -> Result<Value, String> {
    let url = format!("http://{}", running.addr());
    let ended = run(groundswell(folder, [&["erase", "--url", &url], args].concat()));
    match ended.code {
        Some(0) => Ok(serde_json::from_str(&ended.stdout).unwrap()),
        code => Err(format!("{code:?} {}", ended.stderr)),
    }
}

/// Posts in the view `total`.
fn total(running: &Running) -> u64 {
    let page = page(running, "/api/v1/views/total").unwrap();
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(|row| row["posts"].as_u64().unwrap()).sum()
}

fn snapshot_bytes(running: &Running) -> f64 {
    let metrics = get(running.addr(), "/metrics");
    let line = metrics
        .lines()
        .find(|l| l.starts_with("groundswell_store_bytes{part=\"snapshot\"}"));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// All that a state says, decompressed.
fn content(folder: &Path) -> String {
    let url = folder.join("state").display().to_string();
    let (_, restore) = Store::open(StoreOptions::new(url)).unwrap();
    let batches: Vec<_> = restore.map(Result::unwrap).collect();
    format!("{batches:?}")
}

#[test]
fn an_author_is_forgotten_on_screen_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world(folder);
    let running = start(folder);
    counted(&running, 3);

    // The answer comes when the views have it.
    let said = erase(folder, &running, &["--author", "ann-of-the-hill"]).unwrap();
    assert_eq!((&said["of"], &said["undo"]), (&"author".into(), &false.into()));
    assert!(said["tick"].as_u64().unwrap() > 0);
    assert_eq!(total(&running), 1);
    assert!(!get(running.addr(), "/api/v1/posts").contains("unspeakable"));
    // What comes later stays out.
    let late = post_by("p4", "t", "ann-of-the-hill", "unspeakable again", T0, 1, 0.5);
    append(folder, "posts.jsonl", &[late, post("p5", "t", "fine", T0, 1, 0.5)]);
    counted(&running, 2);
    // Undone, all is back, and a source has the next word.
    erase(folder, &running, &["--author", "ann-of-the-hill", "--undo"]).unwrap();
    assert_eq!(total(&running), 5);
    let lines = [
        r#"{"author":"ann-of-the-hill"}"#,
        r#"{"writer":"bob"}"#,
        r#"{"post":"","undo":true}"#,
    ];
    append(folder, "erasures.jsonl", &lines.map(str::to_owned));
    counted(&running, 2);
    eventually("what names nothing is dead letters", || {
        let metrics = get(running.addr(), "/metrics");
        let dead = |l: &&str| l.starts_with("groundswell_records_dead_lettered_total") && l.contains("\"erasures\"");
        let letters = metrics
            .lines()
            .filter(dead)
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
        (letters.sum::<f64>() == 2.0).then_some(())
    });

    for (args, code) in [
        (&["--author", "a", "--post", "b"][..], "Some(2)"),
        (&["--undo"], "Some(2)"),
        (&["--author", ""], "Some(1)"),
    ] {
        let refused = erase(folder, &running, args).unwrap_err();
        assert!(refused.starts_with(code), "{args:?}: {refused}");
    }
    let nowhere = ["erase", "--url", "http://127.0.0.1:1", "--post", "p"];
    assert_eq!(run(groundswell(folder, nowhere)).code, Some(3));
    assert_eq!(total(&running), 2);

    // On disk it is until a fold, which begins with a tick and is looked after at another.
    let mut more = 0;
    while snapshot_bytes(&running) == 0.0 {
        assert!(more < 40, "never folded");
        let many = (0..100).map(|i| post(&format!("f{more}-{i}"), "v", &filler(more * 100 + i), T0, 1, 0.0));
        append(folder, "posts.jsonl", &many.collect::<Vec<_>>());
        more += 1;
        counted(&running, 2 + more * 100);
    }
    drop(running); // killed
    let left = content(folder);
    for gone in ["unspeakable", "ann-of-the-hill"] {
        assert!(!left.contains(gone), "{gone} is still there");
    }
    assert!(left.contains("harmless words"));

    // Gone for good: an undone erasure brings back what comes again, and nothing else.
    let running = start(folder);
    counted(&running, 2 + more * 100);
    erase(folder, &running, &["--author", "ann-of-the-hill", "--undo"]).unwrap();
    assert_eq!(total(&running), 2 + more * 100);
    append(folder, "posts.jsonl", &posts()[..1]);
    counted(&running, 3 + more * 100);
}

/// Text that does not compress.
fn filler(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    std::iter::repeat_with(letter).take(3_000).collect()
}
