//! Live posts: by key, newest first, and as a feed of the newest few.
//!
//! In: changed posts, tick by tick. Out: a post, a page of the newest, the feed's content and its deltas. State: at most
//! `most` posts, the newest by time; and the keys in the feed. A post dated after the recorded clock sorts as if written
//! when it arrived, so a wrong clock somewhere cannot hold the top of the list.

use super::history::Changes;
use groundswell_core::id::PostKey;
use groundswell_core::serving::{LivePost, PostChange};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Most posts that one page looks at: readers hold up the next tick meanwhile.
const LOOKED_AT: usize = 20_000;

/// A live post with the tick that last changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The post.
    pub post: Arc<LivePost>,
    /// Tick of the last change.
    pub updated: Tick,
    /// Where it sorts among the newest.
    pub sort: EventTime,
}

/// Place of a post in the listing by time.
pub type PostPlace = (EventTime, PostKey);

/// The live posts.
pub struct Posts {
    live: HashMap<PostKey, Entry>,
    newest: BTreeSet<PostPlace>,
    most: usize,
    feed: Vec<PostKey>,
    feed_len: usize,
}

impl Posts {
    /// None yet; keeps at most `most`, the newest `feed_len` of them in the feed.
    pub fn new(most: usize, feed_len: usize) -> Self {
        Posts {
            live: HashMap::new(),
            newest: BTreeSet::new(),
            most,
            feed: Vec::new(),
            feed_len,
        }
    }

    /// Applies the changes of one tick and returns what they do to the feed.
    pub fn apply(&mut self, changes: &[PostChange], tick: Tick, clock: EventTime) -> Changes {
        if changes.is_empty() {
            return Changes::Posts(Vec::new());
        }
        for change in changes {
            let old = self.live.remove(&change.key);
            if let Some(old) = &old {
                self.newest.remove(&(old.sort, change.key));
            }
            if let Some(post) = &change.post {
                let sort = match old {
                    Some(old) if old.post.created_at == post.created_at => old.sort,
                    _ => post.created_at.min(clock),
                };
                self.newest.insert((sort, change.key));
                self.live.insert(
                    change.key,
                    Entry {
                        post: Arc::new(post.clone()),
                        updated: tick,
                        sort,
                    },
                );
            }
        }
        while self.live.len() > self.most {
            let Some((_, key)) = self.newest.pop_first() else { break };
            self.live.remove(&key);
        }
        Changes::Posts(self.feed_changes(tick))
    }

    fn feed_changes(&mut self, tick: Tick) -> Vec<(PostKey, Option<Entry>)> {
        let now: Vec<PostKey> = self
            .newest
            .iter()
            .rev()
            .take(self.feed_len)
            .map(|(_, key)| *key)
            .collect();
        let is_in: HashSet<PostKey> = now.iter().copied().collect();
        let was_in: HashSet<PostKey> = self.feed.iter().copied().collect();
        let gone = self
            .feed
            .iter()
            .filter(|key| !is_in.contains(*key))
            .map(|key| (*key, None));
        let new = now.iter().filter_map(|key| {
            let entry = self.live.get(key)?;
            (entry.updated == tick || !was_in.contains(key)).then(|| (*key, Some(entry.clone())))
        });
        let changes = gone.chain(new).collect();
        self.feed = now;
        changes
    }

    /// A post by key.
    pub fn get(&self, key: PostKey) -> Option<&Entry> {
        self.live.get(&key)
    }

    /// How many posts are kept.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The newest wanted posts, after a place in the listing: at most `limit`, and the place after which others follow. At
    /// most some twenty thousand posts are looked at, so that a page may have fewer although others follow.
    pub fn page(
        &self,
        after: Option<PostPlace>,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> (Vec<(PostKey, Entry)>, Option<PostPlace>) {
        let upper = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut found, mut last) = (Vec::new(), None);
        let newest = self.newest.range((Bound::Unbounded, upper)).rev();
        for (n, place) in newest.enumerate() {
            if found.len() == limit || n == LOOKED_AT {
                return (found, last);
            }
            last = Some(*place);
            if let Some(entry) = self.live.get(&place.1).filter(|entry| wanted(entry)) {
                found.push((place.1, entry.clone()));
            }
        }
        (found, None)
    }

    /// What the feed holds, newest first.
    pub fn feed(&self) -> Vec<(PostKey, Entry)> {
        self.feed
            .iter()
            .filter_map(|key| Some((*key, self.live.get(key)?.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::post;

    fn key(n: u32) -> PostKey {
        PostKey::of(&n.to_le_bytes())
    }

    #[test]
    fn the_feed_is_the_newest_posts_after_any_change() {
        let mut posts = Posts::new(1000, 3);
        let mut folded: HashMap<PostKey, Entry> = HashMap::new();
        for tick in 1..200u64 {
            let n = u32::try_from(tick * 7919 % 23).expect("small");
            let change = PostChange {
                key: key(n),
                post: (tick % 3 != 0).then(|| post(i64::from(n) * 10)),
            };
            let Changes::Posts(changes) = posts.apply(&[change], tick, i64::MAX) else {
                panic!("posts")
            };
            for (key, entry) in changes {
                match entry {
                    Some(entry) => folded.insert(key, entry),
                    None => folded.remove(&key),
                };
            }
            let feed: HashMap<PostKey, Entry> = posts.feed().into_iter().collect();
            assert_eq!(feed, folded);
            let (page, _) = posts.page(None, 3, |_| true);
            assert_eq!(page, posts.feed());
        }
    }

    #[test]
    fn only_the_newest_are_kept_and_a_post_from_the_future_does_not_stay_on_top() {
        let mut posts = Posts::new(2, 10);
        let change = |n: u32, at: i64| PostChange {
            key: key(n),
            post: Some(post(at)),
        };
        posts.apply(&[change(1, 9_999)], 1, 100);
        posts.apply(&[change(2, 150)], 2, 150);
        assert_eq!(posts.feed().first().map(|(k, _)| *k), Some(key(2)));
        posts.apply(&[change(3, 160)], 3, 160);
        assert_eq!(posts.len(), 2);
        assert!(posts.get(key(1)).is_none());
    }
}
