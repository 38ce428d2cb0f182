//! Servers, a pipeline file with its topics, the raw records in tables of their own, and the program.

use flate2::read::GzDecoder;
use groundswell_testing::kafka::Kafka;
use groundswell_testing::port;
use groundswell_testing::postgres::Postgres;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long something may take; `GROUNDSWELL_PATIENCE` says another number of seconds.
fn patience() -> Duration {
    let said = std::env::var("GROUNDSWELL_PATIENCE").ok().and_then(|n| n.parse().ok());
    Duration::from_secs(said.unwrap_or(180))
}

pub type Record = Map<String, Value>;

fn data_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("GROUNDSWELL_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from)
}

/// A JSON file of the data folder; ask [`data`] first whether there is one.
pub fn document(name: &str) -> Value {
    serde_json::from_reader(File::open(data_folder().join(name)).unwrap()).unwrap()
}

/// A file of the data folder; none where there is no such folder.
pub fn data(name: &str) -> Option<Vec<Record>> {
    let folder = data_folder();
    let Ok(file) = File::open(folder.join(name)) else {
        println!("skipped: no data in {} (set GROUNDSWELL_DATA)", folder.display());
        return None;
    };
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    Some(
        lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect(),
    )
}

/// A sentiment for a text, in thousandths: what a record brings along so that SQL knows it too.
pub fn sentiment(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    f64::from(i32::try_from(hash % 2_001).unwrap() - 1_000) / 1_000.0
}

pub struct World {
    kafka: Kafka,
    pub postgres: Postgres,
    pub url: String,
    folder: tempfile::TempDir,
    addr: SocketAddr,
    running: Option<Child>,
    /// Records written so far, over all topics.
    written: usize,
}

impl World {
    /// The file with words replaced: each must be in it.
    pub fn new(file: &str, topics: &[&str], replaced: &[(&str, &str)]) -> World {
        let (kafka, postgres) = (
            Kafka::start().expect("a broker"),
            Postgres::start().expect("a database"),
        );
        let url = postgres.database().unwrap();
        for topic in topics {
            kafka.create_topic(topic, 1).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../deploy/pipelines")
            .join(file);
        let mut text = std::fs::read_to_string(path).unwrap();
        let addr = port::free().unwrap();
        let listen = addr.to_string();
        for (from, to) in replaced.iter().copied().chain([("127.0.0.1:8080", listen.as_str())]) {
            assert!(text.contains(from), "{file} has no {from}");
            text = text.replace(from, to);
        }
        std::fs::write(folder.path().join("p.yaml"), text).unwrap();
        let world = World {
            kafka,
            postgres,
            url,
            folder,
            addr,
            running: None,
            written: 0,
        };
        world.sql("create schema raw; create table raw.records (n bigint primary key, topic text not null, id text not null, rec text)");
        world
    }

    /// Whether the servers are ours to fill.
    pub fn is_ours(&self) -> bool {
        self.kafka.is_ours()
    }

    pub fn sql(&self, sql: &str) -> String {
        self.postgres.psql(&self.url, sql).unwrap()
    }

    /// Writes records to a topic, and into the table of raw records; `None` deletes.
    pub fn write(&mut self, topic: &str, records: &[(String, Option<Record>)]) {
        let mut kcat = Command::new("kcat");
        kcat.args(["-P", "-Z", "-K", "\t", "-b", self.kafka.bootstrap(), "-t", topic]);
        let mut kcat = kcat
            .stdin(Stdio::piped())
            .spawn()
            .expect("kcat is installed (scripts/setup.sh test)");
        let mut input = std::io::BufWriter::new(kcat.stdin.take().unwrap());
        let path = self.folder.path().join("records");
        let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
        for (id, record) in records {
            let text = record.as_ref().map(|r| Value::Object(r.clone()).to_string());
            writeln!(input, "{id}\t{}", text.as_deref().unwrap_or_default()).unwrap();
            // Delimiter and quote are bytes that JSON escapes.
            let cell = text.map(|t| format!("\x02{t}\x02")).unwrap_or_default();
            writeln!(file, "{}\x01{topic}\x01{id}\x01{cell}", self.written).unwrap();
            self.written += 1;
        }
        input.flush().unwrap();
        file.flush().unwrap();
        drop(input);
        assert!(kcat.wait().unwrap().success());
        let copy = format!(
            "\\copy raw.records from '{}' with (format csv, delimiter E'\\x01', quote E'\\x02')",
            path.display()
        );
        self.sql(&copy);
    }

    pub fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command.args(["run", "p.yaml"]).current_dir(self.folder.path());
        command
            .env("KAFKA", self.kafka.bootstrap())
            .env("DATABASE_URL", &self.url);
        let out = log.try_clone().unwrap();
        self.running = Some(command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap());
    }

