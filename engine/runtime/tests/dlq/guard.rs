//! What the engine itself refuses, whoever asks.

use crate::world::{eventually, post};
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, letters, start};
use groundswell_connectors::dlq::{ATTEMPTS, LETTERS, Letter, Refusal, Replays, Verdict};
use std::ops::ControlFlow;
use std::path::Path;

fn run(folder: &Path) -> Running {
    let text = "name: guard\nstate: {url: \"file:./state\"}\ntime: {clock: event, tick: 5ms}\n\
        sources:\n  posts: {type: file, path: posts.jsonl, into: posts, map: {created_at: when}}\n  \
        made: {type: generator, seed: 1, limit: 1}\n  cast: {type: file, path: cast.jsonl, into: entities}\n\
        models: {live: fixture}\nviews: {total: {group_by: [], window: {tumble: 1d}}}\nserve: false\n";
    let pipeline = config::parse(text, "p.yaml", folder, &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let running = start(&pipeline, Connections::default()).unwrap();
    eventually("drained and committed", || {
        let status = running.engine.status();
        assert_eq!(status.fatal(), None);
        status.is_drained() && status.is_committed()
    });
    running
}

fn kept(folder: &Path) -> Vec<Letter> {
    let text = std::fs::read_to_string(folder.join("state/dead_letters.jsonl")).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with("{\"progress\":"));
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn each_letter_has_its_answer_and_none_comes_back_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let garbage = "{\"id\": oops";
    let posts = [post("a", "love", 5, false), garbage.to_owned()];
    std::fs::write(folder.join("posts.jsonl"), posts.join("\n") + "\n").unwrap();
    std::fs::write(
        folder.join("cast.jsonl"),
        "{\"id\":\"x\",\"name\":\"X\"}\n{\"id\":\"y\"}\n",
    )
    .unwrap();
    let running = run(folder);
    let replayer = running.engine.replayer();
    let verdicts = |letters: &[Letter], dry_run| {
        let replayed = replayer.replay(letters, dry_run).unwrap();
        replayed
            .letters
            .into_iter()
            .map(|a| (a.verdict, a.message.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    eventually("the letters are written", || {
        kept(folder).iter().any(|l| l.source == "posts")
    });
    let known = kept(folder);
    let find = |code: &str| known.iter().find(|l| l.code == code).unwrap().clone();
    let (bad, nameless) = (find("invalid_json"), find("missing_field"));

    let other = |change: &dyn Fn(&mut Letter)| {
        let mut letter = bad.clone();
        change(&mut letter);
        letter
    };
    let strange = [
        other(&|l| l.source = "post".into()),
        other(&|l| l.source = "made".into()),
        other(&|l| l.offset = 1 << 40),
        other(&|l| l.partition = 7),
        other(&|l| l.stage = "score".into()),
        other(&|l| l.code = "too_large".into()),
    ];
    let answers = verdicts(&strange, false);
    for ((verdict, message), words) in answers.iter().zip([
        "no source \"post\" in the pipeline; did you mean \"posts\"?",
        "makes its records itself",
        "has not read offset 1099511627776",
        "of partition 7",
        "`models.live`",
        "raise the source's `max_bytes`",
    ]) {
        assert!(
            *verdict == Verdict::Refused && message.contains(words),
            "{verdict:?} {message}"
        );
    }
    // Twice in one request: once.
    let twice = verdicts(&[bad.clone(), bad.clone()], true);
    assert_eq!((twice[0].0, twice[1].0), (Verdict::StillBad, Verdict::Refused));
    let many = vec![bad.clone(); LETTERS + 1];
    assert!(matches!(replayer.replay(&many, true), Err(Refusal::TooMany { .. })));

    // The first letter, sent again and again, is recorded once more and never again.
    for _ in 0..8 {
        assert_eq!(verdicts(std::slice::from_ref(&bad), false)[0].0, Verdict::StillBad);
    }
    eventually("the letter of the second attempt", || {
        kept(folder).iter().any(|l| l.attempt == 2)
    });
    // One that says how often it was tried comes to its end.
    for attempt in 2..ATTEMPTS {
        let answer = &verdicts(&[other(&|l| l.attempt = attempt)], false)[0];
        assert_eq!(answer.0, Verdict::StillBad, "{attempt}: {}", answer.1);
    }
    for attempt in [ATTEMPTS, 1, u32::MAX] {
        let answer = &verdicts(&[other(&|l| l.attempt = attempt)], false)[0];
        assert!(
            answer.0 == Verdict::Refused && answer.1.contains("after 5 attempts"),
            "{answer:?}"
        );
    }
    let attempts = || {
        let letters = kept(folder);
        let of_bad = letters.iter().filter(|l| l.position() == bad.position());
        of_bad.map(|l| l.attempt).collect::<Vec<_>>()
    };
    eventually("five letters", || attempts() == [1, 2, 3, 4, 5]);
    for letter in kept(folder).iter().filter(|l| l.position() == bad.position()) {
        assert_eq!(letter.payload, garbage.as_bytes());
    }

    // A letter that is good now comes in, however often it failed, and its repetition is one.
    let mended = |l: &Letter, text: &str| Letter {
        payload: text.as_bytes().to_vec(),
        attempt: 9,
        ..l.clone()
    };
    let good = [
        mended(&bad, &post("c", "hate", 6, false)),
        mended(&nameless, "{\"id\":\"y\",\"name\":\"Y\"}"),
    ];
    for verdict in [Verdict::Accepted, Verdict::Duplicate, Verdict::Duplicate] {
        let now: Vec<_> = verdicts(&good, false).into_iter().map(|a| a.0).collect();
        assert_eq!(now, [verdict, verdict]);
    }
    let totals = |source: &str| running.shared.metrics.source_totals(source);
    for source in ["posts", "cast"] {
        let totals = totals(source);
        assert_eq!(
            totals.read,
            totals.accepted + totals.duplicate + totals.dead_lettered,
            "{source}"
        );
    }
    assert_eq!(totals("cast").accepted, 2);
    running.stop().unwrap();

    // After a restart the log still knows how far the count was.
    let running = run(folder);
    let again = running
        .engine
        .replayer()
        .replay(std::slice::from_ref(&bad), false)
        .unwrap();
    assert_eq!(again.letters[0].verdict, Verdict::Refused);
    running.stop().unwrap();

    // The reader of the pipeline sees what the sink wrote.
    let pipeline = config::parse(
        "name: guard\nsources: {posts: {type: file, path: posts.jsonl, into: posts}}\nmodels: {live: fixture}\n\
         state: {url: \"file:./state\"}\nviews: {total: {group_by: [], window: {tumble: 1d}}}\n",
        "p.yaml",
        folder,
        &|_| None,
    );
    let (sink, mut read) = letters(&pipeline.unwrap(), None).unwrap();
    let mut found = Vec::new();
    read.read(&mut |letter| {
        found.push(letter);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((sink.as_str(), found), ("dead_letters", kept(folder)));
}
