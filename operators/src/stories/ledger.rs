//! The ledger of stories: who begins one and who follows, under insertions and deletions.
//!
//! In: places (time and key) with signatures, put in and taken out. Out: what changed, when asked to settle. State: every
//! signature, with what it follows, and an index of those that begin a story. Pure; see [`crate::stories`] for the rule.
//!
//! A post's standing depends on posts before it only. So what is touched settles in the order of places: each place is
//! looked at once, and only where one begins a story that did not, or no longer does, those after it that are like it are
//! looked at as well.

use super::signature::Signature;
use groundswell_core::id::PostKey;
use groundswell_core::time::EventTime;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The order in which posts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When the post was written (epoch ms).
    pub created_at: EventTime,
    /// The post.
    pub key: PostKey,
}

/// What a post is to stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not settled yet.
    Open,
    /// Begins one.
    Begins,
    /// Tells that of another.
    Follows(Place),
}

struct Entry {
    signature: Arc<Signature>,
    standing: Standing,
}

/// Places by a key of their signature; ascending.
type Index = HashMap<(bool, u64), BTreeSet<Place>>;

/// See the module documentation.
pub struct Ledger {
    within: i64,
    similarity: i32,
    entries: BTreeMap<Place, Entry>,
    /// All places.
    all: Index,
    /// Those that begin a story.
    beginnings: Index,
    touched: BTreeSet<Place>,
    /// The beginnings that posts follow.
    follows: HashMap<PostKey, PostKey>,
    /// What each post that may have changed followed before.
    before: BTreeMap<PostKey, Option<PostKey>>,
}

/// A post, what it followed, and what it follows now.
pub type Change = (PostKey, Option<PostKey>, Option<PostKey>);

