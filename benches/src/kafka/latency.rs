//! How late a row is, at a steady rate, and how the engine's memory develops.

use crate::Failure;
use crate::follow::{self, follow};
use crate::process::Engine;
use crate::usage::folder_mib;
use groundswell_testing::kafka::Kafka;
use groundswell_testing::port;
use groundswell_testing::postgres::Postgres;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One post in so many is looked for.
const MARKED: u64 = 100;
/// Posts whose votes are revised: this many of the newest.
const REVISED: u64 = 10_000;
const TOPICS: [&str; 2] = ["posts", "votes"];
/// Lateness of the first so many seconds is of starting up.
const WARM_UP: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Records a second: posts, and as many revisions of their votes.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Posts of windows that ended so many seconds ago are dropped.
    #[arg(long, default_value_t = 300)]
    keep: u64,
    /// Longest time that input waits for its tick (ms).
    #[arg(long, default_value_t = 50)]
    tick: u64,
    /// Writes a line every ten seconds: seconds, resident MiB, state on disk in MiB, processor seconds so far, records
    /// not committed by the consumer groups, the latest row of these ten seconds (ms).
    #[arg(long)]
    csv: Option<PathBuf>,
    /// To a follower on `/ws`, in place of the row in Postgres.
    #[arg(long)]
    websocket: bool,
    /// All revisions are of one post, which is followed too.
    #[arg(long, requires = "websocket")]
    hot: bool,
}

/// Lateness in milliseconds, by when it was seen.
pub(crate) type Seen = Vec<(Instant, f64)>;

/// Measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (kafka, folder, addr) = (Kafka::start_fast()?, tempfile::tempdir()?, port::free()?);
    let server = (!arguments.websocket).then(Postgres::start).transpose()?;
    let database = server.as_ref().map(Postgres::database).transpose()?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topics = TOPICS.map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)));
    futures::executor::block_on(admin.create_topics(&topics, &AdminOptions::new()))?;
    let out = match &database {
        Some(url) => {
            std::fs::write(folder.path().join("url"), url)?;
            "sinks: {pg: {type: postgres, url: \"file:./url\"}}\nserve: false".to_owned()
        }
        None => format!("serve: {{http: \"{addr}\"}}"),
    };
    let pipeline = folder.path().join("bench.yaml");
    let text = format!(
        r#"
name: bench
time: {{tick: {tick}ms}}
link: {{fuzzy: false, inherit_from_parent: false}}
state: {{fold_after: 64MiB}}
sources:
  posts: {{type: kafka, brokers: "{brokers}", topic: posts, into: posts, map: {{sentiment: sentiment}}}}
  votes: {{type: kafka, brokers: "{brokers}", topic: votes, into: votes}}
views:
  by_author: {{group_by: [thread, author], window: {{tumble: 1m}}, measures: [posts, weight, sentiment], keep: {keep}s}}
{out}
"#,
        tick = arguments.tick,
        keep = arguments.keep,
        brokers = kafka.bootstrap(),
    );
    std::fs::write(&pipeline, text)?;
    let mut engine = Engine::start(&pipeline, "posts", u64::MAX)?;
    engine.wait("ready")?;
    let producer: BaseProducer = config.set("linger.ms", "1").create()?;
    let over = AtomicBool::new(false);
    let latest = AtomicU64::new(0);
    let groups = Groups::of(&config)?;
    let began = Instant::now();
    let (lateness, frames) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| match &database {
            Some(database) => look(database, &over, &latest).map(|seen| (seen, 0)),
            None => follow(addr, &over, &latest).map(|heard| (heard.seen, heard.frames)),
        });
        let writing = scope.spawn(|| write(&producer, arguments));
        let mut csv = arguments.csv.as_ref().map(std::fs::File::create).transpose()?;
        if let Some(csv) = &mut csv {
            writeln!(csv, "seconds,rss_mib,state_mib,cpu_s,lag_records,latest_row_ms")?;
        }
        while !writing.is_finished() {
            std::thread::sleep(Duration::from_secs(1));
            if let Some(csv) = csv.as_mut().filter(|_| began.elapsed().as_secs().is_multiple_of(10)) {
                let used = engine.usage()?;
                let state = folder_mib(&folder.path().join("state"));
                writeln!(
                    csv,
                    "{},{},{state},{:.1},{},{}",
                    began.elapsed().as_secs(),
                    used.rss_mib,
                    used.cpu_seconds,
                    groups.lag()?,
                    latest.swap(0, Ordering::AcqRel)
                )?;
            }
        }
        writing.join().map_err(|_| "the writer panicked")??;
        std::thread::sleep(Duration::from_secs(2));
        over.store(true, Ordering::Release);
        looking.join().map_err(|_| "the looker panicked")?
    })?;
    let mut late: Vec<f64> = lateness
        .iter()
        .filter(|(at, _)| *at > began + WARM_UP)
        .map(|(_, ms)| *ms)
        .collect();
    late.sort_unstable_by(f64::total_cmp);
    let worst = lateness.iter().filter(|(at, _)| *at > began + WARM_UP);
    let worst = worst.max_by(|(_, a), (_, b)| a.total_cmp(b));
    let worst_at = worst.map_or(0.0, |(at, _)| (*at - began).as_secs_f64());
    let quantile = |per_mille: usize| {
        late.get(late.len().saturating_sub(1) * per_mille / 1_000)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let used = engine.usage()?;
    let to = if arguments.websocket {
        "a follower"
    } else {
        "its row in Postgres"
    };
    if arguments.hot {
        println!("frames of the row of the post whose votes changed all the time: {frames}, never two for one tick");
    }
    println!(
        "event to {to} at {} records/s for {} s: n={} p50_ms={:.0} p99_ms={:.0} p999_ms={:.0} max_ms={:.0} worst_at_s={worst_at:.1} cpu_s={:.1} \
         rss_mib={} peak_rss_mib={}",
        arguments.rate,
        arguments.seconds,
        late.len(),
        quantile(500),
        quantile(990),
        quantile(999),
        quantile(1_000),
        used.cpu_seconds,
        used.rss_mib,
        used.peak_rss_mib,
    );
    engine.stop()
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // milliseconds of this century
pub(crate) fn now_ms() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
        * 1e3
}

