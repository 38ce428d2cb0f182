//! The news sweeper's numbers: how long one document's matching takes, how many documents a minute the engine takes with
//! keywords, companies and stories, its memory, and its API under the load of the first system's test: listing, search and
//! metrics as 3 : 2 : 1, with 1 to 3 seconds between the questions of a client.
//!
//! In: the crypto news and symbols of the data folder (`GROUNDSWELL_DATA`), written again and again under new ids, hours apart.
//! Out: one line of JSON. The model is left out.

mod usage;

use clap::Parser;
use flate2::read::GzDecoder;
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use groundswell_core::keywords::{EventsSpec, Keyword, searched};
use groundswell_core::record::Entity;
use groundswell_operators::keywords::search::Dictionary;
use rand::RngExt;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usage::Usage;

type Failure = Box<dyn std::error::Error>;

/// What is measured.
#[derive(Parser)]
#[command(about = "The news sweeper's numbers")]
struct Arguments {
    /// Documents written at once.
    #[arg(long, default_value_t = 50_000)]
    documents: usize,
    /// Clients of the API.
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// For how long they ask.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Documents a minute meanwhile.
    #[arg(long, default_value_t = 6_000)]
    meanwhile: usize,
}

const PHRASES: [&str; 9] = [
    "token generation event",
    "token launch",
    "TGE",
    "initial token offering",
    "airdrop",
    "launch",
    "NFT",
    "listing",
    "stablecoin",
];
const EXCLUDE: [&str; 3] = ["rumor", "speculation", "allegedly"];

