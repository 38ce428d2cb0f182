//! Joining, with members on threads and strangers by hand.
#![allow(clippy::unwrap_used)]

use super::talk::{Hello, Line, Talk};
use super::{ClusterError, Joined, Member, OnLost};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn hosts(n: usize) -> Vec<String> {
    (0..n)
        .map(|_| groundswell_testing::port::free().unwrap().to_string())
        .collect()
}

fn member(hosts: &[String], process: usize) -> Member {
    Member {
        hosts: hosts.to_vec(),
        process,
        workers: 2,
        pipeline: "p".into(),
        graph: 7,
    }
}

fn join(member: Member) -> JoinHandle<Result<Joined, ClusterError>> {
    let lost: OnLost = Arc::new(|_| {});
    std::thread::spawn(|| member.join(lost))
}

/// All must have joined, each with a connection to every other one.
fn all_joined(joining: Vec<JoinHandle<Result<Joined, ClusterError>>>) {
    let began = Instant::now();
    let n = joining.len();
    let joined: Vec<Joined> = joining
        .into_iter()
        .map(|thread| {
            while !thread.is_finished() {
                assert!(began.elapsed() < PATIENCE, "they never joined");
                std::thread::sleep(Duration::from_millis(5));
            }
            thread.join().unwrap().map_err(|e| e.to_string()).unwrap()
        })
        .collect();
    for (process, joined) in joined.iter().enumerate() {
        let linked: Vec<bool> = joined.links.iter().map(Option::is_some).collect();
        assert_eq!(linked, Vec::from_iter((0..n).map(|other| other != process)));
        assert_eq!((joined.member().process, joined.peers()), (process, 2 * n));
    }
}

/// A process that comes to the leader like process `from`, as soon as the leader listens.
fn impostor(hosts: &[String], from: usize, pipeline: &str, graph: u128) -> Talk {
    let began = Instant::now();
    let stream = loop {
        match TcpStream::connect(&hosts[0]) {
            Ok(stream) => break stream,
            Err(e) => assert!(began.elapsed() < PATIENCE, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut talk = Talk::new(stream).unwrap();
    talk.say(&Line::Hello(Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        from,
        to: 0,
        processes: hosts.len(),
        workers: 2,
        pipeline: pipeline.into(),
        graph: format!("{graph:032x}"),
        session: None,
    }))
    .unwrap();
    talk
}

#[test]
fn members_join_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let hosts = hosts(4);
        let mut joining = Vec::new();
        for process in order {
            joining.push((process, join(member(&hosts, process))));
            std::thread::sleep(Duration::from_millis(30));
        }
        joining.sort_by_key(|(process, _)| *process);
        all_joined(joining.into_iter().map(|(_, thread)| thread).collect());
    }
}

#[test]
fn who_leaves_before_or_after_the_session_is_named_is_replaced() {
    let hosts = hosts(3);
    let (zero, one) = (join(member(&hosts, 0)), join(member(&hosts, 1)));
    let mut first = impostor(&hosts, 2, "p", 7);
    assert_eq!(first.hear_within(PATIENCE).unwrap(), Line::Accepted);
    // Whether the session is named by now is a matter of luck; this one does not wait for it.
    drop(first);
    let mut second = impostor(&hosts, 2, "p", 7);
    loop {
        match second.hear_within(PATIENCE).unwrap() {
            Line::Session(_) => break,
            Line::Accepted => {}
            // The first one's place was not free yet.
            Line::Refused { lasting: false, .. } => second = impostor(&hosts, 2, "p", 7),
            other => panic!("{other:?}"),
        }
    }
    drop(second);
    all_joined(vec![zero, one, join(member(&hosts, 2))]);
}

#[test]
fn who_differs_is_refused_and_who_is_there_already_is_told_so() {
    let hosts = hosts(4);
    let (zero, one) = (join(member(&hosts, 0)), join(member(&hosts, 1)));
    let refused = |mut talk: Talk| match talk.hear_within(PATIENCE).unwrap() {
        Line::Refused { why, lasting } => (why, lasting),
        other => panic!("{other:?}"),
    };
    let (why, lasting) = refused(impostor(&hosts, 2, "q", 8));
    assert!(lasting && why.contains("\"q\"") && why.contains("\"p\""), "{why}");
    let mut two = impostor(&hosts, 2, "p", 7);
    assert_eq!(two.hear_within(PATIENCE).unwrap(), Line::Accepted);
    let (why, lasting) = refused(impostor(&hosts, 2, "p", 7));
    assert!(!lasting && why.contains("process 2 is here already"), "{why}");
    drop(two);
    let mut other = member(&hosts, 2);
    other.graph = 8;
    let error = join(other).join().unwrap().err().unwrap().to_string();
    assert!(
        error.contains("process 0") && error.contains("same pipeline file"),
        "{error}"
    );
    all_joined(vec![zero, one, join(member(&hosts, 2)), join(member(&hosts, 3))]);
}
