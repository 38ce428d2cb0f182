//! Records of the systems from a fixed seed, and what is asked of their routes.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const SEED: u64 = 42;
const WORDS: u32 = 3_000;
const MEMBERS: u32 = 20;
const AUTHORS: u32 = 2_000;
const USERS: u32 = 500;
const MINUTE: i64 = 60_000;

/// Which pipeline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum System {
    Thread,
    Sentiment,
    Social,
    Feeds,
}

/// Lines of key, tab and JSON for a topic.
pub struct Batch {
    pub topic: &'static str,
    pub lines: Vec<String>,
}

impl System {
    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            System::Thread => "live-thread",
            System::Sentiment => "live-sentiment",
            System::Social => "social-analytics",
            System::Feeds => "feeds",
        }
    }

    /// The topics it reads.
    pub fn topics(self) -> &'static [&'static str] {
        match self {
            System::Thread => &["live.posts", "live.votes", "live.threads", "live.cast", "live.rules"],
            System::Sentiment => &["sentiment_stream"],
            System::Social => &[
                "social.tweets",
                "social.videos",
                "social.reddit",
                "social.streams",
                "social.followers",
            ],
            System::Feeds => &["feeds.posts", "feeds.interactions", "feeds.follows"],
        }
    }

    /// The source of posts that is watched.
    pub fn posts(self) -> &'static str {
        match self {
            System::Social => "tweets",
            _ => "posts",
        }
    }

    /// Its topic.
    pub fn topic_of_posts(self) -> &'static str {
        self.topics()[0]
    }

    /// What clients ask for.
    pub fn targets(self, made: &Maker) -> Vec<String> {
        let fixed: &[&str] = match self {
            System::Thread => &[
                "/api/threads?page=1&page_size=20",
                "/api/threads/t1",
                "/api/threads/t1/cast",
                "/api/threads/t1/cast/m1",
                "/api/threads/t1/timeline",
                "/api/v1/alerts",
            ],
            System::Sentiment => &[
                "/api/posts?limit=20",
                "/api/sentiment/aggregate?period=hour",
                "/api/sentiment/aggregate?period=day",
                "/api/sentiment/distribution?hours=24",
                "/api/health",
            ],
            System::Social => &[
                "/api/analytics/accounts/rollup?by=source&sort=-likes",
                "/api/analytics/platforms/series?column=likes&source=twitter&average=3",
                "/api/analytics/posting_times/best-times?source=twitter&min_posts=3",
                "/api/export/platforms/report?days=7",
                "/api/v1/views/platforms?limit=100",
            ],
            System::Feeds => &["/api/v1/views/trending?limit=20", "/api/v1/posts/user/a1?limit=20"],
        };
        let mut targets: Vec<String> = fixed.iter().map(|&target| target.to_owned()).collect();
        if self == System::Feeds {
            for algorithm in ["chronological", "engagement", "ranked"] {
                targets.push(format!("/api/v1/posts/feed/?user=u1&algorithm={algorithm}&limit=20"));
            }
            targets.push(format!("/api/v1/posts/p{}/likes?limit=20", made.made / 2));
        }
        targets
    }
}

/// Makes records.
pub struct Maker {
    system: System,
    random: ChaCha8Rng,
    /// When all began (epoch ms).
    begin: i64,
    made: usize,
}

impl Maker {
    /// From the fixed seed.
    pub fn new(system: System, now: i64) -> Self {
        Maker {
            system,
            random: ChaCha8Rng::seed_from_u64(SEED),
            begin: now - 6 * 60 * MINUTE,
            made: 0,
        }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random.random_range(0..n)
    }

    fn text(&mut self) -> String {
        let words: Vec<String> = (0..15).map(|_| format!("w{}", self.below(WORDS))).collect();
        match self.system {
            System::Thread => format!("{} member{}", words.join(" "), self.below(MEMBERS)),
            System::Feeds => format!("{} #tag{} @u{}", words.join(" "), self.below(200), self.below(USERS)),
            _ => words.join(" "),
        }
    }

