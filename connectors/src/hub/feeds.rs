//! Feeds of posts: what is known through ties, indexed for questions.
//!
//! In: changed posts and ties, tick by tick. Out: who did what with a post, posts of users newest first, and the candidates that
//! [`rank`] puts into order when somebody asks. State: whom users follow, who likes and reposts what, numbers of posts, bonds,
//! and live posts by author, by time and by what was done with them. Nothing in here is computed by the clock: that a feed
//! changes with time is the business of whoever reads it.

pub mod lists;
pub mod news;
pub mod rank;

use super::posts::{Entry, PostPlace, Posts};
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::serving::{PostChange, TickChanges};
use groundswell_core::tie::{Child, Engagement, TieChanges, TieKind};
use groundswell_core::time::EventTime;
use hashbrown::{HashMap, HashSet};
use news::News;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Bound;

/// Most posts that one question looks at: readers hold up the next tick meanwhile.
const LOOKED_AT: usize = 20_000;

/// By how much was done with it, then by time.
type Engaged = (i64, PostPlace);

/// Live posts of one author, or of all.
#[derive(Default)]
struct Shelf {
    newest: BTreeSet<PostPlace>,
    /// Those that anything was done with.
    engaged: BTreeSet<Engaged>,
}

/// Who asks for whose posts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of whom the user follows.
    FollowedBy(Dim),
    /// Those of one author.
    Of(Dim),
    /// Everybody's.
    Everyone,
}

/// What is known through ties.
#[derive(Default)]
pub struct Feeds {
    follows: HashMap<Dim, BTreeSet<Dim>>,
    followers: HashMap<Dim, u64>,
    /// Who likes and reposts a post, by kind and time.
    done: HashMap<PostKey, BTreeSet<(TieKind, EventTime, Dim)>>,
    when: HashMap<(PostKey, TieKind, Dim), EventTime>,
    /// Posts that hang on a post: reposts or not, by time.
    hanging: HashMap<PostKey, BTreeSet<(bool, EventTime, PostKey)>>,
    /// On what a post hangs.
    hangs: HashMap<PostKey, Vec<Child>>,
    numbers: HashMap<PostKey, Engagement>,
    bonds: HashMap<(Dim, Dim), i64>,
    authors: HashMap<Dim, Shelf>,
    all: Shelf,
    /// Where each post stands.
    places: HashMap<PostKey, (Dim, EventTime)>,
    news: News,
}

impl Feeds {
    /// Applies the changes of one tick, after `posts` took its own. Nothing of the first tick is news.
    pub fn apply(&mut self, changes: &TickChanges, posts: &Posts, first: bool) {
        let is_new = |change: &&PostChange| change.post.is_some() && !self.places.contains_key(&change.key);
        let new: HashSet<PostKey> = match first {
            true => HashSet::new(),
            false => changes.posts.iter().filter(is_new).map(|change| change.key).collect(),
        };
        for change in &changes.posts {
            self.place(change, posts);
        }
        self.take_ties(&changes.ties);
        if !first {
            let author = |key: PostKey| self.places.get(&key).map(|(author, _)| *author);
            self.news.apply(changes, &new, author);
        }
    }

    fn place(&mut self, change: &PostChange, posts: &Posts) {
        let key = change.key;
        let old = self.places.remove(&key);
        let score = self.numbers.get(&key).map_or(0, Engagement::score);
        if let Some((author, at)) = old {
            self.shelves(author, |shelf| {
                shelf.newest.remove(&(at, key));
                shelf.engaged.remove(&(score, (at, key)));
            });
        }
        if let Some(entry) = posts.get(key) {
            let (author, at) = (entry.post.author, entry.sort);
            self.shelves(author, |shelf| {
                shelf.newest.insert((at, key));
                if score != 0 {
                    shelf.engaged.insert((score, (at, key)));
                }
            });
            self.places.insert(key, (author, at));
        }
        if let Some((author, _)) = old
            && self.authors.get(&author).is_some_and(|shelf| shelf.newest.is_empty())
        {
            self.authors.remove(&author);
        }
    }

    fn shelves(&mut self, author: Dim, mut each: impl FnMut(&mut Shelf)) {
        each(&mut self.all);
        each(self.authors.entry(author).or_default());
    }

