//! An append-only file of JSON lines, committed tick by tick.
//!
//! ```text
//! {"progress":null,"of":"alerts","version":1,"state":"5ad1…"}     what the file is; written once
//! {…}                                             lines of tick 5
//! {"progress":5}                                  tick 5 is complete
//! {"progress":6}                                  tick 6 had no lines
//! ```
//!
//! A tick is one write and one fsync. A crash can tear only the last write, so opening looks, from the end, for the last
//! progress line whose tick's lines are all whole (parts that never reached the disk read as zeros, which is no JSON), and
//! cuts off the rest. A file that does not start with the line above is somebody else's and is never touched. Nor is one of
//! another state: its ticks say nothing about this one's, and those up to its last would be left out.

mod tail;

use groundswell_core::time::Tick;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use tail::{Committed, Head};

/// Format of the file; a reader of version 1 understands no other.
const VERSION: u32 = 1;

/// What went wrong with a sink's file.
#[derive(Debug, thiserror::Error)]
#[error("file \"{}\": {problem}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The problem, and what to do.
    pub problem: Problem,
}

/// Why a sink's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Its folder is missing and cannot be made.
    #[error("the folder cannot be created: {0}; create it, or choose another path")]
    Folder(io::Error),
    /// Not allowed.
    #[error("no permission to {action}; let this user write here, or choose another path")]
    Permission {
        /// What was tried.
        action: &'static str,
    },
    /// No space.
    #[error("no space left to {action}; free some: the sink goes on where it stopped")]
    Full {
        /// What was tried.
        action: &'static str,
    },
    /// A folder, pipe or device.
    #[error("is not a regular file; choose another path")]
    NotAFile,
    /// Something else is in it.
    #[error(
        "is not a file of this sink (it does not start with {expected}) and was left as it is; move it away, or choose another path"
    )]
    NotOurs {
        /// The first line it should have.
        expected: String,
    },
    /// It was written from another state.
    #[error(
        "was written from another state ({found}; this one is {state}), so ticks up to its last would be left out; move it away to \
         begin anew, or use the state it was written from"
    )]
    OtherState {
        /// The state it was written from.
        found: String,
        /// This state.
        state: String,
    },
    /// Another process has it.
    #[error("another process is writing it; stop that one, or choose another path")]
    Locked,
    /// Somebody removed it or wrote into it.
    #[error("was removed or changed by somebody else while in use; leave it to this sink, and restart to continue")]
    Changed,
    /// Anything else.
    #[error("cannot {action}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl Problem {
    fn io(action: &'static str, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Problem::Permission { action },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Problem::Full { action },
            ErrorKind::IsADirectory => Problem::NotAFile,
            _ => Problem::Io { action, error },
        }
    }
}

/// What a journal needs of a file; tests let it fail.
trait Medium: Send {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    /// Length, and whether it still has a name.
    fn state(&self) -> io::Result<(u64, bool)>;
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
    fn state(&self) -> io::Result<(u64, bool)> {
        self.metadata().map(|m| (m.len(), m.nlink() > 0))
    }
}

/// A file of lines, committed tick by tick; locked while open.
pub struct Journal {
    path: PathBuf,
    medium: Box<dyn Medium>,
    /// Bytes up to and including the last progress line.
    len: u64,
    upper: Option<Tick>,
    /// A write failed half-way: there may be bytes beyond `len`.
    torn: bool,
}

