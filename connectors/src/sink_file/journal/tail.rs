//! Finds where the committed part of a journal ends.
//!
//! In: the file and the first line it must have. Out: length and tick of the committed part. Only the end of the file is
//! read: as much as the last ticks take.

use groundswell_core::time::Tick;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much of the end is read first.
const FIRST_READ: u64 = 64 * 1024;

/// The committed part of a file: nothing at all, or a header and complete ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// Its bytes; 0 if not even the header is complete.
    pub len: u64,
    /// Its last tick.
    pub upper: Option<Tick>,
}

/// What a file is.
pub(super) enum Head {
    /// A journal with this header.
    Ours(Committed),
    /// A journal like this one, of the state with this name.
    OtherState(String),
    /// Something else.
    Foreign,
}

/// The first line of a journal.
#[derive(Deserialize, PartialEq)]
struct Header {
    progress: Option<Tick>,
    of: String,
    version: u64,
    #[serde(default)]
    state: Option<String>,
}

/// Longest first line that is looked at.
const LONGEST_HEADER: u64 = 4096;

/// What the file is, and its committed part.
pub(super) fn find(file: &File, header: &str) -> io::Result<Head> {
    let len = file.metadata()?.len();
    let head = read(file, 0, len.min(LONGEST_HEADER))?;
    let line = memchr::memchr(b'\n', &head).map(|end| &head[..end]);
    let is = line.and_then(|line| serde_json::from_slice::<Header>(line).ok());
    let expected = serde_json::from_str::<Header>(header).map_err(io::Error::other)?;
    match is {
        None => {
            // A crash while creating the file leaves no more than a part of the header, or zeros in place of it.
            let partly = head.iter().zip(header.as_bytes()).all(|(b, h)| b == h || *b == 0);
            let ours = partly && len <= header.len() as u64;
            return Ok(if ours {
                Head::Ours(Committed::default())
            } else {
                Head::Foreign
            });
        }
        Some(is) if (is.progress, &is.of, is.version) != (None, &expected.of, expected.version) => {
            return Ok(Head::Foreign);
        }
        Some(Header { state: Some(found), .. }) if expected.state.as_ref().is_some_and(|state| *state != found) => {
            return Ok(Head::OtherState(found));
        }
        // A file that does not say belongs to whoever comes first.
        Some(_) => {}
    }
    let mut size = FIRST_READ;
    loop {
        let start = len.saturating_sub(size);
        let bytes = read(file, start, len - start)?;
        if let Some(found) = last_commit(&bytes, start) {
            return Ok(Head::Ours(found));
        }
        if start == 0 {
            // The header was there a moment ago.
            return Err(io::Error::other("it changed while being read"));
        }
        size = size.saturating_mul(4);
    }
}

fn read(file: &File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// The last progress line of which all lines back to the one before it are whole, or `None` if that cannot be decided
/// without what comes before `bytes`, the end of the file from `start` on.
fn last_commit(bytes: &[u8], start: u64) -> Option<Committed> {
    let mut candidate = None;
    let mut end = bytes.iter().rposition(|b| *b == b'\n')? + 1;
    while end > 0 {
        let begin = match bytes[..end - 1].iter().rposition(|b| *b == b'\n') {
            Some(newline) => newline + 1,
            None if start == 0 => 0,
            None => return None,
        };
        let line = &bytes[begin..end - 1];
        if let Some(upper) = progress_of(line) {
            let here = Committed {
                len: start + end as u64,
                upper,
            };
            match candidate {
                Some(found) => return Some(found),
                None if upper.is_none() => return Some(here),
                None => candidate = Some(here),
            }
        } else if serde_json::from_slice::<IgnoredAny>(line).is_err() {
            candidate = None;
        }
        end = begin;
    }
    candidate
}

/// The tick of a progress line (none in the header), or `None` for any other line.
fn progress_of(line: &[u8]) -> Option<Option<Tick>> {
    #[derive(Deserialize)]
    struct Progress {
        progress: Option<Tick>,
    }
    line.starts_with(b"{\"progress\":")
        .then(|| serde_json::from_slice::<Progress>(line).ok())
        .flatten()
        .map(|p| p.progress)
}
