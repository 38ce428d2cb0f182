//! What can go wrong with the store, one variant per situation, each with what to do about it.

use crate::time::Tick;
use std::io;
use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The url's scheme has no implementation here.
    #[error("state url \"{url}\" is not supported in this build: use a folder, as \"file:PATH\" or a plain path")]
    UnsupportedUrl {
        /// The url as given.
        url: String,
    },
    /// The folder holds something else, or nothing.
    #[error("\"{}\" is not a state folder: {problem}; point `state.url` at a state folder, or at a new or empty one", folder.display())]
    NotAStateFolder {
        /// The folder.
        folder: PathBuf,
        /// What was found instead.
        problem: String,
    },
    /// The operating system does not let us in.
    #[error("cannot access \"{path}\": permission denied; let the engine's user read and write the state folder")]
    Unreadable {
        /// The file, folder or object.
        path: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A later version of the engine wrote it.
    #[error(
        "state \"{place}\" was written by a newer version (format {format}, this build reads up to {supported}); upgrade the engine"
    )]
    Newer {
        /// The state's url.
        place: String,
        /// The format found.
        format: u64,
        /// The newest format this build reads.
        supported: u32,
    },
    /// An object is missing or does not hold what was written.
    #[error(
        "state object \"{object}\" is damaged: {problem}; run `groundswell state verify` and restore it from a backup"
    )]
    Damaged {
        /// The object, with its folder.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another process has it open.
    #[error(
        "state folder \"{}\" is in use by process {pid}; stop that process or choose another `state.url`",
        folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it, as far as it said.
        pid: String,
    },
    /// A newer process has taken over; nothing more may be written by this one.
    #[error(
        "state \"{place}\" was taken over by a newer process (epoch {by}, this one is {epoch}); this process must stop"
    )]
    Fenced {
        /// The state's url.
        place: String,
        /// Our epoch.
        epoch: u64,
        /// The epoch that took over.
        by: u64,
    },
    /// No space left.
    #[error("no space left for \"{path}\"; free some and retry, nothing recorded so far is lost")]
    DiskFull {
        /// What was being written.
        path: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tick that does not come after the last one.
    #[error("tick {tick} cannot be recorded: the last recorded tick is {last}, and ticks must increase")]
    NonMonotone {
        /// The refused tick.
        tick: Tick,
        /// The last recorded tick.
        last: Tick,
    },
    /// A batch that cannot be written in the store's format.
    #[error("tick {tick} cannot be encoded: {problem}")]
    Encode {
        /// The tick.
        tick: Tick,
        /// What does not fit.
        problem: String,
    },
    /// The background fold ended without an answer.
    #[error(
        "the background fold of state \"{place}\" failed: {problem}; the log is intact and the fold is tried again later"
    )]
    FoldFailed {
        /// The state's url.
        place: String,
        /// What happened.
        problem: String,
    },
    /// Anything else the storage reports.
    #[error("cannot {action} \"{path}\": {source}")]
    Io {
        /// `read`, `write`, `list`, `delete`, `open`.
        action: &'static str,
        /// The file, folder or object.
        path: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// An error of the file system or the object store, by its cause.
    pub(super) fn from_io(
        action: &'static str,
        path: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let (path, source) = (path.into(), source.into());
        match cause(source.as_ref()) {
            Cause::Full => StoreError::DiskFull { path, source },
            Cause::Denied => StoreError::Unreadable { path, source },
            Cause::Other => StoreError::Io { action, path, source },
        }
    }

    pub(super) fn damaged(object: impl Into<String>, problem: impl Into<String>) -> Self {
        StoreError::Damaged {
            object: object.into(),
            problem: problem.into(),
        }
    }
}

enum Cause {
    Full,
    Denied,
    Other,
}

/// Walks the chain of sources: `object_store` wraps the operating system's error several times.
fn cause(error: &(dyn std::error::Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => return Cause::Full,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => return Cause::Denied,
                _ => {}
            }
        }
        if let Some(object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) =
            error.downcast_ref::<object_store::Error>()
        {
            return Cause::Denied;
        }
        next = error.source();
    }
    Cause::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(kind: io::ErrorKind) -> object_store::Error {
        let inner = object_store::Error::Generic {
            store: "test",
            source: Box::new(io::Error::from(kind)),
        };
        object_store::Error::Generic {
            store: "test",
            source: Box::new(inner),
        }
    }

    #[test]
    fn the_cause_is_found_below_its_wrappers() {
        let full = StoreError::from_io("write", "log/1", wrapped(io::ErrorKind::StorageFull));
        assert!(
            matches!(&full, StoreError::DiskFull { path, .. } if path == "log/1"),
            "{full:?}"
        );
        let denied = StoreError::from_io("read", "log/1", wrapped(io::ErrorKind::PermissionDenied));
        assert!(matches!(denied, StoreError::Unreadable { .. }), "{denied:?}");
        let other = StoreError::from_io("read", "log/1", wrapped(io::ErrorKind::TimedOut));
        assert!(matches!(other, StoreError::Io { action: "read", .. }), "{other:?}");
    }

    #[test]
    fn messages_name_the_thing_and_what_to_do() {
        let newer = StoreError::Newer {
            place: "state".into(),
            format: 7,
            supported: 1,
        };
        assert!(
            newer
                .to_string()
                .contains("written by a newer version (format 7, this build reads up to 1)")
        );
        let locked = StoreError::Locked {
            folder: "state".into(),
            pid: "12".into(),
        };
        assert!(locked.to_string().contains("in use by process 12"));
    }
}