impl Journal {
    /// Opens or creates the file and its folder, and cuts off what was not committed. `of` says what the lines are, and
    /// `state` from which state, if it has a name; a file of something else is refused.
    ///
    /// # Errors
    /// [`FileError`] naming the path, the problem and what to do.
    pub fn open(path: &Path, of: &str, state: Option<&str>) -> Result<Self, FileError> {
        let fail = |problem| FileError {
            path: path.to_owned(),
            problem,
        };
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| fail(Problem::Folder(e)))?;
        // Opening a pipe would wait for its reader.
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Err(fail(Problem::NotAFile));
        }
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let file = options.open(path).map_err(|e| fail(Problem::io("open it", e)))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(fail(Problem::Locked)),
            Err(TryLockError::Error(e)) => return Err(fail(Problem::io("lock it", e))),
        }
        let header = header(of, state);
        let committed = match tail::find(&file, &header).map_err(|e| fail(Problem::io("read it", e)))? {
            Head::Ours(committed) => committed,
            Head::OtherState(found) => {
                let state = state.unwrap_or_default().to_owned();
                return Err(fail(Problem::OtherState { found, state }));
            }
            Head::Foreign => {
                return Err(fail(Problem::NotOurs {
                    expected: header.trim_end().to_owned(),
                }));
            }
        };
        let mut journal = Journal {
            path: path.to_owned(),
            medium: Box::new(file),
            len: committed.len,
            upper: committed.upper,
            torn: true,
        };
        if committed == Committed::default() {
            journal.commit(header.as_bytes())?;
            // The file's name must be as durable as its first tick.
            File::open(folder)
                .and_then(|f| f.sync_all())
                .map_err(|e| fail(Problem::io("fsync its folder", e)))?;
        } else {
            journal.mend()?;
        }
        Ok(journal)
    }

    /// The last tick committed.
    pub fn upper(&self) -> Option<Tick> {
        self.upper
    }

    /// Bytes of the file that are committed.
    pub(crate) fn committed(&self) -> u64 {
        self.len
    }

    /// Commits the lines of a tick, each ending in a newline. A tick that is committed already is left out. After an error
    /// nothing of the tick is committed and it can be tried again.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be written.
    pub fn append(&mut self, tick: Tick, lines: Vec<u8>) -> Result<(), FileError> {
        if self.upper.is_some_and(|upper| tick <= upper) {
            return Ok(());
        }
        let mut bytes = lines;
        bytes.extend_from_slice(progress(tick).as_bytes());
        self.commit(&bytes)?;
        self.upper = Some(tick);
        Ok(())
    }

    fn commit(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.mend()?;
        let state = self
            .medium
            .state()
            .map_err(|e| self.fail(Problem::io("look at it", e)))?;
        if state != (self.len, true) {
            return Err(self.fail(Problem::Changed));
        }
        self.torn = true;
        self.medium
            .write_at(bytes, self.len)
            .map_err(|e| self.fail(Problem::io("write it", e)))?;
        self.medium.sync().map_err(|e| self.fail(Problem::io("fsync it", e)))?;
        self.torn = false;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write or a crash left behind.
    fn mend(&mut self) -> Result<(), FileError> {
        if self.torn {
            self.medium
                .truncate(self.len)
                .map_err(|e| self.fail(Problem::io("truncate it", e)))?;
            self.torn = false;
        }
        Ok(())
    }

    fn fail(&self, problem: Problem) -> FileError {
        FileError {
            path: self.path.clone(),
            problem,
        }
    }
}

/// The committed length of a journal that may be in use; for readers, who neither lock nor mend it. `of` says what its lines
/// are; a journal of any state will do.
///
/// # Errors
/// [`FileError`] if it cannot be read or is something else.
pub(super) fn committed(path: &Path, of: &str) -> Result<(File, u64), FileError> {
    let fail = |problem| FileError {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|e| fail(Problem::io("open it", e)))?;
    let header = header(of, None);
    match tail::find(&file, &header).map_err(|e| fail(Problem::io("read it", e)))? {
        Head::Ours(committed) => Ok((file, committed.len)),
        Head::OtherState(_) | Head::Foreign => Err(fail(Problem::NotOurs {
            expected: header.trim_end().to_owned(),
        })),
    }
}

fn header(of: &str, state: Option<&str>) -> String {
    let of = serde_json::Value::from(of);
    let state = state.map_or(String::new(), |s| format!(",\"state\":{}", serde_json::Value::from(s)));
    format!("{{\"progress\":null,\"of\":{of},\"version\":{VERSION}{state}}}\n")
}

fn progress(tick: Tick) -> String {
    format!("{{\"progress\":{tick}}}\n")
}

#[cfg(test)]
mod tests;