    fn take_ties(&mut self, ties: &TieChanges) {
        for (key, at) in &ties.ties {
            if let Some(followed) = key.followed() {
                self.follow(key.user, followed, at.is_some());
            } else if matches!(key.kind, TieKind::Like | TieKind::Repost) {
                self.note(key.target, key.kind, key.user, *at);
            }
        }
        for (child, there) in &ties.children {
            let (hanging, hangs) = (
                self.hanging.entry(child.on).or_default(),
                self.hangs.entry(child.post).or_default(),
            );
            let place = (child.repost, child.created_at, child.post);
            if *there {
                hanging.insert(place);
                hangs.push(*child);
            } else {
                hanging.remove(&place);
                hangs.retain(|known| known != child);
            }
            if hanging.is_empty() {
                self.hanging.remove(&child.on);
            }
            if hangs.is_empty() {
                self.hangs.remove(&child.post);
            }
        }
        for (key, numbers) in &ties.engagement {
            let old = match numbers {
                Some(numbers) => self.numbers.insert(*key, *numbers),
                None => self.numbers.remove(key),
            };
            let (was, now) = (old.map_or(0, |n| n.score()), numbers.map_or(0, |n| n.score()));
            if let Some((author, at)) = self.places.get(key).copied().filter(|_| was != now) {
                self.shelves(author, |shelf| {
                    shelf.engaged.remove(&(was, (at, *key)));
                    if now != 0 {
                        shelf.engaged.insert((now, (at, *key)));
                    }
                });
            }
        }
        for (user, author, more) in &ties.bonds {
            let slot = self.bonds.entry((*user, *author)).or_default();
            *slot += more;
            if *slot == 0 {
                self.bonds.remove(&(*user, *author));
            }
        }
    }

    fn follow(&mut self, user: Dim, followed: Dim, does: bool) {
        let all = self.follows.entry(user).or_default();
        let changed = if does {
            all.insert(followed)
        } else {
            all.remove(&followed)
        };
        if all.is_empty() {
            self.follows.remove(&user);
        }
        if changed {
            let n = self.followers.entry(followed).or_default();
            *n = if does { *n + 1 } else { n.saturating_sub(1) };
            if *n == 0 {
                self.followers.remove(&followed);
            }
        }
    }

    fn note(&mut self, post: PostKey, kind: TieKind, user: Dim, at: Option<EventTime>) {
        let done = self.done.entry(post).or_default();
        let old = match at {
            Some(at) => self.when.insert((post, kind, user), at),
            None => self.when.remove(&(post, kind, user)),
        };
        old.into_iter().for_each(|at| {
            done.remove(&(kind, at, user));
        });
        at.into_iter().for_each(|at| {
            done.insert((kind, at, user));
        });
        if done.is_empty() {
            self.done.remove(&post);
        }
    }

    /// What was done with a post.
    pub fn numbers(&self, post: PostKey) -> Engagement {
        self.numbers.get(&post).copied().unwrap_or_default()
    }

    /// A user's interactions with an author.
    pub fn bond(&self, user: Dim, author: Dim) -> i64 {
        self.bonds.get(&(user, author)).copied().unwrap_or(0)
    }

    /// Whether a user likes a post.
    pub fn likes(&self, user: Dim, post: PostKey) -> bool {
        self.when.contains_key(&(post, TieKind::Like, user))
    }

    /// The post that a post passes on, or replies to.
    pub fn hangs_on(&self, post: PostKey, repost: bool) -> Option<PostKey> {
        let on = self.hangs.get(&post)?.iter().find(|child| child.repost == repost);
        on.map(|child| child.on)
    }

    /// How many a user follows, and how many follow them.
    pub fn follow_counts(&self, user: Dim) -> (usize, u64) {
        let follows = self.follows.get(&user).map_or(0, BTreeSet::len);
        (follows, self.followers.get(&user).copied().unwrap_or(0))
    }

