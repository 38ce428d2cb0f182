//! An engine over a file that grows.

use crate::Failure;
use crate::push::times::now_ms;
use crate::usage::Usage;
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The view that is followed; one row for each thread.
pub const VIEW: &str = "by_thread";

/// A running engine and the file it reads.
pub struct Engine {
    pub addr: SocketAddr,
    running: Running,
    posts: File,
    written: u64,
    keys: u64,
    _folder: tempfile::TempDir,
}

impl Engine {
    /// Starts it with a row for each of `keys` threads.
    pub fn start(keys: u64, tick_ms: u64) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let posts = folder.path().join("posts.jsonl");
        let file = folder.path().join("push.yaml");
        std::fs::write(
            &file,
            format!(
                "name: push\ntime: {{tick: {tick_ms}ms}}\n\
                 sources: {{posts: {{type: file, path: posts.jsonl, into: posts, pace: follow}}}}\nmodels: {{live: given}}\n\
                 views: {{{VIEW}: {{group_by: [thread], window: {{tumble: 1d}}, keep: 7d}}}}\nserve: {{http: \"127.0.0.1:0\"}}\n"
            ),
        )?;
        let posts = File::create(posts)?;
        let pipeline = config::load(&file)?;
        let running = start(&pipeline, Connections::default())?;
        let addr = running.addr().ok_or("the engine serves nothing")?;
        let mut engine = Engine {
            addr,
            running,
            posts,
            written: 0,
            keys,
            _folder: folder,
        };
        engine.write(keys)?;
        let end = Instant::now() + Duration::from_secs(60);
        while engine.running.engine.status().complete() == 0 {
            if Instant::now() > end {
                return Err("the engine shows no row after a minute".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(engine)
    }

    /// Writes so many posts, to one thread after the other.
    pub fn write(&mut self, posts: u64) -> Result<(), Failure> {
        let mut lines = String::new();
        for n in self.written..self.written + posts {
            let post = json!({
                "id": format!("p{n}"), "source": "bench", "thread": format!("t{}", n % self.keys),
                "text": "", "created_at": now_ms() as i64, "score": n % 7,
            });
            lines.push_str(&post.to_string());
            lines.push('\n');
        }
        self.posts.write_all(lines.as_bytes())?;
        self.written += posts;
        Ok(())
    }

    /// Writes `per_step` posts every `step` for `seconds`.
    pub fn feed(&mut self, seconds: u64, step: Duration, per_step: u64) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut next = begin;
        while begin.elapsed() < Duration::from_secs(seconds) {
            self.write(per_step)?;
            next += step;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Stops it.
    pub fn stop(self) -> Result<(), Failure> {
        if let Some(why) = self.running.engine.status().fatal() {
            return Err(why.to_string().into());
        }
        Ok(self.running.stop()?)
    }
}

/// The other process: it says a line when it is ready, and one with what it saw.
pub struct Other {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Other {
    /// This program again, with these arguments; waits until it is ready.
    pub fn start(arguments: &[String]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let says = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut other = Other { child, says };
        other.hear()?;
        Ok(other)
    }

    fn hear(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.says.read_line(&mut line)? == 0 {
            return Err(format!("the other process ended: {}", self.child.wait()?).into());
        }
        Ok(line)
    }

    /// What it saw, with its processor seconds and memory.
    pub fn report(mut self) -> Result<Value, Failure> {
        let line = self.hear()?;
        self.child.wait()?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// What this process used since `before`.
pub fn used(before: Usage) -> Result<Value, Failure> {
    let now = Usage::of("self")?;
    Ok(json!({
        "cpu_s": ((now.cpu_seconds - before.cpu_seconds) * 100.0).round() / 100.0,
        "rss_mib": now.rss_mib, "peak_rss_mib": now.peak_rss_mib,
    }))
}
