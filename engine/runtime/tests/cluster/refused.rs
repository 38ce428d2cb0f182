//! What is set up wrongly, and what can be waited for: told in words, without a panic, within a bounded number of lines.

use crate::history::History;
use crate::process::{Process, free_hosts};
use crate::world::{Spread, World};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const TWO: Spread = Spread {
    processes: 2,
    workers: 1,
};

fn world() -> World {
    let history = History {
        seed: 1,
        posts: 50,
        step: 1_000,
        revised: true,
    };
    World::new(history, TWO, "tick: 20ms", "full")
}

fn run(folder: &Path, args: &[&str]) -> Process {
    let pipeline = folder.join("pipeline.yaml").display().to_string();
    Process::start(["run", &pipeline].iter().chain(args))
}

#[test]
fn mistakes_end_with_code_2_and_say_what_to_do() {
    let world = world();
    let hosts = world.path().join("other-hosts").display().to_string();
    let [free, other] = <[String; 2]>::try_from(free_hosts(2)).unwrap();
    let cases: [(&str, &[&str], &[&str]); 9] = [
        ("", &["--processes", "2", "--process", "2"], &["numbered from 0 to 1"]),
        ("", &["--processes", "0"], &["--processes"]),
        ("", &["--processes", "2"], &["needs --hosts FILE"]),
        (
            "",
            &["--processes", "2", "--hosts", "nowhere"],
            &["cannot read the hosts file", "nowhere"],
        ),
        (
            &free,
            &["--processes", "2", "--hosts", &hosts],
            &["names 1 of 2 processes"],
        ),
        (
            "localhost\nlocalhost:1\n",
            &["--processes", "2", "--hosts", &hosts],
            &["line 1", "host:port"],
        ),
        (
            "a:1\na:1\n",
            &["--processes", "2", "--hosts", &hosts],
            &["lines 1 and 2"],
        ),
        // Nobody's address here (RFC 5737).
        (
            "192.0.2.1:2101\na:2\n",
            &["--processes", "2", "--hosts", &hosts],
            &["cannot listen on \"192.0.2.1:2101\""],
        ),
        (
            &format!("no-such-host.invalid:2101\n{other}\n"),
            &["--processes", "2", "--hosts", &hosts],
            &["cannot listen on \"no-such-host.invalid:2101\""],
        ),
    ];
    for (lines, args, says) in cases {
        std::fs::write(&hosts, lines).unwrap();
        let ended = run(world.path(), args).end();
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        for part in says {
            assert!(
                ended.stderr.contains(part),
                "{args:?} does not say {part:?}: {}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[test]
fn another_pipeline_is_refused_by_name_and_the_right_one_is_waited_for() {
    let (right, wrong) = (world(), world());
    let text = std::fs::read_to_string(wrong.path().join("pipeline.yaml")).unwrap();
    let altered = [
        (
            text.replace("tumble: 1m", "tumble: 2m")
                .replace("name: spread", "name: elsewhere"),
            "\"elsewhere\"",
        ),
        (text.replace("workers: 1", "workers: 3"), "3 workers"),
    ];
    let leader = right.start(0);
    for (pipeline, says) in altered {
        std::fs::write(wrong.path().join("pipeline.yaml"), pipeline).unwrap();
        std::fs::copy(right.path().join("hosts"), wrong.path().join("hosts")).unwrap();
        let ended = wrong.start(1).end();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        for said in [&ended.stderr, &leader.said()] {
            assert!(said.contains(says) && said.contains("same pipeline file"), "{said}");
        }
    }
    let follower = right.start(1);
    for ended in [leader.end(), follower.end()] {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

#[test]
fn whoever_is_alone_says_what_it_waits_for_and_stops_when_asked() {
    for process in 0..2 {
        let world = world();
        let alone = world.start(process);
        alone.until("waiting for");
        std::thread::sleep(Duration::from_secs(4));
        let said = alone.said();
        assert!(said.contains(&format!("process {}", 1 - process)), "{said}");
        // After 1, 3 and 7 s.
        assert!((1..=4).contains(&said.matches("waiting for").count()), "{said}");
        alone.signal("TERM");
        let ended = alone.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// Strangers at the port, a second process of the same number, and a stop of the leader, which ends all.
#[test]
fn strangers_are_ignored_and_the_leader_ends_all() {
    let world = world().endless();
    let leader = world.start(0);
    let host = std::fs::read_to_string(world.path().join("hosts")).unwrap();
    let host = host.lines().next().unwrap();
    let began = Instant::now();
    let mut strangers: Vec<TcpStream> = Vec::new();
    while strangers.len() < 3 && began.elapsed() < Duration::from_secs(20) {
        strangers.extend(TcpStream::connect(host));
        std::thread::sleep(Duration::from_millis(20));
    }
    strangers[0].write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // It may be thrown out before it has said everything.
    let _ = strangers[1].write_all(&[b'x'; 50_000]);
    let follower = world.start(1);
    leader.until("serving http");
    let second = world.start(1);
    second.until("waiting for process 0");
    second.signal("TERM");
    assert_eq!(second.end().code, Some(0));
    leader.signal("TERM");
    for ended in [leader.end(), follower.end()] {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("lost process"), "{}", ended.stderr);
    }
}
