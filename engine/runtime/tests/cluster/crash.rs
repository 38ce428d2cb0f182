//! Processes are killed at random moments; the others notice, all start again by themselves, and the end is the same.

use crate::history::History;
use crate::process::{PATIENCE, Process, send};
use crate::world::{Spread, World};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

const HISTORY: History = History {
    seed: 23,
    posts: 6_000,
    step: 1_000,
    revised: true,
};
/// Kills of each kind: the working process of the leader, that of the follower, and either supervisor.
const KILLS: usize = 5;

#[test]
fn killed_again_and_again_the_end_is_as_if_nothing_had_happened() {
    let seed: u64 = std::env::var("GROUNDSWELL_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(3);
    let one = Spread {
        processes: 1,
        workers: 1,
    };
    let two = Spread {
        processes: 2,
        workers: 1,
    };
    let calm = World::new(HISTORY, one, "tick: 20ms", "full");
    calm.run();

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // 100 minutes of event time in 10 seconds.
    let world = World::new(HISTORY, two, "tick: 20ms", "\"600x\"");
    let mut processes = world.start_all();
    let (mut killed, mut at_work, mut written) = ([0; 3], 0, 0);
    let began = Instant::now();
    while killed.iter().sum::<usize>() < 3 * KILLS {
        std::thread::sleep(Duration::from_millis(random.random_range(20..600)));
        // Mostly at work, now and then while they start.
        if random.random_range(0..4) > 0 {
            while world.written() == written {
                assert!(began.elapsed() < PATIENCE, "{killed:?} kills, then nothing was written");
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..200)));
        }
        let process = random.random_range(0..2);
        // The supervisor, every third time; it is started anew by whoever started it.
        let kind = if killed[process] >= KILLS || random.random_range(0..3) == 0 {
            2
        } else {
            process
        };
        if kind == 2 && killed[2] >= KILLS {
            continue;
        }
        assert!(
            !processes[process].has_ended(),
            "{killed:?}: {}",
            processes[process].said()
        );
        if kind == 2 {
            processes[process].signal("KILL");
            let killed = std::mem::replace(&mut processes[process], world.start(process));
            assert!(!killed.said().contains("panicked"), "{}", killed.said());
        } else {
            let Some(worker) = processes[process].worker() else {
                continue;
            };
            send(worker, "KILL");
        }
        killed[kind] += 1;
        at_work += usize::from(world.written() > written);
        written = world.written();
    }
    let took = began.elapsed();
    let mut lost = 0;
    for (process, ended) in processes.into_iter().map(Process::end).enumerate() {
        assert_eq!(ended.code, Some(0), "process {process}:\n{}", ended.stderr);
        assert!(
            !ended.stderr.contains("panicked"),
            "process {process}:\n{}",
            ended.stderr
        );
        lost += ended.stderr.matches("lost process").count();
    }
    println!(
        "seed {seed}: {killed:?} kills (leader, follower, supervisors) in {took:.1?}, {at_work} of them at work, {lost} losses \
         told by those that were left, done after {:.1?}",
        began.elapsed()
    );
    assert!(at_work >= KILLS, "most kills were to hit a running pipeline");
    world.tables().assert_equal(&calm.tables(), "killed");
}