impl Ledger {
    /// An empty one.
    pub fn new(within: i64, similarity: i32) -> Self {
        Ledger {
            within,
            similarity,
            entries: BTreeMap::new(),
            all: Index::new(),
            beginnings: Index::new(),
            touched: BTreeSet::new(),
            follows: HashMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// Puts a post in.
    pub fn insert(&mut self, place: Place, signature: Arc<Signature>) {
        add(&mut self.all, &signature, place);
        let standing = Standing::Open;
        self.entries.insert(place, Entry { signature, standing });
        self.touched.insert(place);
    }

    /// Takes a post out.
    pub fn remove(&mut self, place: Place) {
        let Some(entry) = self.entries.remove(&place) else {
            return;
        };
        take(&mut self.all, &entry.signature, place);
        self.follow(place.key, None);
        if entry.standing == Standing::Begins {
            take(&mut self.beginnings, &entry.signature, place);
            self.touch_after(place, &entry.signature);
        }
    }

    fn follow(&mut self, post: PostKey, first: Option<PostKey>) {
        let before = match first {
            Some(first) => self.follows.insert(post, first),
            None => self.follows.remove(&post),
        };
        self.before.entry(post).or_insert(before);
    }

    /// Takes out what was written at this moment or before.
    pub fn expire(&mut self, until: EventTime) {
        while let Some((place, _)) = self.entries.first_key_value() {
            if place.created_at > until {
                return;
            }
            self.remove(*place);
        }
    }

    /// Settles everything that was touched and says what changed.
    pub fn settle(&mut self) -> Vec<Change> {
        while let Some(place) = self.touched.pop_first() {
            let Some(entry) = self.entries.get(&place) else {
                continue;
            };
            let (old, signature) = (entry.standing, Arc::clone(&entry.signature));
            let new = self
                .first_like(place, &signature)
                .map_or(Standing::Begins, Standing::Follows);
            if old == new {
                continue;
            }
            self.follow(
                place.key,
                match new {
                    Standing::Follows(first) => Some(first.key),
                    Standing::Begins | Standing::Open => None,
                },
            );
            if let Some(entry) = self.entries.get_mut(&place) {
                entry.standing = new;
            }
            if new == Standing::Begins {
                add(&mut self.beginnings, &signature, place);
                self.touch_after(place, &signature);
            } else if old == Standing::Begins {
                take(&mut self.beginnings, &signature, place);
                self.touch_after(place, &signature);
            }
        }
        let before = std::mem::take(&mut self.before);
        let now = |(post, before)| (post, before, self.follows.get(&post).copied());
        before
            .into_iter()
            .map(now)
            .filter(|(_, before, now)| before != now)
            .collect()
    }

    /// The first beginning before a place that is like it.
    fn first_like(&self, place: Place, signature: &Signature) -> Option<Place> {
        let from = Place {
            created_at: place.created_at.saturating_sub(self.within),
            key: PostKey(0),
        };
        let first_of = |key: (bool, u64)| {
            let some = self.beginnings.get(&key)?.range(from..place);
            some.copied().find(|other| self.is_like(*other, signature))
        };
        signature.keys().filter_map(first_of).min()
    }

    fn is_like(&self, other: Place, signature: &Signature) -> bool {
        let other = self.entries.get(&other);
        other.is_some_and(|entry| entry.signature.is_like(signature, self.similarity))
    }

    /// Those after a place that may be like it settle again.
    fn touch_after(&mut self, place: Place, signature: &Signature) {
        let to = Place {
            created_at: place.created_at.saturating_add(self.within),
            key: PostKey(u128::MAX),
        };
        for key in signature.keys() {
            let Some(places) = self.all.get(&key) else { continue };
            let after = (std::ops::Bound::Excluded(place), std::ops::Bound::Included(to));
            self.touched.extend(places.range(after));
        }
    }
}

fn add(index: &mut Index, signature: &Signature, place: Place) {
    for key in signature.keys() {
        index.entry(key).or_default().insert(place);
    }
}

fn take(index: &mut Index, signature: &Signature, place: Place) {
    for key in signature.keys() {
        if let Some(places) = index.get_mut(&key) {
            places.remove(&place);
            if places.is_empty() {
                index.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIMILARITY: i32 = 500_000;
    const WITHIN: i64 = 10;

    fn signature(title: u8, url: u8) -> Arc<Signature> {
        let words = [
            "a b c d e f",
            "a b c d e g",
            "h b c d e g",
            "h b c x e g",
            "q r s t u",
            "q r s t v",
            "",
        ];
        let url = if url == 0 {
            String::new()
        } else {
            format!("https://example.com/{url}")
        };
        Arc::new(Signature::of(&url, words[usize::from(title) % words.len()], SIMILARITY))
    }

    /// From scratch: each post in its order looks at all beginnings so far.
    fn oracle(posts: &BTreeMap<Place, Arc<Signature>>) -> BTreeMap<PostKey, PostKey> {
        let (mut beginnings, mut follows) = (Vec::<Place>::new(), BTreeMap::new());
        for (place, signature) in posts {
            let near = beginnings.iter().filter(|b| place.created_at - b.created_at <= WITHIN);
            match near.clone().find(|b| posts[b].is_like(signature, SIMILARITY)) {
                Some(first) => drop(follows.insert(place.key, first.key)),
                None => beginnings.push(*place),
            }
        }
        follows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn stories_are_those_from_scratch_in_any_order_and_batching(
            steps in prop::collection::vec((0..12_u128, 0..30_i64, 0..7_u8, 0..4_u8, 0..4_u8), 1..60),
        ) {
            let mut ledger = Ledger::new(WITHIN, SIMILARITY);
            let (mut posts, mut follows) = (BTreeMap::new(), BTreeMap::<PostKey, PostKey>::new());
            for (key, created_at, title, url, what) in steps {
                let key = PostKey(key);
                if let Some(place) = posts.keys().copied().find(|p: &Place| p.key == key) {
                    posts.remove(&place);
                    ledger.remove(place);
                }
                let signature = signature(title, url);
                if what > 0 && !signature.is_empty() {
                    let place = Place { created_at, key };
                    posts.insert(place, Arc::clone(&signature));
                    ledger.insert(place, signature);
                }
                if what == 2 {
                    // Everything up to a moment goes; what comes later with an earlier time would be the operator's to refuse.
                    ledger.expire(created_at - 20);
                    posts.retain(|p, _| p.created_at > created_at - 20);
                }
                if what == 3 {
                    continue; // settled together with the next
                }
                for (post, before, after) in ledger.settle() {
                    prop_assert_eq!(follows.remove(&post), before);
                    follows.extend(after.map(|first| (post, first)));
                }
                prop_assert_eq!(&follows, &oracle(&posts));
            }
        }
    }

    #[test]
    fn a_crowd_of_equal_titles_settles_fast() {
        let mut ledger = Ledger::new(1_000_000, SIMILARITY);
        let all: Vec<_> = (0..20_000_u128)
            .map(|n| Place {
                created_at: i64::try_from(n % 997).expect("small"),
                key: PostKey(n),
            })
            .collect();
        let began = std::time::Instant::now();
        all.iter().for_each(|place| ledger.insert(*place, signature(0, 0)));
        assert_eq!(ledger.settle().len(), all.len() - 1);
        ledger.remove(Place {
            created_at: 0,
            key: PostKey(0),
        });
        assert_eq!(ledger.settle().len(), all.len() - 1, "all follow the next one now");
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
