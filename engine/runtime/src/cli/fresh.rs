//! A folder of the demo's own: removed when the demo ends, or, if it was killed, when the next one starts.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "groundswell-demo-";
/// The lock that a state folder has while it is open.
const LOCK: &str = "LOCK";
/// A folder without a lock file is either about to get one or was left by a demo that was killed right away.
const YOUNG: Duration = Duration::from_secs(60);

/// The folder.
pub(super) struct Fresh(PathBuf);

impl Fresh {
    pub(super) fn create() -> std::io::Result<Self> {
        let base = std::env::temp_dir();
        remove_stale(&base);
        let folder = base.join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Fresh(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder could not be removed");
        }
    }
}

/// Removes folders of demos that are gone. What cannot be looked at or removed is somebody else's.
fn remove_stale(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()));
        // The entry's own type: a link is not followed.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if ours && is_folder && is_stale(&entry.path()) {
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => {
                    tracing::info!(folder = %entry.path().display(), "removed the folder of a demo that was killed")
                }
                Err(error) => tracing::debug!(folder = %entry.path().display(), %error, "an old folder stays"),
            }
        }
    }
}

fn is_stale(folder: &Path) -> bool {
    match File::options().read(true).write(true).open(folder.join(LOCK)) {
        // Freed at the end of this function; nobody opens a folder named after a process that is gone.
        Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => folder
            .metadata()
            .and_then(|m| m.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > YOUNG)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_folders_of_demos_that_are_gone_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        let folder = |name: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("x"), "x").unwrap();
            at(name)
        };
        let killed = folder("groundswell-demo-1");
        std::fs::write(killed.join(LOCK), "1").unwrap();
        let alive = folder("groundswell-demo-2");
        let held = File::create(alive.join(LOCK)).unwrap();
        held.try_lock().unwrap();
        let starting = folder("groundswell-demo-3");
        let others = [
            folder("groundswell-demo-"),
            folder("groundswell-demo-x1"),
            folder("groundswell-demos"),
        ];
        std::fs::write(others[1].join(LOCK), "1").unwrap();
        std::os::unix::fs::symlink(&others[2], at("groundswell-demo-4")).unwrap();
        std::fs::write(others[2].join(LOCK), "1").unwrap();
        remove_stale(base.path());
        assert!(!killed.exists());
        assert!(alive.exists() && starting.exists() && at("groundswell-demo-4").exists());
        assert!(others.iter().all(|o| o.join("x").exists()));
        let old = File::open(&starting).unwrap();
        old.set_modified(std::time::SystemTime::now() - 2 * YOUNG).unwrap();
        remove_stale(base.path());
        assert!(!starting.exists());
    }
}
