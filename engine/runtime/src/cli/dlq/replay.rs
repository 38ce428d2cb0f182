//! `groundswell dlq replay`: picks the newest letter of each record and sends it to the running pipeline, some at a time.

use super::text::plain;
use super::{Opened, Which};
use crate::cli::Failure;
use crate::cli::address::address;
use crate::cli::out::{note, say};
use crate::config::Pipeline;
use groundswell_connectors::dlq::{Answer, Filter, LETTERS, Letter, Letters, Position, REQUEST_BYTES, Verdict};
use groundswell_core::time::Tick;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

/// A request is sent when it holds as many letters as it may, or so many bytes: the answers come while one waits.
const BATCH_BYTES: usize = 2 << 20;
/// How long the engine may take for one. Longer than its own patience.
const ANSWER: Duration = Duration::from_secs(90);
/// Reasons that are shown.
const REASONS: usize = 20;

pub(super) fn run(which: &Which, limit: Option<usize>, dry_run: bool, url: Option<&str>) -> Result<(), Failure> {
    let filter = which.filter();
    let Opened {
        pipeline,
        sink,
        mut letters,
    } = which.open()?;
    known_source(&pipeline, which.source.as_deref())?;
    let url = format!(
        "{}/api/v1/dead-letters/replay",
        address("letters are replayed", &pipeline, url)?
    );
    let mut chosen = newest(&mut *letters, &filter)?;
    let older = chosen.older;
    let mut sums = Sums::default();
    let mut batch = Batch::new(url, dry_run);
    let mut left = limit.unwrap_or(usize::MAX);
    let mut failed = Ok(());
    letters
        .read(&mut |letter| {
            if !chosen.take(&letter, &filter) {
                return ControlFlow::Continue(());
            }
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            failed = batch.add(&letter, &mut sums);
            match failed {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(Failure::of_letters)?;
    let done = failed.and_then(|()| batch.send(&mut sums));
    // What was done before a failure is done.
    if done.is_ok() || sums.all() > 0 {
        say(sums.report(&sink, dry_run))?;
    }
    if older > 0 && done.is_ok() {
        note(format_args!(
            "groundswell: {older} earlier letters of the same records were left out"
        ));
    }
    done
}

fn known_source(pipeline: &Pipeline, name: Option<&str>) -> Result<(), Failure> {
    let names: Vec<&str> = pipeline.sources.iter().map(|source| &*source.name).collect();
    match name.filter(|name| !names.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::Usage(format!(
            "there is no source \"{}\" in the pipeline, which has {}",
            plain(name, &[]),
            names.join(", ")
        ))),
    }
}

/// The newest letter of each record.
#[derive(Default)]
struct Newest {
    by_position: HashMap<Position, (u32, Tick)>,
    /// Letters that a newer one of the same record replaces.
    older: u64,
}

impl Newest {
    fn see(&mut self, letter: &Letter) {
        let this = (letter.attempt, letter.tick);
        let known = self.by_position.entry(letter.position());
        let mut first = false;
        let known = known.or_insert_with(|| {
            first = true;
            this
        });
        self.older += u64::from(!first);
        *known = this.max(*known);
    }

    /// Whether this is the one to replay; it is no more afterwards.
    fn take(&mut self, letter: &Letter, filter: &Filter) -> bool {
        if !filter.takes(letter) {
            return false;
        }
        // Texts that could not be scored have no position of their own.
        if letter.hopeless().is_some() && !self.by_position.contains_key(&letter.position()) {
            return true;
        }
        let position = letter.position();
        if self.by_position.get(&position) != Some(&(letter.attempt, letter.tick)) {
            return false;
        }
        self.by_position.remove(&position);
        true
    }
}

fn newest(letters: &mut dyn Letters, filter: &Filter) -> Result<Newest, Failure> {
    let mut newest = Newest::default();
    letters
        .read(&mut |letter| {
            let meant = filter.source.as_ref().is_none_or(|source| *source == letter.source);
            if meant && letter.hopeless().is_none() {
                newest.see(&letter);
            }
            ControlFlow::Continue(())
        })
        .map_err(Failure::of_letters)?;
    Ok(newest)
}

/// What became of the letters.
#[derive(Default)]
struct Sums {
    by_verdict: BTreeMap<Verdict, u64>,
    /// How many had a reason, and the first of them.
    reasons: BTreeMap<(Verdict, String), (u64, Position)>,
}

impl Sums {
    fn add(&mut self, answer: Answer) {
        *self.by_verdict.entry(answer.verdict).or_default() += 1;
        if !matches!(answer.verdict, Verdict::StillBad | Verdict::Refused) {
            return;
        }
        let message = answer.message.unwrap_or_default();
        // Messages about one letter differ in their details; the code is what they have in common.
        let reason = match answer.code {
            Some(code) if answer.verdict == Verdict::StillBad => code,
            _ => message,
        };
        let at = Position {
            source: answer.source,
            partition: answer.partition,
            offset: answer.offset,
        };
        let known = self.reasons.entry((answer.verdict, reason)).or_insert((0, at));
        known.0 += 1;
    }

    fn all(&self) -> u64 {
        self.by_verdict.values().sum()
    }

    fn report(&self, sink: &str, dry_run: bool) -> String {
        let shown = Verdict::ALL.into_iter().filter(|verdict| match verdict {
            Verdict::Good => dry_run,
            Verdict::Accepted | Verdict::Duplicate => !dry_run,
            Verdict::StillBad | Verdict::Refused => true,
        });
        let sums: Vec<String> = shown
            .map(|verdict| {
                let n = self.by_verdict.get(&verdict).copied().unwrap_or(0);
                format!("{n} {}", verdict.name())
            })
            .collect();
        let did = if dry_run { "tried" } else { "replayed" };
        let mut report = format!(
            "{did} {} letters of the sink \"{sink}\": {}",
            self.all(),
            sums.join(", ")
        );
        for ((verdict, reason), (n, at)) in self.reasons.iter().take(REASONS) {
            let (reason, at) = (plain(reason, &[]), plain(&at.to_string(), &[]));
            report.push_str(&format!("\n  {n} {}: {reason} (first {at})", verdict.name()));
        }
        if let Some(more) = self.reasons.len().checked_sub(REASONS).filter(|n| *n > 0) {
            report.push_str(&format!("\n  and {more} other reasons"));
        }
        report
    }
}

/// Letters on their way, as the JSON of a request.
struct Batch {
    url: String,
    dry_run: bool,
    letters: usize,
    body: Vec<u8>,
    agent: ureq::Agent,
}

impl Batch {
    fn new(url: String, dry_run: bool) -> Self {
        let mut batch = Batch {
            url,
            dry_run,
            letters: 0,
            body: Vec::new(),
            agent: super::super::sink::agent(ANSWER),
        };
        batch.clear();
        batch
    }

    fn clear(&mut self) {
        self.letters = 0;
        self.body.clear();
        self.body
            .extend_from_slice(format!("{{\"dry_run\":{},\"letters\":[", self.dry_run).as_bytes());
    }

    fn add(&mut self, letter: &Letter, sums: &mut Sums) -> Result<(), Failure> {
        let refused = |why: String| Answer::new(letter.position(), Verdict::Refused).because(why);
        if let Some(why) = letter.hopeless() {
            sums.add(refused(why));
            return Ok(());
        }
        let json = letter.request_json()?;
        if json.len() + self.body.len() > BATCH_BYTES || self.letters >= LETTERS {
            self.send(sums)?;
        }
        // Room for what stands around it.
        if json.len() + 100 > REQUEST_BYTES {
            sums.add(refused(format!(
                "it is larger than a request may be ({REQUEST_BYTES} bytes); write it to its source again"
            )));
            return Ok(());
        }
        if self.letters > 0 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(&json);
        self.letters += 1;
        Ok(())
    }

    fn send(&mut self, sums: &mut Sums) -> Result<(), Failure> {
        if self.letters == 0 {
            return Ok(());
        }
        self.body.extend_from_slice(b"]}");
        let url = &self.url;
        let unreachable = |e: ureq::Error| {
            Failure::Unreachable(format!(
                "cannot reach {url}: {e}; is the pipeline running, and is --url its address?"
            ))
        };
        let request = self.agent.post(url).content_type("application/json");
        let mut answer = request.send(&self.body[..]).map_err(unreachable)?;
        // The answers are about as many bytes as the letters at most; the default limit is for pages.
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string();
        let text = text.map_err(unreachable)?;
        let status = answer.status();
        let said: Said = serde_json::from_str(&text)
            .map_err(|_| Failure::Other(format!("{url} did not answer as groundswell does: {status}")))?;
        match said {
            Said { data: Some(data), .. } if status.is_success() => data.letters.into_iter().for_each(|a| sums.add(a)),
            Said { error, .. } => {
                let message = error.map_or("no message".to_owned(), |e| plain(&e.message, &[]));
                return Err(match status.as_u16() {
                    503 => Failure::Unreachable(message),
                    _ => Failure::Other(format!("{status}: {message}")),
                });
            }
        }
        self.clear();
        Ok(())
    }
}

#[derive(Deserialize)]
struct Said {
    data: Option<Data>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Data {
    letters: Vec<Answer>,
}

#[derive(Deserialize)]
struct Error {
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: u64, attempt: u32, tick: Tick) -> Letter {
        Letter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            source: "posts".into(),
            offset,
            attempt,
            tick,
            ..Letter::default()
        }
    }

    #[test]
    fn the_newest_letter_of_a_record_is_replayed_once() {
        let letters = [letter(1, 1, 10), letter(2, 1, 10), letter(1, 2, 20), letter(1, 2, 20)];
        let mut newest = Newest::default();
        letters.iter().for_each(|l| newest.see(l));
        assert_eq!(newest.older, 2);
        let filter = Filter::default();
        let taken: Vec<bool> = letters.iter().map(|l| newest.take(l, &filter)).collect();
        assert_eq!(taken, [false, true, true, false]);
        // The reason that counts is that of the newest letter.
        let mut newest = Newest::default();
        letters.iter().for_each(|l| newest.see(l));
        let old = Filter {
            since: Some(15),
            ..Filter::default()
        };
        let taken: Vec<bool> = letters.iter().map(|l| newest.take(l, &old)).collect();
        assert_eq!(taken, [false, false, true, false]);
    }

    #[test]
    fn texts_without_a_position_are_each_refused() {
        let text = Letter {
            stage: "score".into(),
            source: "scorer".into(),
            ..letter(0, 1, 5)
        };
        let (mut newest, filter) = (Newest::default(), Filter::default());
        assert!(newest.take(&text, &filter) && newest.take(&text, &filter));
        let mut sums = Sums::default();
        let mut batch = Batch::new("http://127.0.0.1:1".into(), false);
        for _ in 0..2 {
            assert!(batch.add(&text, &mut sums).is_ok());
        }
        assert!(batch.send(&mut sums).is_ok(), "nothing is sent");
        let report = sums.report("dead", false);
        assert!(
            report.contains("replayed 2 letters of the sink \"dead\": 0 accepted, 0 duplicate, 0 still bad, 2 refused")
        );
        assert!(
            report.contains("2 refused: a text that a model could not score"),
            "{report}"
        );
    }

    #[test]
    fn reasons_are_counted_and_few() {
        let mut sums = Sums::default();
        for n in 0..30 {
            let mut answer = Answer::new(letter(n, 1, 1).position(), Verdict::StillBad).because(format!("no {n}"));
            answer.code = Some(format!("code_{}", n % 25));
            sums.add(answer);
        }
        sums.add(Answer::new(letter(99, 1, 1).position(), Verdict::Good));
        let report = sums.report("dead", true);
        assert!(report.starts_with("tried 31 letters of the sink \"dead\": 1 good, 30 still bad, 0 refused"));
        assert!(
            report.contains("\n  2 still bad: code_0 (first posts/0/0)") && report.ends_with("and 5 other reasons")
        );
    }
}
