//! What flows in: posts and votes, edited, deleted, repeated, and mixed with garbage and rule changes, all from a seed.
//!
//! In: the first posts of the data folder and vote updates of theirs, or made-up ones. Out: messages in the order in which
//! they are sent. Messages with one key keep their order, since one key is one partition.

use crate::Failure;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The topics that flow in, in the order of the pipeline's sources.
pub const TOPICS: [&str; 3] = ["crash.posts", "crash.votes", "crash.rules"];
/// Where events are put back to or ahead by at most this many others.
const APART: usize = 2_000;
/// Rules that come and go.
const RULES: usize = 4;

/// One record.
#[derive(Clone)]
pub struct Message {
    /// Index into [`TOPICS`].
    pub topic: usize,
    /// Its key.
    pub key: String,
    /// Its value; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// Whether the engine must not accept it.
    pub garbage: bool,
}

/// All records.
pub struct Feed {
    /// In order.
    pub messages: Vec<Message>,
    origin: String,
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |topic| self.messages.iter().filter(|m| m.topic == topic).count();
        let garbage = self.messages.iter().filter(|m| m.garbage).count();
        write!(
            f,
            "{} records for posts (edits and deletions among them), {} for votes, {} for rules, {garbage} of all garbage; {}",
            count(0),
            count(1),
            count(2),
            self.origin
        )
    }
}

impl Feed {
    /// The feed of a seed.
    pub fn make(seed: u64, posts: usize, votes: usize) -> Result<Feed, Failure> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let folder = data();
        let (base, origin) = match &folder {
            Some(folder) => (real(folder, posts, votes)?, format!("from {}", folder.display())),
            None => (
                made_up(&mut random, posts, votes),
                "made up: no data folder (GROUNDSWELL_DATA)".to_owned(),
            ),
        };
        let mut placed: Vec<(usize, Message)> = Vec::with_capacity(base.len() + base.len() / 8);
        for (at, message) in base.into_iter().enumerate() {
            let mut later = |message| placed.push((at + random.random_range(1..APART), message));
            vary(at, &message, &mut later, seed);
            placed.push((at, message));
        }
        let all = placed.len();
        for n in 0..all / 4_000 + RULES * 2 {
            placed.push((random.random_range(0..all), rule(n, &mut random)));
        }
        placed.sort_by_key(|(at, _)| *at);
        let messages = placed.into_iter().map(|(_, message)| message).collect();
        Ok(Feed { messages, origin })
    }
}

/// Edits, deletions, repetitions and garbage that a message brings along.
fn vary(at: usize, message: &Message, later: &mut impl FnMut(Message), seed: u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let again = |value| Message {
        value,
        ..message.clone()
    };
    if message.topic == 0 {
        match dice.random_range(0..100) {
            0..3 => later(again(message.value.as_deref().map(|post| edited(post, dice.random())))),
            3..5 => later(again(None)),
            5 => {
                later(again(None));
                later(message.clone());
            }
            _ => {}
        }
    } else if dice.random_range(0..100) == 0 {
        later(message.clone());
    }
    if dice.random_range(0..60) == 0 {
        later(garbage(at, message, dice.random_range(0..6)));
    }
}

fn edited(post: &[u8], dice: u32) -> Vec<u8> {
    let mut post: Value = serde_json::from_slice(post).unwrap_or_default();
    post["text"] = json!(format!(
        "{} [edit: Rust, not {dice}]",
        post["text"].as_str().unwrap_or_default()
    ));
    post["sentiment"] = json!(f64::from(dice % 2_001) / 1_000.0 - 1.0);
    post.to_string().into_bytes()
}

/// Bytes that no decoder may accept, different every time.
fn garbage(at: usize, message: &Message, kind: u32) -> Message {
    let text = match kind {
        0 => format!("{{\"id\":\"bad_{at}\", oops").into_bytes(),
        1 => [
            format!("{{\"id\":\"bad_{at}\",\"text\":\"").as_bytes(),
            &[0xFF, 0xFE, 0],
            b"\"}",
        ]
        .concat(),
        2 => format!("[{at}, 2, 3]").into_bytes(),
        3 => format!("{{\"id\":\"bad_{at}\",\"text\":5,\"score\":\"many\",\"created_at\":\"soon\"}}").into_bytes(),
        4 => format!(
            "{{\"id\":\"{}\",\"text\":\"x\",\"created_at\":1,\"n\":{at}}}",
            "i".repeat(10_000)
        )
        .into_bytes(),
        _ => format!("{}{at}{}", "[".repeat(200), "]".repeat(200)).into_bytes(),
    };
    Message {
        topic: message.topic,
        key: format!("bad_{at}"),
        value: Some(text),
        garbage: true,
    }
}

