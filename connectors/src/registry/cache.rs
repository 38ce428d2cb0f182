//! A bounded map from ids to what is known of them.

use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Cache<T> {
    entries: HashMap<u32, Entry<T>>,
    most: usize,
    /// Counts uses.
    clock: u64,
}

struct Entry<T> {
    value: Arc<T>,
    used: u64,
    until: Option<Instant>,
}

impl<T> Cache<T> {
    pub(super) fn new(most: usize) -> Self {
        Cache {
            entries: HashMap::new(),
            most,
            clock: 0,
        }
    }

    /// Whether the id is known at this time.
    pub(super) fn has(&self, id: u32, now: Instant) -> bool {
        let known = self.entries.get(&id);
        known.is_some_and(|entry| entry.until.is_none_or(|until| now < until))
    }

    /// What is known of the id, be it old.
    pub(super) fn get(&mut self, id: u32) -> Option<Arc<T>> {
        let entry = self.entries.get_mut(&id)?;
        self.clock += 1;
        entry.used = self.clock;
        Some(Arc::clone(&entry.value))
    }

    /// Remembers an id, for ever or until then; the one not used for longest makes room.
    pub(super) fn insert(&mut self, id: u32, value: Arc<T>, until: Option<Instant>) {
        if self.entries.len() >= self.most
            && !self.entries.contains_key(&id)
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(id, _)| *id)
        {
            self.entries.remove(&oldest);
        }
        self.clock += 1;
        let used = self.clock;
        self.entries.insert(id, Entry { value, used, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_one_not_used_for_longest_makes_room() {
        let (mut cache, now) = (Cache::new(2), Instant::now());
        cache.insert(1, Arc::new("a"), None);
        cache.insert(2, Arc::new("b"), None);
        assert_eq!(cache.get(1).as_deref(), Some(&"a"));
        cache.insert(3, Arc::new("c"), None);
        assert!(cache.has(1, now) && !cache.has(2, now) && cache.has(3, now));
        cache.insert(3, Arc::new("d"), None);
        assert_eq!(
            (cache.get(1).as_deref(), cache.get(3).as_deref()),
            (Some(&"a"), Some(&"d"))
        );
    }

    #[test]
    fn what_is_known_for_a_time_is_asked_for_again() {
        let (mut cache, now) = (Cache::new(2), Instant::now());
        cache.insert(1, Arc::new("a"), Some(now + Duration::from_secs(1)));
        assert!(cache.has(1, now) && !cache.has(1, now + Duration::from_secs(1)));
        assert!(cache.get(1).is_some());
    }
}
