//! How far a webhook has posted: a byte offset, in a small file that is replaced as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file and what it says.
pub(super) struct Place {
    path: PathBuf,
    offset: u64,
}

impl Place {
    /// Reads it; without a file nothing has been posted.
    pub(super) fn open(path: PathBuf) -> Result<Self, (PathBuf, String)> {
        let offset = match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(offset) => offset,
                Err(_) => return Err((path, "it holds no number".to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err((path, error.to_string())),
        };
        Ok(Place { path, offset })
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on without writing it down: before it there is nothing to be posted.
    pub(super) fn pass(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Goes on, and notes it durably.
    pub(super) fn note(&mut self, offset: u64) -> io::Result<()> {
        let beside = self.path.with_extension("tmp");
        let mut file = File::create(&beside)?;
        file.write_all(offset.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.offset = offset;
        Ok(())
    }
}
