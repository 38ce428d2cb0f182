//! Texts by content: written once when recorded, fetched when somebody looks.
//!
//! The graph carries [`TextKey`]s only. Linking, scoring and serving ask here for the text behind a key. The answer is a
//! pure function of the key, so reading it inside the graph keeps the graph pure. The texts live in one append-only file
//! that is rebuilt from the record at every start (a cache, never the truth); a bounded share of recent ones stays in
//! memory because the linker and the scorer want a text right after it arrived.

use crate::id::TextKey;
use hashbrown::HashMap;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The text store; share it in an [`Arc`].
pub struct Texts {
    inner: RwLock<Inner>,
}

struct Inner {
    file: File,
    written: u64,
    index: HashMap<TextKey, Place>,
    recent: HashMap<TextKey, Arc<str>>,
    order: VecDeque<TextKey>,
    recent_bytes: usize,
    recent_limit: usize,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    len: u32,
}

impl Texts {
    /// Creates an empty store backed by an unlinked file in `folder`, keeping about `recent_limit` bytes in memory.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(folder: &Path, recent_limit: usize) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("texts-{}.cache", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        // Unlinked at once: the space is given back however the process ends.
        std::fs::remove_file(&path)?;
        Ok(Texts {
            inner: RwLock::new(Inner {
                file,
                written: 0,
                index: HashMap::new(),
                recent: HashMap::new(),
                order: VecDeque::new(),
                recent_bytes: 0,
                recent_limit,
            }),
        })
    }

    /// Adds texts; known ones are skipped.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put<'a>(&self, texts: impl Iterator<Item = (TextKey, &'a str)>) -> io::Result<()> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let mut buffer = Vec::new();
        for (key, text) in texts {
            let offset = inner.written + buffer.len() as u64;
            let Ok(len) = u32::try_from(text.len()) else { continue };
            if inner.index.try_insert_absent(key, Place { offset, len }) {
                buffer.extend_from_slice(text.as_bytes());
                inner.recent.insert(key, Arc::from(text));
                inner.order.push_back(key);
                inner.recent_bytes += text.len();
            }
        }
        inner.file.write_all(&buffer)?;
        inner.written += buffer.len() as u64;
        while inner.recent_bytes > inner.recent_limit {
            let Some(old) = inner.order.pop_front() else { break };
            if let Some(text) = inner.recent.remove(&old) {
                inner.recent_bytes -= text.len();
            }
        }
        Ok(())
    }

    /// The text behind a key, if it was ever put.
    ///
    /// # Errors
    /// If it cannot be read back.
    pub fn get(&self, key: TextKey) -> io::Result<Option<Arc<str>>> {
        let inner = self.inner.read();
        if let Some(text) = inner.recent.get(&key) {
            return Ok(Some(Arc::clone(text)));
        }
        let Some(place) = inner.index.get(&key) else {
            return Ok(None);
        };
        let mut bytes = vec![0; place.len as usize];
        inner.file.read_exact_at(&mut bytes, place.offset)?;
        String::from_utf8(bytes)
            .map(|s| Some(Arc::from(s)))
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.inner.read().index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

trait TryInsertAbsent {
    fn try_insert_absent(&mut self, key: TextKey, place: Place) -> bool;
}

impl TryInsertAbsent for HashMap<TextKey, Place> {
    fn try_insert_absent(&mut self, key: TextKey, place: Place) -> bool {
        match self.entry(key) {
            hashbrown::hash_map::Entry::Occupied(_) => false,
            hashbrown::hash_map::Entry::Vacant(slot) => {
                slot.insert(place);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_leaving_memory() {
        let folder = std::env::temp_dir().join(format!("groundswell-texts-{}", std::process::id()));
        let texts = Texts::create(&folder, 64).expect("created");
        let all: Vec<String> = (0..100).map(|i| format!("text number {i} ü")).collect();
        texts
            .put(all.iter().map(|t| (TextKey::of(t.as_bytes()), t.as_str())))
            .expect("written");
        texts
            .put(all.iter().map(|t| (TextKey::of(t.as_bytes()), t.as_str())))
            .expect("again: skipped");
        assert_eq!(texts.len(), 100);
        for t in &all {
            assert_eq!(
                texts.get(TextKey::of(t.as_bytes())).expect("read").as_deref(),
                Some(t.as_str())
            );
        }
        assert_eq!(texts.get(TextKey::of(b"never")).expect("read"), None);
        std::fs::remove_dir_all(folder).expect("clean");
    }
}
