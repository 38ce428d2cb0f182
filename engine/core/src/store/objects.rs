//! Blocking access to the place where state lives: a folder today, a bucket behind the same trait later.
//!
//! [`Objects`] is a cheap handle: the object store and the small runtime that drives it. Names are relative
//! (`log/…`); errors name the object with its folder. Opening a folder for writing takes its lock.

use super::error::StoreError;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Folders of a state, in the order they are created.
pub(super) const FOLDERS: [&str; 3] = ["manifest", "log", "snapshot"];
const LOCK: &str = "LOCK";

/// An object as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name, relative to the state's root.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// Written.
    New,
    /// There is an object of that name already.
    Exists,
}

/// A handle on the state's objects; clones share it.
#[derive(Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
    place: Arc<str>,
    folder: Option<Arc<Path>>,
}

/// The folder's lock; free again when dropped or when the process ends.
pub(super) struct Lock {
    _file: File,
}

/// The folder of a state url.
///
/// # Errors
/// [`StoreError::UnsupportedUrl`] for anything but a folder.
pub(super) fn folder_of(url: &str) -> Result<PathBuf, StoreError> {
    let unsupported = || StoreError::UnsupportedUrl { url: url.to_owned() };
    let path = match url.split_once(':') {
        Some(("file", rest)) => match rest.strip_prefix("//") {
            Some(absolute) if absolute.starts_with('/') => absolute,
            Some(_) => return Err(unsupported()),
            None => rest,
        },
        Some((scheme, _)) if is_scheme(scheme) => return Err(unsupported()),
        _ => url,
    };
    if path.is_empty() {
        Err(unsupported())
    } else {
        Ok(PathBuf::from(path))
    }
}

fn is_scheme(s: &str) -> bool {
    s.len() > 1
        && s.starts_with(|c: char| c.is_ascii_alphabetic())
        && s.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

impl Objects {
    /// Opens an existing folder, without taking its lock and without changing anything in it.
    pub fn existing(url: &str) -> Result<Self, StoreError> {
        let folder = folder_of(url)?;
        match std::fs::metadata(&folder) {
            Ok(meta) if meta.is_dir() => Self::over_folder(&folder),
            Ok(_) => Err(StoreError::NotAStateFolder {
                folder,
                problem: "it is not a folder".into(),
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(StoreError::NotAStateFolder {
                folder,
                problem: "it does not exist".into(),
            }),
            Err(e) => Err(StoreError::from_io("open", folder.display().to_string(), e)),
        }
    }

    /// Opens a folder for writing: creates it if need be, takes its lock, and removes what interrupted writes left over.
    pub fn locked(url: &str) -> Result<(Self, Lock), StoreError> {
        let folder = folder_of(url)?;
        let failed = |e| StoreError::from_io("open", folder.display().to_string(), e);
        if folder.exists() && !folder.is_dir() {
            return Err(StoreError::NotAStateFolder {
                folder,
                problem: "it is not a folder".into(),
            });
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        refuse_foreign(&folder)?;
        let lock = lock(&folder)?;
        for name in FOLDERS {
            std::fs::create_dir_all(folder.join(name)).map_err(failed)?;
        }
        for durable in [
            Some(folder.as_path()),
            folder.parent().filter(|p| !p.as_os_str().is_empty()),
        ]
        .into_iter()
        .flatten()
        {
            File::open(durable).and_then(|f| f.sync_all()).map_err(failed)?;
        }
        remove_leftovers(&folder)?;
        Ok((Self::over_folder(&folder)?, lock))
    }

    fn over_folder(folder: &Path) -> Result<Self, StoreError> {
        let shown = folder.display().to_string();
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|e| StoreError::from_io("open", shown.clone(), e))?
            .with_fsync(true);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(4)
            .thread_name("store-io")
            .build()
            .map_err(|e| StoreError::from_io("open", shown.clone(), e))?;
        Ok(Objects {
            store: Arc::new(store),
            runtime: Arc::new(runtime),
            place: Arc::from(shown),
            folder: Some(Arc::from(folder)),
        })
    }

    /// Where the state is, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The folder, where the state is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The object's name with its place, for messages.
    pub fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// The object's bytes; a missing one is damage, since only objects known to exist are asked for.
    pub fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.try_get(name)?
            .ok_or_else(|| StoreError::damaged(self.full(name), "it is missing"))
    }

    /// The object's bytes, or `None` if there is none.
    pub fn try_get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.store.get(&Name::from(name)).await?.bytes().await };
        self.found(name, self.runtime.block_on(read))
    }

    /// The first bytes of an object, at most `limit`.
    pub fn get_head(&self, object: &Listed, limit: u64) -> Result<Bytes, StoreError> {
        // An empty range is refused; an empty object is for the reader to judge.
        if object.bytes == 0 {
            return Ok(Bytes::new());
        }
        let name = Name::from(object.name.as_str());
        let read = self.store.get_range(&name, 0..limit.min(object.bytes));
        self.found(&object.name, self.runtime.block_on(read))?
            .ok_or_else(|| StoreError::damaged(self.full(&object.name), "it is missing"))
    }

    fn found(&self, name: &str, read: object_store::Result<Bytes>) -> Result<Option<Bytes>, StoreError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(StoreError::from_io("read", self.full(name), e)),
        }
    }

    /// Writes an object, replacing one of that name. Durable when it returns.
    pub fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.runtime
            .block_on(self.store.put(&Name::from(name), bytes.into()))
            .map(|_| ())
            .map_err(|e| StoreError::from_io("write", self.full(name), e))
    }

    /// Writes an object unless there is one of that name. Durable when it returns.
    pub fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self
            .runtime
            .block_on(self.store.put_opts(&Name::from(name), bytes.into(), options))
        {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::Exists)
            }
            Err(e) => Err(StoreError::from_io("write", self.full(name), e)),
        }
    }

    /// The objects of a folder, by name.
    pub fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = Name::from(folder);
        let list = self
            .store
            .list(Some(&prefix))
            .map_ok(|meta| Listed {
                name: meta.location.to_string(),
                bytes: meta.size,
            })
            .try_collect::<Vec<_>>();
        let mut objects = self
            .runtime
            .block_on(list)
            .map_err(|e| StoreError::from_io("list", self.full(folder), e))?;
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// Removes an object; one that is not there is fine.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.runtime.block_on(self.store.delete(&Name::from(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(StoreError::from_io("delete", self.full(name), e)),
        }
    }
}

