//! Texts by content: written once when recorded, fetched when somebody looks.
//!
//! The graph carries [`TextKey`]s only. Linking, scoring and serving ask here for the text behind a key. The answer is a
//! pure function of the key, so reading it inside the graph keeps the graph pure. The texts live in append-only files that
//! are rebuilt from the record at every start (a cache, never the truth); a bounded share of recent ones stays in memory
//! because the linker and the scorer want a text right after it arrived.
//!
//! With a retention ([`Texts::expire_after`]) there is one file per stretch of time, by when the posts were written, and a
//! file goes as a whole when the graph has forgotten all its posts. A text that comes again later is written again.

mod segment;

use crate::id::TextKey;
use crate::time::{EventTime, Tick};
use parking_lot::RwLock;
use segment::Segment;
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files a retention is divided into; narrower ones are not worth a file.
const SEGMENTS: i64 = 8;
/// The shortest stretch of time with a file of its own (ms).
const NARROWEST: i64 = 1_000;
/// The file of what is kept for ever, and of posts from a far future.
const FOR_EVER: i64 = i64::MAX;

/// The text store; share it in an [`Arc`].
pub struct Texts {
    inner: RwLock<Inner>,
}

struct Inner {
    folder: PathBuf,
    /// How long texts are needed, and the length of a stretch.
    retention: Option<(i64, i64)>,
    clock: EventTime,
    segments: BTreeMap<i64, Segment>,
    recent_limit: usize,
    /// What the texts of the next tick are collected in: as large as what was let go for those of the last one, so that no new
    /// memory is asked for with every tick.
    spare: Option<String>,
}

impl Inner {
    /// Which file a text belongs to that is of a post written at `at`.
    fn stretch(&self, at: EventTime) -> i64 {
        match self.retention {
            // Every stretch costs a file: a clock that is years ahead must not have one for each hour of them.
            Some((retention, width)) if at <= self.clock.saturating_add(retention) => at.div_euclid(width),
            _ => FOR_EVER,
        }
    }

    /// Whether a file that stays longer than this one has the text.
    fn kept_longer(&self, stretch: i64, key: TextKey) -> bool {
        let later = (Bound::Excluded(stretch), Bound::Unbounded);
        self.segments.range(later).any(|(_, s)| s.has(key))
    }

    /// Lets go of the oldest pieces in memory. The newest piece of a file stays whatever its size: its texts are what the
    /// linker asks for next.
    fn trim(&mut self) {
        let mut bytes: usize = self.segments.values().map(Segment::recent_bytes).sum();
        for segment in self.segments.values_mut() {
            while bytes > self.recent_limit {
                let Some(buffer) = segment.let_go() else { break };
                bytes -= buffer.capacity();
                self.spare = Some(buffer);
            }
        }
    }
}