/// Half posts, half revisions, in steps of a few milliseconds.
fn write(producer: &BaseProducer, arguments: &Arguments) -> Result<(), Failure> {
    let began = Instant::now();
    let posts = arguments.rate / 2 * arguments.seconds;
    let mut n = 0;
    while n < posts {
        let due = (began.elapsed().as_secs_f64() * (arguments.rate / 2) as f64) as u64;
        while n < due.min(posts) {
            let at = now_ms();
            // In the order of time, so that the newest is the greatest.
            let (thread, author) = match n {
                0 => (follow::HOT.to_owned(), "a0".to_owned()),
                _ if n % MARKED == 0 => (follow::MARKED.to_owned(), format!("m{at:.3}")),
                _ => (format!("t{}", n / 100), format!("a{}", n % 5_000)),
            };
            let post = format!(
                "{{\"id\":\"p{n}\",\"source\":\"s\",\"thread\":\"{thread}\",\"author\":\"{author}\",\"text\":\"words of post {n} that nobody reads\",\
                 \"sentiment\":{},\"score\":1,\"created_at\":{at:.0}}}",
                (n % 201) as f64 / 100.0 - 1.0
            );
            let of = match arguments.hot {
                true => 0,
                false => n.saturating_sub(n.wrapping_mul(7_919) % REVISED),
            };
            let votes = format!("{{\"id\":\"p{of}\",\"score\":{},\"observed_at\":{at:.0}}}", n % 500);
            send(producer, "posts", &post)?;
            send(producer, "votes", &votes)?;
            n += 1;
        }
        producer.poll(Duration::from_millis(2));
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn send(producer: &BaseProducer, topic: &str, value: &str) -> Result<(), Failure> {
    producer
        .send(BaseRecord::<(), str>::to(topic).payload(value))
        .map_err(|(error, _)| error.into())
}

/// What a lag tool sees of the engine's consumer groups.
struct Groups(Vec<BaseConsumer>);

impl Groups {
    fn of(config: &ClientConfig) -> Result<Self, Failure> {
        let group = |topic: &&str| {
            let mut config = config.clone();
            config.set("group.id", format!("groundswell-bench-{topic}"));
            let consumer: BaseConsumer = config.create()?;
            let mut all = TopicPartitionList::new();
            all.add_partition(topic, 0);
            consumer.assign(&all)?;
            Ok(consumer)
        };
        Ok(Groups(TOPICS.iter().map(group).collect::<Result<_, Failure>>()?))
    }

    /// Records written and not committed, of all topics.
    fn lag(&self) -> Result<i64, Failure> {
        let patience = Duration::from_secs(10);
        let mut lag = 0;
        for group in &self.0 {
            for place in group.committed(patience)?.elements() {
                let (_, end) = group.fetch_watermarks(place.topic(), place.partition(), patience)?;
                let Offset::Offset(at) = place.offset() else {
                    return Err(format!("nothing of {} is committed", place.topic()).into());
                };
                lag += end - at;
            }
        }
        Ok(lag)
    }
}

/// Asks for the newest marked author until told to stop, and keeps how late the latest was.
fn look(database: &str, over: &AtomicBool, latest: &AtomicU64) -> Result<Seen, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let (mut seen, mut newest) = (Seen::new(), "m".to_owned());
        let statement = client
            .prepare("select author from bench.by_author where author > $1 and author < 'n' order by author")
            .await?;
        while !over.load(Ordering::Acquire) {
            let rows = client.query(&statement, &[&newest]).await?;
            let at = now_ms();
            for row in rows {
                newest = row.get(0);
                let late = at - newest[1..].parse::<f64>()?;
                seen.push((Instant::now(), late));
                latest.fetch_max(late as u64, Ordering::AcqRel);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        drop(client);
        connection.await??;
        Ok(seen)
    })
}
