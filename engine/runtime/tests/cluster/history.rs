//! Files of posts with edits, deletions, repetitions and garbage, of votes, threads and entities, the same for the same seed.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

const T0: i64 = 1_700_000_040_000;
const WORDS: [&str; 16] = [
    "apple", "Google", "Rust", "linux", "kernel", "iPhone", "good", "great", "love", "bad", "awful", "worst", "the",
    "a", "so", "today",
];

/// What is written into the files.
#[derive(Clone, Copy)]
pub struct History {
    pub seed: u64,
    pub posts: usize,
    /// Between two posts (ms of event time).
    pub step: i64,
    /// Posts and threads change, rows of one post differ, and the dictionary changes.
    pub revised: bool,
}

impl History {
    /// Writes `posts.jsonl`, `votes.jsonl`, `threads.jsonl` and `entities.jsonl`.
    pub fn write(&self, folder: &Path) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let (mut posts, mut votes, mut threads) = (String::new(), String::new(), String::new());
        let line = |to: &mut String, value: Value| writeln!(to, "{value}").unwrap();
        let mut written: Vec<Value> = Vec::new();
        for n in 0..self.posts {
            let at = T0 + i64::try_from(n).unwrap() * self.step;
            let parent = (n > 0 && random.random_bool(0.6)).then(|| format!("p{}", random.random_range(0..n)));
            let post = json!({
                "id": format!("p{n}"), "thread": format!("t{}", random.random_range(0..20)), "parent": parent,
                "author": format!("a{}", random.random_range(0..50)), "source": format!("s{}", n % 3),
                "text": text(&mut random), "score": random.random_range(-5..200), "created_at": at,
            });
            line(&mut posts, post.clone());
            written.push(post.clone());
            let old = written.choose(&mut random).unwrap();
            match random.random_range(0..20) {
                0..4 if self.revised => {
                    let mut edited = old.clone();
                    edited["text"] = json!(text(&mut random));
                    line(&mut posts, edited);
                }
                4 if self.revised => line(&mut posts, json!({"id": old["id"], "deleted": true})),
                5 => line(&mut posts, old.clone()),
                6 => line(&mut posts, json!({"id": format!("p{n}"), "text": "no date"})),
                7 => posts.push_str("{\"id\": \"p1\", garbage\n"),
                8 if self.revised => line(
                    &mut threads,
                    json!({"thread": format!("t{}", random.random_range(0..20)), "deleted": random.random_bool(0.5)}),
                ),
                _ => {}
            }
            if random.random_bool(0.7) {
                let votes_at = at + random.random_range(0..600_000);
                let score = random.random_bool(0.9).then(|| random.random_range(-5..2_000));
                // Of several votes in one tick it is chance which of them come too late to change anything.
                let of = if self.revised { old } else { &post };
                line(
                    &mut votes,
                    json!({"id": of["id"], "score": score, "observed_at": votes_at}),
                );
            }
        }
        let entity = |id: &str, name: &str, aliases: &[&str]| json!({"id": id, "name": name, "aliases": aliases});
        let mut entities = String::new();
        line(&mut entities, entity("apple", "Apple", &["iPhone"]));
        line(&mut entities, entity("google", "Google", &[]));
        line(&mut entities, entity("linux", "Linux", &["kernel"]));
        if self.revised {
            line(&mut entities, entity("rust", "Rust", &[]));
            line(&mut entities, entity("linux", "Linux", &[]));
        }
        for (name, lines) in [
            ("posts", posts),
            ("votes", votes),
            ("threads", threads),
            ("entities", entities),
        ] {
            std::fs::write(folder.join(format!("{name}.jsonl")), lines).unwrap();
        }
    }
}

fn text(random: &mut ChaCha8Rng) -> String {
    let n = random.random_range(1..9);
    let words: Vec<&str> = (0..n).map(|_| *WORDS.choose(random).unwrap()).collect();
    words.join(" ")
}