impl Texts {
    /// Creates an empty store backed by unlinked files in `folder`, keeping about `recent_limit` bytes in memory.
    ///
    /// # Errors
    /// If a file cannot be created there.
    pub fn create(folder: &Path, recent_limit: usize) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Texts {
            inner: RwLock::new(Inner {
                segments: [(FOR_EVER, Segment::create(folder)?)].into(),
                folder: folder.to_owned(),
                retention: None,
                clock: EventTime::MIN,
                recent_limit,
                spare: None,
            }),
        })
    }

    /// From now on texts are needed for `retention` ms after their posts were written.
    pub fn expire_after(&self, retention: i64) {
        self.inner.write().retention = Some((retention, (retention / SEGMENTS).max(NARROWEST)));
    }

    /// Adds texts with the times at which their posts were written; known ones are skipped.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put<'a>(&self, texts: impl Iterator<Item = (TextKey, EventTime, &'a str)>) -> io::Result<()> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        for (key, at, text) in texts {
            let stretch = inner.stretch(at);
            if inner.kept_longer(stretch, key) {
                continue;
            }
            if let Some(segment) = inner.segments.get_mut(&stretch) {
                segment.add(key, text, &mut inner.spare);
            } else {
                let mut segment = Segment::create(&inner.folder)?;
                segment.add(key, text, &mut inner.spare);
                inner.segments.insert(stretch, segment);
            }
        }
        for segment in inner.segments.values_mut() {
            segment.flush()?;
        }
        inner.trim();
        Ok(())
    }

    /// Tells what time it is at a recorded tick, and up to which tick the graph is complete. Files whose posts the graph
    /// forgets at a tick go once it has come to that tick.
    pub fn turn(&self, tick: Tick, clock: EventTime, complete: Tick) {
        let mut inner = self.inner.write();
        let Some((retention, width)) = inner.retention else {
            return;
        };
        inner.clock = inner.clock.max(clock);
        let clock = inner.clock;
        inner.segments.retain(|stretch, segment| {
            // One stretch more than needed: the graph forgets in coarse steps too, by less than a stretch.
            let end = stretch.saturating_add(2).saturating_mul(width);
            if *stretch == FOR_EVER || end.saturating_add(retention) > clock {
                return true;
            }
            *segment.leaving.get_or_insert(tick) > complete
        });
    }

    /// The text behind a key.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn get(&self, key: TextKey) -> io::Result<Option<Arc<str>>> {
        let inner = self.inner.read();
        for segment in inner.segments.values().rev() {
            if let Some(text) = segment.get(key)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Distinct texts known, counted once per file they are in.
    pub fn len(&self) -> usize {
        self.inner.read().segments.values().map(Segment::len).sum()
    }

    /// Whether no text is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(text: &str, at: EventTime) -> (TextKey, EventTime, &str) {
        (TextKey::of(text.as_bytes()), at, text)
    }

    fn texts(name: &str) -> Texts {
        let folder = std::env::temp_dir().join(format!("groundswell-texts-{name}-{}", std::process::id()));
        let texts = Texts::create(&folder, 64).expect("created");
        texts.put([keyed("early", 0)].into_iter()).expect("written");
        texts
    }

    fn known(texts: &Texts, text: &str) -> bool {
        let found = texts.get(TextKey::of(text.as_bytes())).expect("read");
        assert!(found.as_deref().is_none_or(|found| found == text));
        found.is_some()
    }

    #[test]
    fn texts_survive_leaving_memory() {
        let texts = texts("memory");
        let all: Vec<String> = (0..100).map(|i| format!("text number {i} ü")).collect();
        for _ in 0..2 {
            for ten in all.chunks(10) {
                texts.put(ten.iter().map(|t| keyed(t, 5))).expect("written");
            }
        }
        assert_eq!(texts.len(), 101, "known ones are skipped");
        assert!(all.iter().all(|t| known(&texts, t)));
        assert!(!known(&texts, "never"));
    }

    #[test]
    fn files_go_when_the_graph_has_forgotten_their_posts() {
        let texts = texts("expiry");
        texts.expire_after(80_000);
        texts.turn(1, 0, 0);
        // Stretches of ten seconds; a text that comes again is needed longer.
        let all = [
            keyed("a", 0),
            keyed("b", 9_999),
            keyed("c", 10_000),
            keyed("far", 1 << 50),
        ];
        texts.put(all.into_iter()).expect("written");
        texts
            .put([keyed("a", 55_000), keyed("b", 100)].into_iter())
            .expect("written");
        assert_eq!(texts.len(), 6, "a is there twice, b is not");
        texts.turn(2, 99_999, 1);
        assert!(known(&texts, "b"));
        texts.turn(3, 100_000, 2);
        assert!(known(&texts, "b"), "the graph has not come to tick 3");
        texts.turn(4, 100_000, 3);
        assert!(!known(&texts, "b") && known(&texts, "a") && known(&texts, "c"));
        texts.turn(5, 1_000_000, 5);
        assert!(!known(&texts, "a") && !known(&texts, "c"));
        assert!(known(&texts, "far") && known(&texts, "early"));
        // A late one lives for a tick.
        texts.put([keyed("late", 7)].into_iter()).expect("written");
        assert!(known(&texts, "late"));
        texts.turn(6, 1_000_000, 5);
        assert!(known(&texts, "late"));
        texts.turn(7, 1_000_000, 6);
        assert!(!known(&texts, "late"));
    }
}