fn main() -> Result<(), Failure> {
    let a = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = std::env::var_os("GROUNDSWELL_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let news = BufReader::new(GzDecoder::new(File::open(data.join("news/crypto_news.jsonl.gz"))?));
    let news = news.lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let news: Vec<Value> = news.collect::<Result<_, Failure>>()?;
    let symbols: Value = serde_json::from_reader(File::open(data.join("entities/crypto_symbols.json"))?)?;
    // Names of a word or two that are no word of the language; thousands of symbols are.
    let names = symbols
        .as_object()
        .ok_or("no symbols")?
        .values()
        .filter_map(Value::as_str);
    let companies: Vec<&str> = names.filter(|name| name.len() > 5).collect();
    let matching = matching(&news, &companies);
    let folder = tempfile::tempdir()?;
    let (running, mut feed) = engine(folder.path(), &companies)?;
    let began = Instant::now();
    feed.write(&news, a.documents)?;
    feed.wait(&running)?;
    let took = began.elapsed().as_secs_f64();
    let loaded = Usage::of("self")?;
    let addr = running.addr().ok_or("nothing is served")?;
    let asked = load(&a, addr, || feed.write(&news, a.meanwhile.div_ceil(60)))?;
    let after = Usage::of("self")?;
    let said = json!({
        "matching": matching, "companies": companies.len(),
        "documents": a.documents, "documents_per_minute": (a.documents as f64 / took * 60.0).round(),
        "events": running.hub.event_count(), "rss_mib": loaded.rss_mib,
        "api": { "clients": a.clients, "seconds": a.seconds, "documents_per_minute": a.meanwhile, "latency_ms": asked,
            "cpu_s": ((after.cpu_seconds - loaded.cpu_seconds) * 100.0).round() / 100.0, "peak_rss_mib": after.peak_rss_mib },
    });
    println!("{said}");
    Ok(running.stop()?)
}

/// Times of single searches, in microseconds.
fn matching(news: &[Value], companies: &[&str]) -> Value {
    let keyword = Keyword {
        id: "tge".into(),
        phrases: PHRASES.map(Into::into).into(),
        exclude: EXCLUDE.map(Into::into).into(),
    };
    let entities: Vec<Entity> = companies.iter().map(|name| entity(name)).collect();
    let began = Instant::now();
    let dictionary = Dictionary::build([keyword].iter(), entities.iter(), &EventsSpec::default());
    let compiled = began.elapsed().as_secs_f64() * 1e3;
    let mut times: Vec<f64> = Vec::new();
    let mut found = 0;
    for of in news {
        let text = |field: &str| of[field].as_str().unwrap_or_default();
        let began = Instant::now();
        found += dictionary.search(&searched(text("title"), text("summary"))).len();
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let all: String = news.iter().filter_map(|of| of["summary"].as_str()).collect();
    let began = Instant::now();
    dictionary.search(&all);
    let longest = json!({ "characters": all.chars().count(), "ms": began.elapsed().as_secs_f64() * 1e3 });
    let mut said = quantiles(&mut times);
    said["found"] = json!(found);
    said["all_in_one"] = longest;
    said["compiled_ms"] = json!(compiled);
    said
}

fn entity(name: &str) -> Entity {
    Entity {
        id: name.to_lowercase(),
        name: name.to_owned(),
        ..Entity::default()
    }
}

/// The file that the engine follows.
struct Feed {
    file: File,
    written: usize,
}

impl Feed {
    fn write(&mut self, news: &[Value], documents: usize) -> Result<(), Failure> {
        let mut lines = String::new();
        for n in self.written..self.written + documents {
            let of = &news[n % news.len()];
            // Later rounds are other news: what is repeated within 48 hours would all be one story.
            let at = of["published_at"].as_i64().unwrap_or(0) + (n / news.len()) as i64 * 60 * 3_600_000;
            let post = json!({
                "id": format!("{n}"), "source": of["source"], "title": of["title"], "text": of["summary"],
                "url": format!("https://example.com/{n}"), "created_at": at,
            });
            lines.push_str(&post.to_string());
            lines.push('\n');
        }
        self.file.write_all(lines.as_bytes())?;
        self.written += documents;
        Ok(())
    }

    fn wait(&self, running: &Running) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs(300);
        while running.hub.post_count() < self.written {
            if let Some(why) = running.engine.status().fatal() {
                return Err(why.to_string().into());
            }
            if Instant::now() > end {
                return Err(format!(
                    "{} of {} documents after five minutes",
                    running.hub.post_count(),
                    self.written
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn engine(folder: &Path, companies: &[&str]) -> Result<(Running, Feed), Failure> {
    let entities: Vec<Value> = companies
        .iter()
        .map(|n| json!({ "id": n.to_lowercase(), "name": n, "aliases": [] }))
        .collect();
    std::fs::write(folder.join("companies.json"), Value::Array(entities).to_string())?;
    let file = folder.join("news.yaml");
    let (phrases, exclude) = (PHRASES.join(", "), EXCLUDE.join(", "));
    std::fs::write(
        &file,
        format!(
            "name: news\nsources:\n  companies: {{type: file, path: companies.json, into: entities}}\n  \
             posts: {{type: file, path: posts.jsonl, into: posts, pace: follow}}\nmodels: {{live: given}}\n\
             link: {{fuzzy: false, inherit_from_parent: false}}\n\
             keywords: {{tge: {{phrases: [{phrases}], exclude: [{exclude}]}}}}\nevents: {{keep: forever}}\n\
             views: {{by_company: {{group_by: [entity], window: {{tumble: 1d}}}}}}\n\
             serve: {{http: \"127.0.0.1:0\", routes: {{events: true}}}}\n"
        ),
    )?;
    let posts = File::create(folder.join("posts.jsonl"))?;
    let running = start(&config::load(&file)?, Connections::default())?;
    Ok((
        running,
        Feed {
            file: posts,
            written: 0,
        },
    ))
}

/// Times of questions in milliseconds, while `every_second` writes documents.
fn load(
    a: &Arguments,
    addr: SocketAddr,
    mut every_second: impl FnMut() -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let end = Instant::now() + Duration::from_secs(a.seconds);
    let clients: Vec<_> = (0..a.clients).map(|_| runtime.spawn(client(addr, end))).collect();
    while Instant::now() < end {
        every_second()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut times = Vec::new();
    for client in clients {
        times.extend(runtime.block_on(client)??);
    }
    Ok(quantiles(&mut times))
}

async fn client(addr: SocketAddr, end: Instant) -> Result<Vec<f64>, String> {
    let mut times = Vec::new();
    loop {
        let (think, which) = (rand::rng().random_range(1_000..=3_000), rand::rng().random_range(0..6));
        tokio::time::sleep(Duration::from_millis(think)).await;
        if Instant::now() > end {
            return Ok(times);
        }
        let search = json!({ "filters": { "companies": ["Bitcoin"], "confidence_min": 0.9 } }).to_string();
        let request = match which {
            0..3 => "GET /api/v1/tge-events?limit=50 HTTP/1.1\r\n\r\n".to_owned(),
            3..5 => format!(
                "POST /api/v1/tge-events/search HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{search}",
                search.len()
            ),
            _ => "GET /api/v1/system/metrics HTTP/1.1\r\n\r\n".to_owned(),
        };
        let head = format!("HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
        let request = request.replacen("HTTP/1.1\r\n", &head, 1);
        let began = Instant::now();
        let mut answer = Vec::new();
        let asked = async {
            let mut stream = tokio::net::TcpStream::connect(addr).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut answer).await
        };
        asked.await.map_err(|e| e.to_string())?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&answer).into_owned());
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
}

fn quantiles(times: &mut [f64]) -> Value {
    times.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| {
        let index = ((times.len() as f64 - 1.0) * q).round() as usize;
        times.get(index).map(|t| (t * 1e3).round() / 1e3)
    };
    json!({ "n": times.len(), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0) })
}