    /// Who did something with a post, the latest first, after a place: at most `limit` with their times, and how many in all.
    pub fn who(
        &self,
        post: PostKey,
        kind: TieKind,
        after: Option<(EventTime, Dim)>,
        limit: usize,
    ) -> (Vec<(EventTime, Dim)>, usize) {
        let Some(done) = self.done.get(&post) else {
            return (Vec::new(), 0);
        };
        let first = (kind, EventTime::MIN, Dim(0));
        let end = match after {
            Some((at, user)) => Bound::Excluded((kind, at, user)),
            None => Bound::Included((kind, EventTime::MAX, Dim(u64::MAX))),
        };
        let all = done.range((
            Bound::Included(first),
            Bound::Included((kind, EventTime::MAX, Dim(u64::MAX))),
        ));
        let page = done.range((Bound::Included(first), end)).rev().take(limit);
        (page.map(|(_, at, user)| (*at, *user)).collect(), all.count())
    }

    /// Posts that pass a post on, or reply to it, the latest first, after a place.
    pub fn hanging(&self, on: PostKey, repost: bool, after: Option<PostPlace>, limit: usize) -> Vec<PostPlace> {
        let Some(hanging) = self.hanging.get(&on) else {
            return Vec::new();
        };
        let first = (repost, EventTime::MIN, PostKey(0));
        let end = match after {
            Some((at, key)) => Bound::Excluded((repost, at, key)),
            None => Bound::Included((repost, EventTime::MAX, PostKey(u128::MAX))),
        };
        let page = hanging.range((Bound::Included(first), end)).rev().take(limit);
        page.map(|(_, at, key)| (*at, *key)).collect()
    }

    /// The newest wanted posts of a scope, after a place: at most `limit`, and the place after which others follow.
    pub fn newest(
        &self,
        scope: &Scope,
        posts: &Posts,
        after: Option<PostPlace>,
        limit: usize,
        wanted: impl Fn(PostKey, &Entry) -> bool,
    ) -> (Vec<PostKey>, Option<PostPlace>) {
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let shelves = self.scope(scope).into_iter();
        let runs = shelves.map(|shelf| shelf.newest.range((Bound::Unbounded, end)).rev());
        let (mut found, mut last) = (Vec::new(), None);
        for (n, place) in merged(runs.collect()).enumerate() {
            if found.len() == limit || n == LOOKED_AT {
                return (found, last);
            }
            last = Some(*place);
            if posts.get(place.1).is_some_and(|entry| wanted(place.1, entry)) {
                found.push(place.1);
            }
        }
        (found, None)
    }

    /// The wanted posts of a scope with which most was done.
    pub fn most_engaged(
        &self,
        scope: &Scope,
        posts: &Posts,
        limit: usize,
        wanted: impl Fn(PostKey, &Entry) -> bool,
    ) -> Vec<PostKey> {
        let runs = self.scope(scope).into_iter().map(|shelf| shelf.engaged.iter().rev());
        let all = merged(runs.collect()).take(LOOKED_AT).map(|(_, (_, key))| *key);
        let of = |key: &PostKey| posts.get(*key).is_some_and(|entry| wanted(*key, entry));
        all.filter(of).take(limit).collect()
    }

    /// What happened to users.
    pub fn news(&self) -> &News {
        &self.news
    }

    fn scope(&self, scope: &Scope) -> Vec<&Shelf> {
        match scope {
            Scope::Everyone => vec![&self.all],
            Scope::Of(author) => self.authors.get(author).into_iter().collect(),
            Scope::FollowedBy(user) => {
                let followed = self.follows.get(user).into_iter().flatten();
                followed.filter_map(|author| self.authors.get(author)).collect()
            }
        }
    }
}

/// Several descending runs as one.
fn merged<'a, T: Ord + Copy + 'a, I: Iterator<Item = &'a T>>(mut runs: Vec<I>) -> impl Iterator<Item = &'a T> {
    let mut heads: BinaryHeap<(&'a T, usize)> = BinaryHeap::with_capacity(runs.len());
    for (n, run) in runs.iter_mut().enumerate() {
        heads.extend(run.next().map(|head| (head, n)));
    }
    std::iter::from_fn(move || {
        let (head, n) = heads.pop()?;
        let next = runs.get_mut(n).and_then(Iterator::next);
        heads.extend(next.map(|next| (next, n)));
        Some(head)
    })
}
