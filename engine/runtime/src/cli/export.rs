//! `groundswell export`: the rows of a view of a running pipeline as a file, through its HTTP address.
//!
//! The file is as of one tick, which is told on standard error. With `--out` it gets its name only when it is whole.

use super::Failure;
use super::out::note;
use super::sink::with_token;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The view.
    view: String,
    /// What kind of file.
    #[arg(long, value_enum, default_value_t = Kind::Csv)]
    format: Kind,
    /// Windows that start at or after this: RFC 3339 or epoch milliseconds.
    #[arg(long, value_name = "T", value_parser = time, allow_hyphen_values = true)]
    since: Option<String>,
    /// Windows that start before this.
    #[arg(long, value_name = "T", value_parser = time, allow_hyphen_values = true)]
    until: Option<String>,
    /// Only rows with this value of a group column; may be given several times, and an empty value means rows without one.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = column)]
    only: Vec<(String, String)>,
    /// Where to write; standard output if absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the pipeline serves HTTP.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

fn time(text: &str) -> Result<String, String> {
    match groundswell_connectors::hub::filter::parse_time(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a time is RFC 3339, such as 2026-01-31T12:00:00Z, or epoch milliseconds".to_owned()),
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    let (column, value) = text.split_once('=').ok_or("give a group column, '=', and a value")?;
    Ok((column.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    // A name that could not be a view's must not reach another route.
    if args.view.is_empty() || !args.view.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Failure::Usage(format!("\"{}\" is not the name of a view", args.view)));
    }
    let url = format!("{}/api/v1/views/{}/export", args.url.trim_end_matches('/'), args.view);
    let format = match args.format {
        Kind::Csv => "csv",
        Kind::Jsonl => "jsonl",
        Kind::Parquet => "parquet",
    };
    let mut request = agent().get(&url).query("format", format);
    for (name, value) in [("since", &args.since), ("until", &args.until)] {
        if let Some(value) = value {
            request = request.query(name, value);
        }
    }
    for (column, value) in &args.only {
        request = request.query(column, value);
    }
    let unreachable = |e: ureq::Error| {
        Failure::Unreachable(format!(
            "cannot reach {url}: {e}; is the pipeline running, and is --url its address?"
        ))
    };
    let mut answer = request.call().map_err(unreachable)?;
    if !answer.status().is_success() {
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let message = body["error"]["message"]
            .as_str()
            .unwrap_or("it does not answer as groundswell does");
        let message = format!("{url}: {status}: {message}");
        // An unknown view or column is a matter of what was typed.
        return Err(match status.as_u16() {
            400 | 404 => Failure::Usage(message),
            503 => Failure::Unreachable(message),
            _ => Failure::Other(message),
        });
    }
    let at = answer
        .headers()
        .get("groundswell-at")
        .and_then(|at| at.to_str().ok())
        .map(str::to_owned);
    let Some(at) = at else {
        return Err(Failure::Other(format!("{url} does not answer as groundswell does")));
    };
    let mut body = answer.into_body().into_reader();
    match &args.out {
        None => {
            let mut out = io::stdout().lock();
            copy(&mut body, &mut out, &url, Failure::output)?;
        }
        Some(path) => {
            let bytes = to_file(&mut body, path, &url)?;
            note(format_args!("{}: {bytes} bytes", path.display()));
        }
    }
    note(format_args!("{} as of tick {at}", args.view));
    Ok(())
}

/// A client that waits for a long answer as long as it comes.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .middleware(with_token);
    config.build().into()
}

/// Writes beside the file and renames: what has the name is whole.
fn to_file(body: &mut impl Read, path: &Path, url: &str) -> Result<u64, Failure> {
    let fail = |error: io::Error| Failure::Other(format!("cannot write \"{}\": {error}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = File::create(&part).map_err(fail)?;
    let written = copy(body, &mut file, url, fail).and_then(|bytes| {
        file.sync_all().map_err(fail)?;
        std::fs::rename(&part, path).map_err(fail)?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn copy(
    body: &mut impl Read,
    out: &mut impl Write,
    url: &str,
    fail: impl Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::Unreachable(format!(
                    "{url} broke off after {bytes} bytes: {error}; what came is not whole"
                )));
            }
        };
        out.write_all(&buffer[..read]).map_err(&fail)?;
        bytes += read as u64;
    }
    out.flush().map_err(&fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_leaves_no_file() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0 -= 1;
                match self.0 {
                    0 => Err(io::Error::other("cut")),
                    _ => Ok(into.len()),
                }
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("view.csv");
        assert!(matches!(
            to_file(&mut Broken(3), &path, "x"),
            Err(Failure::Unreachable(_))
        ));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let bytes = to_file(&mut &b"a,b\n"[..], &path, "x").ok();
        assert_eq!(
            (bytes, std::fs::read(&path).expect("a file")),
            (Some(4), b"a,b\n".to_vec())
        );
    }

    #[test]
    fn times_and_columns_are_checked_before_anything_is_asked() {
        assert!(time("1466389990250").is_ok() && time("2016-06-20T02:33:10Z").is_ok() && time("noon").is_err());
        assert_eq!(column("entity=a=b"), Ok(("entity".to_owned(), "a=b".to_owned())));
        assert!(column("entity").is_err());
    }
}