fn rule(n: usize, random: &mut ChaCha8Rng) -> Message {
    let id = format!("r{}", random.random_range(0..RULES));
    let (value, bad) = match random.random_range(0..6) {
        0 => (None, false),
        1 => (
            Some(json!({"id": id, "view": "no_such_view", "when": "posts > 1", "n": n})),
            true,
        ),
        _ => {
            let view = ["by_hour", "by_author", "by_entity"][random.random_range(0..3)];
            let when = ["sentiment < -0.2", "posts > 3", "sentiment > 0.3 and posts > 1"][random.random_range(0..3)];
            (
                Some(json!({"id": id, "view": view, "when": when, "min_posts": random.random_range(1..4)})),
                false,
            )
        }
    };
    Message {
        topic: 2,
        // A bad one must not share a key with a good one whose order counts.
        key: if bad { format!("bad_{n}") } else { id },
        value: value.map(|rule| rule.to_string().into_bytes()),
        garbage: bad,
    }
}

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("GROUNDSWELL_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    root.join("events/hn.jsonl.gz").exists().then_some(root)
}

fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String, std::io::Error>>, Failure> {
    let file = std::fs::File::open(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines())
}

/// Posts with a sentiment of their own, and votes of these posts, by time.
fn real(folder: &Path, posts: usize, votes: usize) -> Result<Vec<Message>, Failure> {
    let mut timed = Vec::new();
    let mut ids = HashSet::new();
    for line in lines(&folder.join("events/hn.jsonl.gz"))?.take(posts) {
        let post: Value = serde_json::from_str(&line?)?;
        let id = post["id"].as_str().unwrap_or_default().to_owned();
        timed.push((post["created_at"].as_i64().unwrap_or(0), with_sentiment(post)));
        ids.insert(id);
    }
    let mut updates = Vec::new();
    for line in lines(&folder.join("score_updates/hn.jsonl.gz"))? {
        let line = line?;
        let update: Value = serde_json::from_str(&line)?;
        let id = update["id"].as_str().unwrap_or_default();
        if ids.contains(id) {
            updates.push((update["observed_at"].as_i64().unwrap_or(0), vote(id, line.into_bytes())));
        }
    }
    let every = updates.len().div_ceil(votes.max(1)).max(1);
    timed.extend(updates.into_iter().step_by(every));
    timed.sort_by_key(|(at, _)| *at);
    Ok(timed.into_iter().map(|(_, message)| message).collect())
}

fn vote(id: &str, value: Vec<u8>) -> Message {
    Message {
        topic: 1,
        key: id.to_owned(),
        value: Some(value),
        garbage: false,
    }
}

/// Every twentieth has none: it counts, and weighs nothing.
fn with_sentiment(mut post: Value) -> Message {
    let id = post["id"].as_str().unwrap_or_default().to_owned();
    let digest = id
        .bytes()
        .fold(17u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    if digest % 20 != 0 {
        post["sentiment"] = json!(f64::from(digest % 2_001) / 1_000.0 - 1.0);
    }
    Message {
        topic: 0,
        key: id,
        value: Some(post.to_string().into_bytes()),
        garbage: false,
    }
}

fn made_up(random: &mut ChaCha8Rng, posts: usize, votes: usize) -> Vec<Message> {
    const WORDS: [&str; 12] = [
        "Apple", "google", "RUST", "linux", "the", "new", "iPhone", "rustc", "kernel", "crate", "is", "slow",
    ];
    let start = 1_604_686_251_000_i64;
    let mut out = Vec::new();
    for n in 0..posts {
        let text: Vec<&str> = (0..6).map(|_| WORDS[random.random_range(0..WORDS.len())]).collect();
        let at = start + n as i64 * 60_000;
        out.push(with_sentiment(json!({
            "id": format!("m_{n}"), "source": "made-up", "thread": format!("t_{}", n / 9),
            "author": format!("a_{}", random.random_range(0..500)), "text": text.join(" "), "score": 1, "created_at": at,
        })));
        for _ in 0..votes / posts.max(1) {
            let of = n - random.random_range(0..=n.min(200));
            let (score, at) = (random.random_range(-5..400), at + random.random_range(0..1_800_000));
            let id = format!("m_{of}");
            let value = json!({"id": id, "score": score, "observed_at": at}).to_string();
            out.push(vote(&id, value.into_bytes()));
        }
    }
    out
}