    /// What a reader of committed records finds in a topic: key, tick, and value, null for a tombstone.
    pub fn topic(&self, topic: &str) -> Vec<(String, u64, Value)> {
        let mut kcat = Command::new("kcat");
        kcat.args([
            "-C",
            "-e",
            "-q",
            "-o",
            "beginning",
            "-X",
            "isolation.level=read_committed",
        ]);
        kcat.args(["-b", self.kafka.bootstrap(), "-t", topic, "-f", "%k\t%h\t%S\t%s\n"]);
        let read = kcat.output().expect("kcat is installed (scripts/setup.sh test)");
        let text = String::from_utf8(read.stdout).unwrap();
        let record = |line: &str| {
            let mut parts = line.splitn(4, '\t');
            let mut part = || parts.next().unwrap_or_else(|| panic!("{line}"));
            let (key, headers, size, value) = (part(), part(), part(), part());
            let tick = headers.split(',').find_map(|h| h.strip_prefix("groundswell-tick="));
            let value = if size == "-1" { "null" } else { value };
            (
                key.to_owned(),
                tick.unwrap().parse().unwrap(),
                serde_json::from_str(value).unwrap(),
            )
        };
        text.lines().map(record).collect()
    }

    /// Kills it as a crash would, and starts it again.
    pub fn crash(&mut self) {
        let mut running = self.running.take().unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        self.start();
    }

    /// Waits until SQL counts nothing.
    pub fn wait_for_none(&mut self, what: &str, sql: &str) {
        self.wait(what, sql, |_| String::new());
    }

    /// The same; when it takes too long, `explain` says more.
    fn wait(&mut self, what: &str, sql: &str, explain: impl Fn(&World) -> String) {
        let end = Instant::now() + patience();
        loop {
            let ended = self.running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{what}: the program ended\n{}", self.log());
            let left = self.postgres.psql(&self.url, sql).unwrap_or_else(|e| e.to_string());
            if left == "0" {
                return;
            }
            assert!(
                Instant::now() < end,
                "{what}: {left}\n{sql}\n{}\n{}",
                self.log(),
                explain(self)
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().rev().take(15).map(|line| format!("{line}\n")).collect()
    }

    /// Waits until a view's table is what a query over the raw records gives: `keys` equal, whole numbers equal, others
    /// within 1e-6.
    pub fn wait_for_view(&mut self, table: &str, keys: &[&str], counts: &[&str], reals: &[&str], expected: &str) {
        let on: Vec<String> = keys.iter().map(|k| format!("e.{k} = v.{k}")).collect();
        let on = if on.is_empty() {
            "true".to_owned()
        } else {
            on.join(" and ")
        };
        let exact = counts
            .iter()
            .chain(&["window_start", "window_end"])
            .map(|c| format!("e.{c} is distinct from v.{c}"));
        let close = reals.iter().map(|c| {
            format!("(e.{c} is null) <> (v.{c} is null) or abs(e.{c} - v.{c}) > 1e-6 * greatest(1, abs(e.{c}))")
        });
        let differs: Vec<String> = exact.chain(close).collect();
        let sql = format!(
            "with e as materialized ({expected}) select count(*) from e full join {table} v on {on} where {}",
            differs.join(" or ")
        );
        self.wait(table, &sql, |world| {
            let each: Vec<String> = differs.iter().map(|d| format!("count(*) filter (where {d})")).collect();
            let counts = world.sql(&format!(
                "with e as materialized ({expected}) select {} from e full join {table} v on {on}",
                each.join(", ")
            ));
            let first = world.sql(&format!(
                "with e as materialized ({expected}) select to_json(e), to_json(v) from e full join {table} v on {on} where {} limit 3",
                differs.join(" or ")
            ));
            format!("by column: {counts}\n{differs:#?}\n{first}")
        });
        let rows: usize = self.sql(&format!("select count(*) from {table}")).parse().unwrap();
        assert!(rows > 0, "{table} is empty");
        println!("{table}: {rows} rows equal");
    }

    /// Status, headers in lower case, body.
    pub fn ask(&self, target: &str, headers: &str) -> (u16, String, String) {
        // After a start it takes a moment until somebody listens.
        let end = Instant::now() + patience();
        let mut stream = loop {
            match TcpStream::connect(self.addr) {
                Ok(stream) => break stream,
                Err(e) => assert!(Instant::now() < end, "{target}: {e}\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.addr
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// Status and body of a question with a body.
    pub fn post(&self, target: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        let (addr, body) = (self.addr, body.to_string());
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    pub fn get(&self, target: &str) -> Value {
        let (status, _, body) = self.ask(target, "");
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// What a query gives as JSON; null if nothing.
    pub fn json(&self, sql: &str) -> Value {
        let text = self.sql(&format!("select coalesce(json_agg(r), '[]') from ({sql}) r"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Asks it to end, as an operator does.
    pub fn stop(mut self) {
        let mut running = self.running.take().unwrap();
        let pid = running.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = running.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

/// A record with some of its fields, and others.
pub fn record(fields: &[(&str, Value)]) -> Record {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// A post's record under the names a topic has, with a sentiment.
pub fn post(of: &Record, names: &[(&str, &str)], score: Value) -> (String, Option<Record>) {
    let mut out = Record::new();
    for (name, value) in of {
        let name = names
            .iter()
            .find(|(from, _)| from == name)
            .map_or(name.as_str(), |(_, to)| to);
        out.insert(name.to_owned(), value.clone());
    }
    out.insert("score".to_owned(), score);
    out.insert("sentiment".to_owned(), json!(sentiment(of["text"].as_str().unwrap())));
    (of["id"].as_str().unwrap().to_owned(), Some(out))
}