/// Refuses to turn a folder that is used for something else into a state folder.
fn refuse_foreign(folder: &Path) -> Result<(), StoreError> {
    if folder.join(FOLDERS[0]).is_dir() {
        return Ok(());
    }
    let failed = |e| StoreError::from_io("open", folder.display().to_string(), e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name != LOCK && name != "lost+found" && !name.starts_with('.') {
            let problem = format!("it holds \"{name}\" and no manifest");
            return Err(StoreError::NotAStateFolder {
                folder: folder.to_owned(),
                problem,
            });
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<Lock, StoreError> {
    let path = folder.join(LOCK);
    let failed = |e| StoreError::from_io("open", path.display().to_string(), e);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Best effort: the holder may be just about to write its pid, and the lock is what counts.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() {
                "(unknown)".into()
            } else {
                pid.trim().to_owned()
            };
            return Err(StoreError::Locked {
                folder: folder.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(e)) => return Err(failed(e)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(Lock { _file: file })
}

/// Removes the temporary files (`name#1`) of writes that never finished. Safe under the lock only.
fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    for name in FOLDERS {
        let inside = folder.join(name);
        let failed = |e| StoreError::from_io("open", inside.display().to_string(), e);
        for entry in std::fs::read_dir(&inside).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let file = entry.file_name();
            let leftover = file
                .to_string_lossy()
                .rsplit_once('#')
                .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            if leftover {
                tracing::info!(file = %entry.path().display(), "removing the rest of an interrupted write");
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_folders_only() {
        for (url, path) in [
            ("file:./state", "./state"),
            ("file:/var/state", "/var/state"),
            ("file:///var/state", "/var/state"),
            ("state", "state"),
            ("./a:b", "./a:b"),
            ("/a b/c", "/a b/c"),
        ] {
            assert_eq!(folder_of(url).expect(url), PathBuf::from(path));
        }
        for url in ["s3://bucket/x", "gs://b", "file://host/x", "memory:", "", "file:"] {
            let error = folder_of(url).expect_err(url);
            assert!(error.to_string().contains("not supported in this build"), "{error}");
        }
    }

    #[test]
    fn a_create_never_replaces() {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, _lock) = Objects::locked(&folder.path().display().to_string()).expect("open");
        assert_eq!(
            objects.create("manifest/1", Bytes::from_static(b"a")).expect("new"),
            Created::New
        );
        assert_eq!(
            objects.create("manifest/1", Bytes::from_static(b"b")).expect("old"),
            Created::Exists
        );
        assert_eq!(&objects.get("manifest/1").expect("read")[..], b"a");
        objects.delete("manifest/1").expect("deleted");
        objects.delete("manifest/1").expect("deleting nothing is fine");
        assert!(matches!(objects.get("manifest/1"), Err(StoreError::Damaged { .. })));
    }
}