    /// What is there before the posts.
    pub fn beginning(&mut self) -> Vec<Batch> {
        match self.system {
            System::Thread => {
                let thread = |n| {
                    line(
                        &format!("t{n}"),
                        &json!({ "id": format!("t{n}"), "title": format!("Episode {n}"),
                    "air_time": self.begin + 60 * MINUTE, "ends_at": self.begin + 240 * MINUTE }),
                    )
                };
                let member = |n| {
                    line(
                        &format!("m{n}"),
                        &json!({ "id": format!("m{n}"), "name": format!("member{n}") }),
                    )
                };
                vec![
                    Batch {
                        topic: "live.threads",
                        lines: (0..10).map(thread).collect(),
                    },
                    Batch {
                        topic: "live.cast",
                        lines: (0..MEMBERS).map(member).collect(),
                    },
                ]
            }
            System::Social => {
                let followers = |n| {
                    line(
                        &format!("a{n}"),
                        &json!({ "account": format!("twitter:a{n}"), "followers": 100 + 7 * n, "fetched_at": self.begin }),
                    )
                };
                vec![Batch {
                    topic: "social.followers",
                    lines: (0..AUTHORS).map(followers).collect(),
                }]
            }
            System::Feeds => {
                let follow = |n: u32| {
                    let (user, author) = (n / 20, n * 7_919 % AUTHORS);
                    line(
                        &format!("{user}>{author}"),
                        &json!({ "follower": format!("u{user}"), "followed": format!("a{author}"), "at": self.begin }),
                    )
                };
                vec![Batch {
                    topic: "feeds.follows",
                    lines: (0..USERS * 20).map(follow).collect(),
                }]
            }
            System::Sentiment => Vec::new(),
        }
    }

    /// More posts, spread from where the last ended to `now`, and what comes with them.
    pub fn more(&mut self, posts: usize, now: i64) -> Vec<Batch> {
        let from = if self.made == 0 { self.begin } else { now - 200 };
        let (mut main, mut beside) = (Vec::new(), Vec::new());
        for n in 0..posts {
            let at = from + (now - from) * i64::try_from(n).unwrap_or(0) / i64::try_from(posts).unwrap_or(1).max(1);
            let id = self.made;
            self.made += 1;
            let (key, author, text) = (format!("p{id}"), format!("a{}", self.below(AUTHORS)), self.text());
            let sentiment = f64::from(self.below(2_001)) / 1_000.0 - 1.0;
            let score = self.below(400);
            let mut post = json!({ "author": author, "created_at": at, "sentiment": sentiment });
            match self.system {
                System::Thread => {
                    post["id"] = json!(key);
                    post["thread"] = json!(format!("t{}", self.below(10)));
                    post["text"] = json!(text);
                    for (later, votes) in [(1, score), (2, score + self.below(50))] {
                        let vote = json!({ "id": key, "score": votes, "observed_at": at + later * MINUTE });
                        beside.push(line(&key, &vote));
                    }
                }
                System::Sentiment => {
                    post["post_id"] = json!(key);
                    post["content"] = json!(text);
                    post["source"] = json!(["reddit", "twitter", "forum"][id % 3]);
                }
                System::Social => {
                    post = json!({ "tweet_id": key, "user_id": format!("tenant{}", id % 2), "username": author, "text": text,
                        "created_at": at, "fetched_at": at, "likes": score, "retweets": score / 7, "replies": score / 5,
                        "sentiment": sentiment });
                    // Polled again: the counters have grown.
                    if id > 0 && id.is_multiple_of(3) {
                        let mut again = post.clone();
                        again["likes"] = json!(score + 40);
                        again["fetched_at"] = json!(at + MINUTE);
                        main.push(line(&key, &again));
                    }
                }
                System::Feeds => {
                    post["id"] = json!(key);
                    post["text"] = json!(text);
                    for _ in 0..3 {
                        let (user, of) = (self.below(USERS), self.random.random_range(0..=id));
                        let kind = ["like", "like", "view", "repost"][self.below(4) as usize];
                        let tie = format!("u{user}/p{of}/{kind}");
                        beside.push(line(
                            &tie,
                            &json!({ "user": format!("u{user}"), "post": format!("p{of}"), "kind": kind, "at": at }),
                        ));
                    }
                }
            }
            main.push(line(&key, &post));
        }
        let topics = self.system.topics();
        let mut batches = vec![Batch {
            topic: topics[0],
            lines: main,
        }];
        if !beside.is_empty() {
            batches.push(Batch {
                topic: topics[1],
                lines: beside,
            });
        }
        batches
    }
}

fn line(key: &str, record: &Value) -> String {
    format!("{key}\t{record}")
}
