//! One file of texts: appended to, never rewritten, gone when it is dropped.

use crate::id::TextKey;
use crate::table::Table;
use crate::time::Tick;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file with its index, and what was written to it last.
pub(super) struct Segment {
    file: File,
    written: u64,
    index: Table<Key, Place>,
    /// Added and not yet written.
    fresh: String,
    /// The end of the file, in pieces as they were written.
    recent: VecDeque<Piece>,
    recent_bytes: usize,
    /// The tick at which the graph forgets the last of its posts.
    pub leaving: Option<Tick>,
}

/// What was written at once.
struct Piece {
    offset: u64,
    text: String,
}

/// A buffer larger than this, and this many times what is in it, is cut to size.
const SLACK: (usize, usize) = (4096, 4);

/// A [`TextKey`] without padding: there is one for every text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C, packed(4))]
struct Key(u128);

impl From<TextKey> for Key {
    fn from(key: TextKey) -> Self {
        Key(key.0)
    }
}

#[derive(Clone, Copy, Default)]
#[repr(C, packed(4))]
struct Place {
    offset: u64,
    len: u32,
}

impl Segment {
    /// An empty file in `folder` that nobody else can open.
    pub fn create(folder: &Path) -> io::Result<Self> {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let n = NAMES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("texts-{}-{n}.cache", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        // Unlinked at once: the space is given back however the process ends.
        std::fs::remove_file(&path)?;
        Ok(Segment {
            file,
            written: 0,
            index: Table::default(),
            fresh: String::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            leaving: None,
        })
    }

    pub fn has(&self, key: TextKey) -> bool {
        self.index.get(key.into()).is_some()
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Adds a text that is not there yet; it can be read after the next [`Segment::flush`]. Texts of 4 GiB are left out. A buffer
    /// that is needed is the spare one, if there is one.
    pub fn add(&mut self, key: TextKey, text: &str, spare: &mut Option<String>) {
        let offset = self.written + self.fresh.len() as u64;
        let Ok(len) = u32::try_from(text.len()) else { return };
        let (place, new) = self.index.place(key.into());
        if new {
            *place = Place { offset, len };
            if self.fresh.capacity() == 0 {
                self.fresh = spare.take().unwrap_or_default();
            }
            self.fresh.push_str(text);
        }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        self.file.write_all(self.fresh.as_bytes())?;
        let mut text = std::mem::take(&mut self.fresh);
        if text.capacity() > (text.len() * SLACK.1).max(SLACK.0) {
            text.shrink_to_fit();
        }
        let offset = self.written;
        self.written += text.len() as u64;
        self.recent_bytes += text.capacity();
        self.recent.push_back(Piece { offset, text });
        Ok(())
    }

    /// Bytes held in memory beside the index.
    pub fn recent_bytes(&self) -> usize {
        self.recent_bytes
    }

    /// Lets go of the oldest piece in memory unless it is the newest too, and hands its buffer back, empty.
    pub fn let_go(&mut self) -> Option<String> {
        if self.recent.len() < 2 {
            return None;
        }
        let Piece { mut text, .. } = self.recent.pop_front()?;
        self.recent_bytes -= text.capacity();
        text.clear();
        Some(text)
    }

    pub fn get(&self, key: TextKey) -> io::Result<Option<Arc<str>>> {
        let Some(place) = self.index.get(key.into()).copied() else {
            return Ok(None);
        };
        if let Some(text) = self.recent(place) {
            return Ok(Some(Arc::from(text)));
        }
        let mut bytes = vec![0; place.len as usize];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        std::str::from_utf8(&bytes)
            .map(|s| Some(Arc::from(s)))
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// A text, if it is still in memory.
    fn recent(&self, place: Place) -> Option<&str> {
        let after = self.recent.partition_point(|piece| piece.offset <= place.offset);
        let piece = self.recent.get(after.checked_sub(1)?)?;
        let at = usize::try_from(place.offset - piece.offset).ok()?;
        piece.text.get(at..at + place.len as usize)
    }
}
