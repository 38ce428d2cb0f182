use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::tempdir;

fn lines(tick: Tick) -> Vec<u8> {
    (0..tick % 4)
        .map(|i| format!("{{\"line\":\"{tick}.{i} ü\"}}\n"))
        .collect::<String>()
        .into_bytes()
}

fn replay(journal: &mut Journal, last: Tick) {
    let next = journal.upper().map_or(1, |upper| upper + 1);
    for tick in next..=last {
        journal.append(tick, lines(tick)).expect("written");
    }
}

#[test]
fn a_crash_after_any_byte_changes_nothing_in_the_end() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("new/folder/lines.jsonl");
    replay(&mut Journal::open(&path, "test", None).expect("created"), 9);
    let whole = std::fs::read(&path).expect("read");
    for cut in 0..=whole.len() {
        for zeros in [0, 1, 50] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            if cut < header("test", None).len() {
                torn.truncate(header("test", None).len());
            }
            std::fs::write(&path, &torn).expect("torn");
            let mut journal = Journal::open(&path, "test", None).unwrap_or_else(|e| panic!("after {cut} bytes: {e}"));
            let committed = std::fs::read(&path).expect("read");
            assert!(
                whole.starts_with(&committed) && committed.len() <= cut.max(header("test", None).len()),
                "after {cut} bytes"
            );
            replay(&mut journal, 9);
            drop(journal);
            assert!(
                std::fs::read(&path).expect("read") == whole,
                "after {cut} bytes and {zeros} zeros"
            );
        }
    }
}

#[test]
fn a_tick_that_lost_a_page_is_taken_back() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    replay(&mut Journal::open(&path, "test", None).expect("created"), 7);
    let whole = std::fs::read(&path).expect("read");
    let hole = String::from_utf8(whole.clone())
        .expect("text")
        .find("{\"line\":\"7.1")
        .expect("there");
    let mut torn = whole.clone();
    torn[hole..hole + 30].fill(0);
    std::fs::write(&path, &torn).expect("torn");
    let mut journal = Journal::open(&path, "test", None).expect("opened");
    assert_eq!(journal.upper(), Some(6));
    replay(&mut journal, 7);
    assert_eq!(std::fs::read(&path).expect("read"), whole);
}

#[test]
fn long_ticks_and_many_short_ones_are_found_again() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    let mut journal = Journal::open(&path, "test", None).expect("created");
    let long = format!("{{\"line\":\"{}\"}}\n", "x".repeat(1000))
        .repeat(300)
        .into_bytes();
    for tick in 1..=3 {
        journal.append(tick, long.clone()).expect("written");
    }
    drop(journal);
    assert_eq!(Journal::open(&path, "test", None).expect("opened").upper(), Some(3));
    let len = std::fs::metadata(&path).expect("there").len();
    File::options()
        .write(true)
        .open(&path)
        .and_then(|f| f.set_len(len - 5))
        .expect("cut");
    let mut journal = Journal::open(&path, "test", None).expect("opened");
    assert_eq!(journal.upper(), Some(2));
    for tick in 3..=5_000 {
        journal.append(tick, Vec::new()).expect("written");
        if tick % 1_000 != 0 {
            continue;
        }
        drop(journal);
        journal = Journal::open(&path, "test", None).expect("opened");
        assert_eq!(journal.upper(), Some(tick));
    }
}

#[test]
fn committed_ticks_are_not_written_twice() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    let mut journal = Journal::open(&path, "test", None).expect("created");
    assert_eq!(journal.upper(), None);
    replay(&mut journal, 3);
    let before = std::fs::read(&path).expect("read");
    journal.append(2, lines(2)).expect("left out");
    assert_eq!(std::fs::read(&path).expect("read"), before);
    assert_eq!(
        String::from_utf8(before).expect("text"),
        "{\"progress\":null,\"of\":\"test\",\"version\":1}\n{\"line\":\"1.0 ü\"}\n{\"progress\":1}\n\
         {\"line\":\"2.0 ü\"}\n{\"line\":\"2.1 ü\"}\n{\"progress\":2}\n\
         {\"line\":\"3.0 ü\"}\n{\"line\":\"3.1 ü\"}\n{\"line\":\"3.2 ü\"}\n{\"progress\":3}\n"
    );
}

