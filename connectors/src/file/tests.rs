//! Files as the engine meets them: stored in different ways, resumed anywhere, paced, rotated, broken.

use super::*;
use crate::pace::fake::FakeClock;
use groundswell_core::id::Names;
use groundswell_core::record::{Binding, Envelope, Record};
use groundswell_core::source::{SourceBatch, StopFlag};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

struct Running {
    batches: crossbeam_channel::Receiver<SourceBatch>,
    stop: StopFlag,
    thread: std::thread::JoinHandle<Result<(), SourceError>>,
}

fn start(source: impl Source, id: SourceId, resume: Vec<Binding>) -> Running {
    let (out, batches) = crossbeam_channel::unbounded();
    let stop = StopFlag::default();
    let context = SourceContext {
        source: id,
        resume,
        out,
        stop: stop.clone(),
        names: Arc::new(Names::default()),
        horizon: Arc::new(AtomicI64::new(i64::MIN)),
    };
    let thread = std::thread::spawn(move || Box::new(source).run(context));
    Running { batches, stop, thread }
}

impl Running {
    fn finish(self) -> Result<Vec<SourceBatch>, SourceError> {
        let batches = self.batches.iter().collect();
        self.thread.join().expect("no panic").map(|()| batches)
    }

    /// Records as they come, until there are `n`.
    fn take(&self, n: usize) -> (Vec<Envelope>, u64) {
        let (mut records, mut next) = (Vec::new(), 0);
        while records.len() < n {
            let batch = self
                .batches
                .recv_timeout(Duration::from_secs(10))
                .expect("more records");
            next = batch.bindings.last().map_or(next, |b| b.next);
            records.extend(batch.records);
        }
        assert_eq!(records.len(), n, "{records:?}");
        (records, next)
    }

    fn stop(self) {
        self.stop.stop();
        self.thread.join().expect("no panic").expect("no error");
    }
}

fn read(spec: &FileSpec, resume: Vec<Binding>) -> Result<Vec<SourceBatch>, SourceError> {
    start(FileSource::new(spec.clone()).expect("valid map"), 3, resume).finish()
}

fn at(next: u64) -> Vec<Binding> {
    vec![Binding {
        source: 3,
        partition: 0,
        next,
    }]
}

fn records(batches: &[SourceBatch]) -> Vec<Envelope> {
    batches.iter().flat_map(|b| b.records.clone()).collect()
}

fn line(n: usize) -> String {
    let text = "é".repeat(n % 7);
    format!(
        "{{\"id\":\"p{n}\",\"text\":\"{text}\",\"created_at\":{}}}",
        1_604_686_251_000u64 + 1_000 * n as u64
    )
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).expect("compressed");
    encoder.finish().expect("compressed")
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

