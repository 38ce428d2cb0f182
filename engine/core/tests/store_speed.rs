//! How fast the store is. Not run by default: `cargo test --release -p groundswell-core --test store_speed -- --ignored
//! --nocapture`; set `GROUNDSWELL_SPEED_DIR` to a folder on the disk in question (tmpfs shows the encoding alone).

use groundswell_core::record::{Envelope, Post, Record, TickBatch, Votes};
use groundswell_core::store::{Store, StoreOptions, verify};
use std::time::Instant;

/// Posts of about 300 bytes with words drawn from a small generator, so that they compress like text.
fn post(n: u64) -> Envelope {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        [
            "game",
            "clutch",
            "refs",
            "tonight",
            "lebron",
            "why",
            "the",
            "absolutely",
            "zone",
            "three",
        ][(state % 10) as usize]
    };
    let text = (0..36).map(|_| word()).collect::<Vec<_>>().join(" ");
    let post = Post {
        id: format!("t1_{n:08x}"),
        source: "reddit:nba".into(),
        thread: format!("t3_{:x}", n % 50),
        parent: n.is_multiple_of(3).then(|| format!("t1_{:08x}", n / 2)),
        author: Some(format!("fan{}", n % 5_000)),
        text,
        votes: Some((n % 90) as i64),
        observed_at: 1_700_000_000_000 + n as i64,
        created_at: 1_700_000_000_000 + n as i64,
        ..Post::default()
    };
    Envelope {
        source: 0,
        partition: 0,
        offset: n,
        order: n,
        record: Record::Post(post),
    }
}

fn votes(n: u64) -> Envelope {
    let votes = Votes {
        id: format!("t1_{:08x}", n % 400_000),
        votes: Some((n % 97) as i64),
        observed_at: n as i64,
    };
    Envelope {
        source: 1,
        partition: 0,
        offset: n,
        order: n,
        record: Record::Votes(votes),
    }
}

/// Seconds this thread has spent on a core: the machine may be shared.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|ns| ns.parse::<f64>().ok())
        .unwrap_or_default()
        / 1e9
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let root = std::env::var("GROUNDSWELL_SPEED_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    let folder = tempfile::tempdir_in(root).expect("folder");
    let mut options = StoreOptions::new(folder.path().display().to_string());
    options.fold_after_bytes = u64::MAX;
    let (mut store, _) = Store::open(options.clone()).expect("opened");

    let mut tick = 0;
    let mut run = |store: &mut Store, what: &str, ticks: u64, per_tick: u64, make: &dyn Fn(u64) -> Envelope| {
        let batches: Vec<_> = (0..ticks)
            .map(|t| TickBatch {
                tick: tick + t + 1,
                clock: 0,
                bindings: vec![],
                records: (0..per_tick).map(|i| make(t * per_tick + i)).collect(),
            })
            .collect();
        tick += ticks;
        let before = store.bytes().log;
        let mut times = Vec::new();
        let (start, cpu_start) = (Instant::now(), cpu());
        for batch in &batches {
            let start = Instant::now();
            store.append(batch).expect("appended");
            times.push(start.elapsed());
        }
        let seconds = start.elapsed().as_secs_f64();
        times.sort();
        let rows = (ticks * per_tick) as f64;
        println!(
            "append {what}: {:.0} records/s, {:.0} per CPU second, {:.1} B/record, {} B/tick, p50 {:?}, p99 {:?}",
            rows / seconds,
            rows / (cpu() - cpu_start),
            (store.bytes().log - before) as f64 / rows,
            (store.bytes().log - before) / ticks,
            times[times.len() / 2],
            times[times.len() * 99 / 100],
        );
    };
    run(&mut store, "posts, 20,000 a tick", 20, 20_000, &post);
    run(&mut store, "votes, 20,000 a tick", 50, 20_000, &votes);
    run(&mut store, "posts, 10 a tick", 2_000, 10, &post);
    drop(store);

    let timed = |what: &str, rows: u64, work: &mut dyn FnMut() -> u64| {
        let (start, cpu_start) = (Instant::now(), cpu());
        let done = work();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu() - cpu_start);
        println!(
            "{what}: {seconds:.3} s, {cpu:.3} CPU s, {:.0} records per CPU s, result {done}",
            rows as f64 / cpu
        );
    };
    let total = 400_000 + 1_000_000 + 20_000;
    let mut opened = None;
    timed("open 2,070 ticks of log", total, &mut || {
        opened = Some(Store::open(options.clone()).expect("opened"));
        0
    });
    let (mut store, restore) = opened.expect("opened");
    let count =
        |restore: groundswell_core::store::Restore| restore.map(|b| b.expect("read").records.len() as u64).sum();
    let mut restore = Some(restore);
    timed("restore the log", total, &mut || count(restore.take().expect("once")));
    timed("fold", total, &mut || {
        store.fold_now().expect("folded");
        store.bytes().snapshot
    });
    drop(store);
    let (store, restore) = Store::open(options.clone()).expect("opened");
    let mut restore = Some(restore);
    timed("restore the snapshot", 800_000, &mut || {
        count(restore.take().expect("once"))
    });
    timed("verify", 800_000, &mut || {
        verify(&options.url).expect("verified").problems.len() as u64
    });
    drop(store);
}