#[test]
fn a_file_of_another_state_is_refused() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    replay(&mut Journal::open(&path, "test", Some("one")).expect("created"), 4);
    let before = std::fs::read(&path).expect("read");
    let error = Journal::open(&path, "test", Some("two"))
        .err()
        .expect("refused")
        .to_string();
    for word in ["lines.jsonl", "another state", "one", "two", "move it away"] {
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(std::fs::read(&path).expect("read"), before);
    for state in [Some("one"), None] {
        assert_eq!(Journal::open(&path, "test", state).expect("the same").upper(), Some(4));
    }
    // One that does not say is taken as it is.
    let plain = folder.path().join("plain.jsonl");
    replay(&mut Journal::open(&plain, "test", None).expect("created"), 4);
    assert_eq!(
        Journal::open(&plain, "test", Some("two")).expect("opened").upper(),
        Some(4)
    );
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    for foreign in [
        "hello\n",
        "hello",
        "{\"a\":1}",
        "{\"a\":1}\n{\"progress\":5}\n",
        "{\n  \"a\": 1\n}\n",
        "\n",
    ] {
        std::fs::write(&path, foreign).expect("written");
        let error = Journal::open(&path, "test", None).err().expect("refused").to_string();
        assert!(
            error.contains("is not a file of this sink") && error.contains("lines.jsonl"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("read"), foreign);
    }
    std::fs::remove_file(&path).expect("removed");
    drop(Journal::open(&path, "alerts", None).expect("created"));
    assert!(matches!(
        Journal::open(&path, "test", None),
        Err(FileError {
            problem: Problem::NotOurs { .. },
            ..
        })
    ));
    assert!(matches!(
        Journal::open(folder.path(), "test", None),
        Err(FileError {
            problem: Problem::NotAFile,
            ..
        })
    ));
    let below = path.join("below/lines.jsonl");
    assert!(matches!(
        Journal::open(&below, "test", None),
        Err(FileError {
            problem: Problem::Folder(_),
            ..
        })
    ));
}

#[test]
fn a_file_has_one_writer_and_keeps_its_place() {
    let folder = tempdir().expect("folder");
    let path = folder.path().join("lines.jsonl");
    let mut journal = Journal::open(&path, "test", None).expect("created");
    assert!(matches!(
        Journal::open(&path, "test", None),
        Err(FileError {
            problem: Problem::Locked,
            ..
        })
    ));
    std::fs::write(&path, "x").expect("meddled");
    assert!(matches!(
        journal.append(1, Vec::new()),
        Err(FileError {
            problem: Problem::Changed,
            ..
        })
    ));
    std::fs::remove_file(&path).expect("removed");
    let error = journal.append(1, Vec::new()).expect_err("refused");
    assert!(error.to_string().contains("removed or changed"), "{error}");
}

/// A disk with room for so many more bytes; a write that does not fit is written in part.
struct SmallDisk {
    file: File,
    room: Arc<AtomicI64>,
}

impl Medium for SmallDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = usize::try_from(self.room.load(Ordering::Relaxed)).unwrap_or(0);
        self.file.write_all_at(&bytes[..bytes.len().min(room)], offset)?;
        if bytes.len() > room {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn state(&self) -> io::Result<(u64, bool)> {
        self.file.state()
    }
}

#[test]
fn a_full_disk_commits_nothing_and_the_tick_can_be_tried_again() {
    let folder = tempdir().expect("folder");
    let (path, plain) = (folder.path().join("lines.jsonl"), folder.path().join("plain.jsonl"));
    replay(&mut Journal::open(&plain, "test", None).expect("created"), 8);
    let mut journal = Journal::open(&path, "test", None).expect("created");
    let room = Arc::new(AtomicI64::new(0));
    let file = File::options().read(true).write(true).open(&path).expect("opened");
    journal.medium = Box::new(SmallDisk {
        file,
        room: Arc::clone(&room),
    });
    let mut errors = 0;
    for tick in 1..=8 {
        for bytes in 0.. {
            room.store(bytes, Ordering::Relaxed);
            match journal.append(tick, lines(tick)) {
                Ok(()) => break,
                Err(error) => {
                    assert!(error.to_string().contains("no space left to write it"), "{error}");
                    assert_eq!(journal.upper(), tick.checked_sub(1).filter(|t| *t > 0));
                    errors += 1;
                }
            }
        }
    }
    assert!(errors > 100);
    assert_eq!(
        std::fs::read(&path).expect("read"),
        std::fs::read(&plain).expect("read")
    );
}
