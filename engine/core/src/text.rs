//! Texts by content: written once when recorded, fetched when somebody looks.
//!
//! The graph carries [`TextKey`]s only. Linking, scoring and serving ask here for the text behind a key. The answer is a
//! pure function of the key, so reading it inside the graph keeps the graph pure. The texts live in one append-only file
//! that is rebuilt from the record at every start (a cache, never the truth); a bounded share of recent ones stays in
//! memory because the linker and the scorer want a text right after it arrived.

use crate::id::{DigestMap, TextKey};
use hashbrown::hash_map::Entry;
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
    index: DigestMap<TextKey, Place>,
    /// The end of the file, in pieces as they were written, the last `recent_limit` bytes or so.
    recent: VecDeque<Piece>,
    recent_bytes: usize,
    recent_limit: usize,
}

/// What one `put` wrote.
struct Piece {
    offset: u64,
    text: Box<str>,
}

#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct Place {
    offset: u64,
    len: u32,
}

impl Inner {
    /// A text, if it is still in memory.
    fn recent(&self, place: Place) -> Option<&str> {
        let after = self.recent.partition_point(|piece| piece.offset <= place.offset);
        let piece = self.recent.get(after.checked_sub(1)?)?;
        let at = usize::try_from(place.offset - piece.offset).ok()?;
        piece.text.get(at..at + place.len as usize)
    }
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
                index: DigestMap::default(),
                recent: VecDeque::new(),
                recent_bytes: 0,
                recent_limit,
            }),
        })
    }

    /// Adds texts; known ones are skipped.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put<'a>(&self, texts: impl Iterator<Item = (TextKey, &'a str)> + Clone) -> io::Result<()> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let mut buffer = String::with_capacity(texts.clone().map(|(_, text)| text.len()).sum());
        for (key, text) in texts {
            let offset = inner.written + buffer.len() as u64;
            let Ok(len) = u32::try_from(text.len()) else { continue };
            if let Entry::Vacant(slot) = inner.index.entry(key) {
                slot.insert(Place { offset, len });
                buffer.push_str(text);
            }
        }
        if buffer.is_empty() {
            return Ok(());
        }
        inner.file.write_all(buffer.as_bytes())?;
        let text = buffer.into_boxed_str();
        let offset = inner.written;
        inner.written += text.len() as u64;
        inner.recent_bytes += text.len();
        inner.recent.push_back(Piece { offset, text });
        // The newest piece stays whatever its size: its texts are what the linker asks for next.
        while inner.recent_bytes > inner.recent_limit && inner.recent.len() > 1 {
            let Some(old) = inner.recent.pop_front() else { break };
            inner.recent_bytes -= old.text.len();
        }
        Ok(())
    }

    /// The text behind a key, if it was ever put.
    ///
    /// # Errors
    /// If it cannot be read back.
    pub fn get(&self, key: TextKey) -> io::Result<Option<Arc<str>>> {
        let inner = self.inner.read();
        let Some(place) = inner.index.get(&key).copied() else {
            return Ok(None);
        };
        if let Some(text) = inner.recent(place) {
            return Ok(Some(Arc::from(text)));
        }
        let mut bytes = vec![0; place.len as usize];
        inner.file.read_exact_at(&mut bytes, place.offset)?;
        std::str::from_utf8(&bytes)
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
