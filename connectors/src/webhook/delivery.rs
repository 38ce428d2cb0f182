//! The thread that posts what the file holds, one after the other.

use super::message::{Entry, shown, signature};
use super::place::Place;
use super::{WebhookError, WebhookOptions};
use groundswell_core::time::wall_now;
use parking_lot::{Condvar, Mutex};
use rand::RngExt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause after the first failure; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause that an answer may ask for.
const LONGEST_ASKED: u64 = 3_600;
/// Most of an answer that is read for the log.
const ANSWER: u64 = 512;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// It will be tried again.
    Failed,
    /// It will never be taken, and was set aside.
    Refused,
}

impl Outcome {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
        }
    }
}

/// Called on the webhook's thread with the sink's name.
pub type Outcomes = Arc<dyn Fn(&str, Outcome) + Send + Sync>;

/// How much there is to post, and whether to go on.
pub(super) struct Signal {
    now: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn new(committed: u64) -> Self {
        Signal {
            now: Mutex::new((committed, false)),
            changed: Condvar::new(),
        }
    }

    /// So many bytes of the file hold what is to be posted.
    pub(super) fn committed(&self, bytes: u64) {
        self.now.lock().0 = bytes;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.now.lock().1 = true;
        self.changed.notify_all();
    }

    /// Waits until there is more than `place`; `None` once it is to stop.
    fn more(&self, place: u64) -> Option<u64> {
        let mut now = self.now.lock();
        while now.0 <= place && !now.1 {
            self.changed.wait(&mut now);
        }
        (!now.1).then_some(now.0)
    }

    /// Waits; false once it is to stop.
    fn pause(&self, length: Duration) -> bool {
        let until = Instant::now() + length;
        let mut now = self.now.lock();
        while !now.1 {
            if self.changed.wait_until(&mut now, until).timed_out() {
                return !now.1;
            }
        }
        false
    }
}

/// See the module documentation.
pub(super) struct Delivery {
    name: String,
    url: String,
    secret: Option<String>,
    agent: ureq::Agent,
    longest_pause: Duration,
    file: PathBuf,
    refused: PathBuf,
    place: Place,
    signal: Arc<Signal>,
    outcomes: super::Outcomes,
}

/// What an answer says about its request.
enum Answer {
    Taken,
    /// Try again, at the earliest after this.
    Later(String, Option<Duration>),
    Never(String),
}

impl Delivery {
    pub(super) fn open(options: &WebhookOptions, file: PathBuf, signal: Arc<Signal>) -> Result<Self, WebhookError> {
        let place = Place::open(file.with_extension("posted"));
        Ok(Delivery {
            name: options.name.clone(),
            url: options.url.clone(),
            secret: options.secret.clone(),
            agent: crate::web::agent(options.timeout, None),
            longest_pause: options.longest_pause.max(FIRST),
            refused: file.with_extension("refused.jsonl"),
            file,
            place: place.map_err(|(path, problem)| WebhookError::Place { path, problem })?,
            signal,
            outcomes: Arc::clone(&options.outcomes),
        })
    }

    pub(super) fn run(mut self) {
        let mut failures = 0;
        while let Some(committed) = self.signal.more(self.place.offset()) {
            match self.post_up_to(committed) {
                Ok(()) => failures = 0,
                // The file is on this machine: what fails here mends itself or is for an operator.
                Err(error) => {
                    failures += 1;
                    tracing::error!(sink = self.name, %error, "cannot read what a webhook is to post");
                    if !self.signal.pause(self.backoff(failures)) {
                        return;
                    }
                }
            }
        }
    }

    /// Posts what the file holds up to here.
    fn post_up_to(&mut self, committed: u64) -> io::Result<()> {
        let mut file = BufReader::new(File::open(&self.file)?);
        file.seek(SeekFrom::Start(self.place.offset()))?;
        let mut line = String::new();
        while self.place.offset() < committed {
            line.clear();
            let read = file.read_line(&mut line)? as u64;
            if read == 0 {
                let message = format!("\"{}\" is shorter than what was written", self.file.display());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
            let after = self.place.offset() + read;
            // Other lines say what the file is, or how far it is complete.
            let Ok(entry) = serde_json::from_str::<Entry>(&line) else {
                self.place.pass(after);
                continue;
            };
            if !self.deliver(&entry)? {
                return Ok(());
            }
            self.place.note(after)?;
        }
        Ok(())
    }

    /// Posts until somebody has it, or will never; false once it is to stop.
    fn deliver(&self, entry: &Entry) -> io::Result<bool> {
        let mut failures = 0u32;
        loop {
            match self.attempt(entry) {
                Answer::Taken => {
                    (self.outcomes)(&self.name, Outcome::Delivered);
                    return Ok(true);
                }
                Answer::Never(why) => {
                    tracing::error!(
                        sink = self.name,
                        key = entry.key,
                        why,
                        "an alert was refused for good and is set aside"
                    );
                    (self.outcomes)(&self.name, Outcome::Refused);
                    let mut file = File::options().create(true).append(true).open(&self.refused)?;
                    let line = serde_json::json!({ "key": entry.key, "why": why, "body": entry.body });
                    writeln!(file, "{line}")?;
                    file.sync_all()?;
                    return Ok(true);
                }
                Answer::Later(why, asked) => {
                    failures = failures.saturating_add(1);
                    (self.outcomes)(&self.name, Outcome::Failed);
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            sink = self.name,
                            key = entry.key,
                            failures,
                            why,
                            "an alert could not be posted; it is tried again"
                        );
                    }
                    let pause = self.backoff(failures).max(asked.unwrap_or_default());
                    if !self.signal.pause(pause) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Half of the pause at least, so that those who failed together do not come back together.
    fn backoff(&self, failures: u32) -> Duration {
        let whole = FIRST
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(self.longest_pause);
        whole.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    fn attempt(&self, entry: &Entry) -> Answer {
        let time = wall_now();
        let mut request = self.agent.post(&self.url);
        request = request
            .header("content-type", "application/json")
            .header("user-agent", concat!("groundswell/", env!("CARGO_PKG_VERSION")))
            .header("idempotency-key", &entry.key)
            .header("x-groundswell-timestamp", time.to_string());
        if let Some(secret) = &self.secret {
            let Some(signature) = signature(secret, time, &entry.body) else {
                return Answer::Later("the secret cannot sign".to_owned(), None);
            };
            request = request.header("x-groundswell-signature", signature);
        }
        let mut answer = match request.send(&entry.body) {
            Ok(answer) => answer,
            // The address is a secret: what went wrong is said without it.
            Err(error) => return Answer::Later(format!("{} at {}", reason(&error), shown(time)), None),
        };
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Answer::Taken;
        }
        let asked = answer
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_string()
            .unwrap_or_default();
        let why = format!("status {status} {:?}", text.trim());
        match status {
            400 | 413 | 422 => Answer::Never(why),
            _ => Answer::Later(why, asked.map(|s| Duration::from_secs(s.min(LONGEST_ASKED)))),
        }
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host is not found".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => format!("{error}"),
        ureq::Error::Tls(problem) => format!("TLS: {problem}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "the request failed".to_owned(),
    }
}
