//! What happened to users: likes, reposts and comments of their posts, followers, mentions by name.
//!
//! In: the changes of a tick. Out: what happened after a tick, oldest first. State: the latest few ten thousand, each with its
//! tick; who comes later than that has missed some. What is undone is not taken back: it did happen. Nothing is remembered over
//! a restart, and nobody hears of what they did themselves.

use groundswell_core::id::{Dim, PostKey};
use groundswell_core::serving::TickChanges;
use groundswell_core::spec::Method;
use groundswell_core::tie::TieKind;
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashSet;
use std::collections::VecDeque;

/// How many are kept.
const MOST: usize = 65_536;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Somebody likes a post of theirs.
    Like,
    /// Somebody passed a post of theirs on.
    Repost,
    /// Somebody commented on a post of theirs.
    Comment,
    /// Somebody follows them.
    Follow,
    /// A post names them.
    Mention,
}

impl What {
    /// All of them, with their names.
    pub const ALL: [(&'static str, What); 5] = [
        ("like", What::Like),
        ("repost", What::Repost),
        ("comment", What::Comment),
        ("follow", What::Follow),
        ("mention", What::Mention),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, what)| *what == self)
            .map_or("", |(name, _)| name)
    }
}

/// Something that happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// To whom; of mentions their name as it is written in lower case.
    pub to: Dim,
    /// What.
    pub what: What,
    /// By whom.
    pub by: Dim,
    /// With which post of theirs; of mentions and comments the post that says it.
    pub post: PostKey,
    /// When (epoch ms).
    pub at: EventTime,
    /// The tick that told it.
    pub tick: Tick,
}

/// The latest.
#[derive(Default)]
pub struct News(VecDeque<Happened>);

impl News {
    /// Takes the changes of a tick with the posts that are `new` in it; `author` knows whose a live post is.
    pub fn apply(&mut self, changes: &TickChanges, new: &HashSet<PostKey>, author: impl Fn(PostKey) -> Option<Dim>) {
        let tick = changes.tick;
        let told = |to: Dim, what, by: Dim, post, at| {
            let happened = Happened {
                to,
                what,
                by,
                post,
                at,
                tick,
            };
            (to != Dim::NONE && by != Dim::NONE && to != by).then_some(happened)
        };
        for (key, at) in &changes.ties.ties {
            let Some(at) = *at else { continue };
            let what = match key.kind {
                TieKind::Like => What::Like,
                TieKind::Repost => What::Repost,
                TieKind::Comment => What::Comment,
                TieKind::Follow => What::Follow,
                TieKind::View => continue,
            };
            let to = key.followed().or_else(|| author(key.target));
            self.0
                .extend(to.and_then(|to| told(to, what, key.user, key.target, at)));
        }
        for (child, _) in changes.ties.children.iter().filter(|(_, there)| *there) {
            let what = if child.repost { What::Repost } else { What::Comment };
            let to = author(child.on);
            self.0
                .extend(to.and_then(|to| told(to, what, child.author, child.post, child.created_at)));
        }
        for change in &changes.posts {
            // Only of posts that are new: one that is there already was told of when it came.
            let Some(post) = change.post.as_ref() else { continue };
            if !new.contains(&change.key) {
                continue;
            }
            let named = post.mentions.iter().filter(|mention| mention.method == Method::Named);
            self.0
                .extend(named.filter_map(|m| told(m.entity, What::Mention, post.author, change.key, post.created_at)));
        }
        while self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// What happened after a tick, oldest first.
    pub fn since(&self, tick: Tick) -> impl Iterator<Item = &Happened> {
        let first = self.0.partition_point(|happened| happened.tick <= tick);
        self.0.range(first..)
    }
}