fn ids(records: &[Envelope]) -> Vec<String> {
    records
        .iter()
        .map(|e| match &e.record {
            Record::Post(p) => p.id.clone(),
            Record::Entity(x) => x.id.clone(),
            Record::EntityDeleted { id } => format!("-{id}"),
            Record::Rule(r) => r.id.clone(),
            Record::Thread(t) => t.id.clone(),
            Record::Dead(d) => d.code.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_storage_resumes_at_every_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = String::new();
    for n in 0..40 {
        content.push_str(&line(n));
        content.push_str(["\n", "\r\n", "\n\n"][n % 3]);
    }
    content.push_str(&line(40));
    let (first, second) = content.as_bytes().split_at(1_001);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [
        zstd::encode_all(first, 3).expect("zstd"),
        zstd::encode_all(second, 3).expect("zstd"),
    ]
    .concat();
    for (name, stored) in [
        ("a.jsonl", content.as_bytes()),
        ("a.jsonl.gz", &members),
        ("a.jsonl.zst", &frames),
    ] {
        let spec = FileSpec::new("posts", write(folder.path(), name, stored), Collection::Posts);
        let batches = read(&spec, vec![]).expect(name);
        let whole = records(&batches);
        assert_eq!(whole.len(), 41, "{name}");
        let last = batches.last().expect("a batch");
        assert!(
            last.finished && last.bindings == at(content.len() as u64),
            "{name}: {last:?}"
        );
        assert_eq!(last.clock, Some(1_604_686_291_000));
        for (n, envelope) in whole.iter().enumerate() {
            assert_eq!((envelope.source, envelope.order), (3, envelope.offset));
            let rest = records(&read(&spec, at(envelope.offset)).expect(name));
            assert_eq!(rest, whole[n..], "{name} from {}", envelope.offset);
        }
        assert_eq!(records(&read(&spec, at(content.len() as u64)).expect(name)), vec![]);
    }
}

#[test]
fn broken_lines_are_dead_letters_and_reading_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = format!("{{\"id\":\"big\",\"text\":\"{}\"}}", "x".repeat(3 << 20));
    let content = format!("{}\nnot json\n{long}\n\u{feff}{}\n[]\n", line(1), line(2));
    let spec = FileSpec::new("posts", write(folder.path(), "a.jsonl", &content), Collection::Posts);
    let all = records(&read(&spec, vec![]).expect("read"));
    assert_eq!(ids(&all), ["p1", "invalid_json", "too_large", "p2", "not_an_object"]);
    let Record::Dead(dead) = &all[2].record else {
        panic!("not dead")
    };
    assert_eq!(dead.payload.len(), crate::decode::KEPT_OF_OVERSIZED);
    assert!(
        dead.message.contains(&long.len().to_string()) && dead.message.contains("cut"),
        "{}",
        dead.message
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = FileSpec::new("posts", folder.path().join("nothing.jsonl"), Collection::Posts);
    for pace in [Pace::Full, Pace::Follow] {
        let error = read(
            &FileSpec {
                pace,
                ..missing.clone()
            },
            vec![],
        )
        .expect_err("missing")
        .to_string();
        assert!(
            error.contains("nothing.jsonl") && error.contains("\"posts\""),
            "{error}"
        );
    }
    let stored = gzip((0..2_000).map(|n| line(n) + "\n").collect::<String>().as_bytes());
    let cut = FileSpec::new(
        "p",
        write(folder.path(), "cut.gz", &stored[..stored.len() / 2]),
        Collection::Posts,
    );
    let running = start(FileSource::new(cut.clone()).expect("valid"), 3, vec![]);
    let before: usize = running.batches.iter().map(|b| b.records.len()).sum();
    assert!(before > 100, "what was readable was sent");
    let error = running.thread.join().expect("no panic").expect_err("cut").to_string();
    assert!(error.contains("cut.gz") && error.contains("damaged"), "{error}");
    let followed = read(
        &FileSpec {
            pace: Pace::Follow,
            ..cut
        },
        vec![],
    )
    .expect_err("compressed")
    .to_string();
    assert!(followed.contains("cannot be followed"), "{followed}");
    let short = FileSpec::new("p", write(folder.path(), "short.jsonl", line(1)), Collection::Posts);
    let error = read(&short, at(10_000)).expect_err("shorter than before").to_string();
    assert!(error.contains("10000 were read"), "{error}");
    let zero = read(
        &FileSpec {
            pace: Pace::Times(0.0),
            ..short
        },
        vec![],
    )
    .expect_err("no speed")
    .to_string();
    assert!(zero.contains("0 times"), "{zero}");
}

#[test]
fn files_are_merged_by_event_time_and_paced() {
    let folder = tempfile::tempdir().expect("a folder");
    let zero = 1_604_686_251_000i64;
    let posts: String = [0, 10, 20]
        .map(|s| {
            format!(
                "{{\"id\":\"p{s}\",\"text\":\"\",\"created_at\":{}}}\n",
                zero + s * 1_000
            )
        })
        .concat();
    let future = format!(
        "{{\"id\":\"f\",\"text\":\"\",\"created_at\":{}}}\n",
        zero + 400 * 86_400_000
    );
    let votes: String = [5, 10, 15, 30]
        .map(|s| format!("{{\"id\":\"p0\",\"score\":{s},\"observed_at\":{}}}\n", zero + s * 1_000))
        .concat();
    let parts = vec![
        (
            3,
            FileSpec::new(
                "posts",
                write(folder.path(), "p.jsonl", posts + &future),
                Collection::Posts,
            ),
        ),
        (
            4,
            FileSpec::new("votes", write(folder.path(), "v.jsonl", votes), Collection::Votes),
        ),
    ];
    // An hour after the first event: the post of next year is from the future and moves nothing.
    let clock = FakeClock::at(zero + 3_600_000);
    let merged = MergedFileSource::with_clock("hn", parts.clone(), Pace::Times(10.0), clock.clone()).expect("valid");
    let batches = start(merged, 9, vec![]).finish().expect("read");
    let order: Vec<(SourceId, i64, usize)> = batches
        .iter()
        .map(|b| (b.source, (b.clock.expect("a clock") - zero) / 1_000, b.records.len()))
        .collect();
    let wanted = [
        (3, 0, 1),
        (4, 5, 1),
        (3, 10, 1),
        (4, 10, 1),
        (4, 15, 1),
        (3, 20, 1),
        (4, 30, 1),
        (3, 30, 1),
    ];
    let mut sorted = order.clone();
    sorted.retain(|(_, _, n)| *n > 0);
    assert_eq!(sorted.len(), wanted.len(), "{order:?}");
    assert!(sorted.iter().zip(&wanted).all(|(a, b)| a.1 == b.1), "{order:?}");
    assert_eq!(
        crate::pace::Clock::elapsed(&clock),
        Duration::from_secs(3),
        "30 s ten times as fast"
    );
    for source in [3, 4] {
        assert_eq!(batches.iter().filter(|b| b.source == source && b.finished).count(), 1);
        assert!(
            batches
                .iter()
                .filter(|b| b.source == source)
                .all(|b| b.bindings.iter().all(|x| x.source == source))
        );
        assert!(
            batches
                .iter()
                .filter(|b| b.source == source)
                .all(|b| b.records.iter().all(|x| x.source == source))
        );
    }
    // Resuming both halfway yields the rest of both.
    let resume: Vec<Binding> = batches[..4].iter().flat_map(|b| b.bindings.clone()).rev().collect();
    let merged = MergedFileSource::new("hn", parts.clone(), Pace::Full).expect("valid");
    let rest = records(&start(merged, 9, resume).finish().expect("read"));
    assert_eq!(rest.len(), records(&batches).len() - 4);
    let followed = MergedFileSource::new("hn", parts, Pace::Follow).expect("valid");
    assert!(start(followed, 9, vec![]).finish().is_err());
}

#[test]
fn a_followed_file_survives_rotation_and_truncation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.jsonl", line(1) + "\n" + &line(2)[..10]);
    let spec = FileSpec {
        pace: Pace::Follow,
        ..FileSpec::new("posts", &path, Collection::Posts)
    };
    let running = start(FileSource::new(spec.clone()).expect("valid"), 3, vec![]);
    let (first, _) = running.take(1);
    let mut file = std::fs::File::options().append(true).open(&path).expect("open");
    write!(file, "{}\n{}", &line(2)[10..], line(3)).expect("written");
    let (second, _) = running.take(1);
    // Rotated: the line without an end in the old file is complete now.
    std::fs::rename(&path, folder.path().join("a.jsonl.1")).expect("renamed");
    std::fs::write(&path, line(4) + "\n").expect("written");
    let (third, _) = running.take(2);
    // Truncated in place.
    std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .expect("truncated");
    std::thread::sleep(Duration::from_millis(400));
    let mut file = std::fs::File::options().append(true).open(&path).expect("open");
    writeln!(file, "{}", line(5)).expect("written");
    let (fourth, next) = running.take(1);
    let all: Vec<Envelope> = [first, second, third, fourth].concat();
    assert_eq!(ids(&all), ["p1", "p2", "p3", "p4", "p5"]);
    assert!(
        all.windows(2).all(|w| w[0].offset < w[1].offset),
        "offsets go on increasing"
    );
    running.stop();
    // A restart goes on where it was.
    writeln!(file, "{}", line(6)).expect("written");
    let running = start(FileSource::new(spec).expect("valid"), 3, at(next));
    assert_eq!(ids(&running.take(1).0), ["p6"]);
    running.stop();
}

#[test]
fn documents_of_all_shapes() {
    let folder = tempfile::tempdir().expect("a folder");
    let table: &[(&str, Collection, &str, &[&str])] = &[
        (
            "seed.yaml",
            Collection::Entities,
            "cast:\n  - canonical_name: Ana\n    aliases: [A, 23, No]\n",
            &["Ana"],
        ),
        (
            "list.yml",
            Collection::Entities,
            "- {id: a, name: Ana}\n- Bo\n- {id: c}\n",
            &["a", "Bo", "missing_field"],
        ),
        (
            "map.yaml",
            Collection::Entities,
            "entities: {a: {name: Ana}, b: {name: Bo, kind: x}}",
            &["a", "b"],
        ),
        (
            "list.json",
            Collection::Entities,
            r#"[{"id":"a","name":"Ana"}]"#,
            &["a"],
        ),
        (
            "seed.json",
            Collection::Entities,
            r#"{"cast":[{"canonical_name":"Ana","aliases":["A"]}]}"#,
            &["Ana"],
        ),
        (
            "rules.yaml",
            Collection::Rules,
            "rules:\n  r1: {view: v, when: 'sentiment < -0.3', for: 2m}\n",
            &["r1"],
        ),
        (
            "bare.yaml",
            Collection::Rules,
            "r1: {view: v, when: posts > 3}\n",
            &["r1"],
        ),
        (
            "threads.yaml",
            Collection::Threads,
            "- {thread: t, title: T, air_time: '2016-06-20T00:00:00Z'}\n",
            &["t"],
        ),
        ("empty.yaml", Collection::Entities, "", &[]),
        (
            "lines.jsonl",
            Collection::Entities,
            "{\"id\":\"a\",\"name\":\"Ana\"}\n",
            &["a"],
        ),
    ];
    for (name, into, content, wanted) in table {
        let spec = FileSpec::new("cast", write(folder.path(), name, content), *into);
        let batches = read(&spec, vec![]).expect(name);
        assert_eq!(ids(&records(&batches)), *wanted, "{name}");
        assert!(batches.last().is_some_and(|b| b.finished), "{name}");
    }
    let all = records(
        &read(
            &FileSpec::new("c", folder.path().join("seed.yaml"), Collection::Entities),
            vec![],
        )
        .expect("read"),
    );
    assert!(
        matches!(&all[0].record, Record::Entity(e) if e.aliases == ["A", "23", "No"]),
        "{all:?}"
    );
    for (name, content, part) in [
        ("bad.yaml", "cast: [", "invalid YAML"),
        ("bad.json", "{", "invalid JSON"),
        ("text.yaml", "just words", "expected a list"),
        ("scalar.yaml", "cast: 3", "must hold a list"),
    ] {
        let spec = FileSpec::new("cast", write(folder.path(), name, content), Collection::Entities);
        let error = read(&spec, vec![]).expect_err(name).to_string();
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
}

#[test]
fn a_document_is_sent_again_only_when_it_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(
        folder.path(),
        "cast.yaml",
        "- {id: a, name: Ana}\n- {id: b, name: Bo}\n",
    );
    let spec = FileSpec::new("cast", &path, Collection::Entities);
    let first = read(&spec, vec![]).expect("read");
    let position = first.last().expect("a batch").bindings.clone();
    let again = read(&spec, position.clone()).expect("read");
    assert!(records(&again).is_empty() && again.last().expect("a batch").finished);
    assert_eq!(again.last().expect("a batch").bindings, position);
    write(folder.path(), "cast.yaml", "- {id: a, name: Anna}\n");
    let changed = read(&spec, position.clone()).expect("read");
    assert_eq!(ids(&records(&changed)), ["a"]);
    assert!(records(&changed)[0].offset > records(&first)[1].offset);
    assert!(changed.last().expect("a batch").bindings[0].next > position[0].next);
}

#[test]
fn a_followed_document_deletes_what_disappears() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(
        folder.path(),
        "cast.yaml",
        "- {id: a, name: Ana}\n- {id: b, name: Bo}\n",
    );
    let spec = FileSpec {
        pace: Pace::Follow,
        ..FileSpec::new("cast", &path, Collection::Entities)
    };
    let clock = FakeClock::default();
    let running = start(FileSource::with_clock(spec, clock).expect("valid"), 3, vec![]);
    assert_eq!(ids(&running.take(2).0), ["a", "b"]);
    // Replaced at once, so that no half-written state is seen; a broken one in between changes nothing.
    for content in ["- [", "- {id: b, name: Bob}\n- {id: c, name: Cy}\n"] {
        std::fs::rename(write(folder.path(), "new", content), &path).expect("renamed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (changed, _) = running.take(3);
    assert_eq!(ids(&changed), ["b", "c", "-a"]);
    running.stop();
}

fn data() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("GROUNDSWELL_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no data in {} (set GROUNDSWELL_DATA)", folder.display());
    None
}

#[test]
fn real_posts_and_votes_decode_without_a_dead_letter() {
    let Some(data) = data() else { return };
    for (name, posts, votes) in [
        ("hn", 54_215, 737_401),
        ("nba_g7", 45_962, 0),
        ("crypto", 26_108, 13_583),
    ] {
        let file = format!("{name}.jsonl.gz");
        let mut parts = vec![(
            0,
            FileSpec::new("posts", data.join("events").join(&file), Collection::Posts),
        )];
        if votes > 0 {
            parts.push((
                1,
                FileSpec::new("votes", data.join("score_updates").join(&file), Collection::Votes),
            ));
        }
        let begun = Instant::now();
        let running = start(
            MergedFileSource::new(name, parts, Pace::Full).expect("valid"),
            0,
            vec![],
        );
        let (mut counts, mut last) = ([0, 0], i64::MIN);
        for batch in &running.batches {
            assert!(!batch.records.iter().any(|e| matches!(e.record, Record::Dead(_))));
            assert!(batch.records.len() <= BATCH_RECORDS);
            counts[usize::from(batch.source)] += batch.records.len();
            last = last.max(batch.clock.unwrap_or(last));
        }
        running.thread.join().expect("no panic").expect("read");
        assert_eq!(counts, [posts, votes]);
        println!(
            "{name}: {} records in {:?}, last at {last}",
            posts + votes,
            begun.elapsed()
        );
    }
}
