//! Ties: what a user did with a post (likes, reposts, comments, views), and whom a user follows.
//!
//! A tie is unique by user, kind and target; undoing it is a record like any other, so that of all records of one tie the
//! one with the highest rank stands, whatever came first. [`Tie`] is what is recorded, [`TieKey`] the same as digests, and
//! [`TieChanges`] what a tick changed of all that is known through ties.

use crate::id::{Dim, PostKey};
use crate::record::Post;
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// What ties a user to a post, or to another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieKind {
    /// The user likes the post.
    Like,
    /// The user passed the post on, without a post of their own.
    Repost,
    /// The user commented on the post, where comments are no posts.
    Comment,
    /// The user saw the post.
    View,
    /// The user follows another user.
    Follow,
}

impl TieKind {
    /// Those with posts, in the order of the documentation.
    pub const WITH_POSTS: [TieKind; 4] = [TieKind::Like, TieKind::Repost, TieKind::Comment, TieKind::View];

    /// The kind's name in records and JSON.
    pub fn name(self) -> &'static str {
        match self {
            TieKind::Like => "like",
            TieKind::Repost => "repost",
            TieKind::Comment => "comment",
            TieKind::View => "view",
            TieKind::Follow => "follow",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        let all = TieKind::WITH_POSTS.into_iter().chain([TieKind::Follow]);
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// What it weighs in [`Engagement::score`].
    pub fn weight(self) -> i64 {
        match self {
            TieKind::Like => 1,
            TieKind::Comment => 2,
            TieKind::Repost => 3,
            TieKind::View | TieKind::Follow => 0,
        }
    }
}

/// A tie as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// Who.
    pub user: String,
    /// Did what.
    pub kind: TieKind,
    /// With which post; for [`TieKind::Follow`], which user is followed.
    pub target: String,
    /// When (epoch ms).
    pub at: EventTime,
    /// It was undone.
    pub undone: bool,
}

impl Tie {
    /// What makes it unique, as JSON text: `["like","ann","t3_x"]`.
    pub fn key(&self) -> String {
        serde_json::json!([self.kind, self.user, self.target]).to_string()
    }

    /// Kind, user and target of a key; `None` if it is none of ours.
    pub fn parts(key: &str) -> Option<(TieKind, String, String)> {
        serde_json::from_str(key).ok()
    }
}

/// The post that a post passes on: `original_post_id` among the fields that are kept aside, a string or a whole number.
pub fn passed_on(post: &Post) -> Option<PostKey> {
    let extra = post
        .extra
        .as_deref()
        .filter(|extra| extra.contains("original_post_id"))?;
    let fields: serde_json::Value = serde_json::from_str(extra).ok()?;
    match fields.get("original_post_id")? {
        serde_json::Value::String(id) if !id.is_empty() => Some(PostKey::of(id.as_bytes())),
        serde_json::Value::Number(id) if !id.is_f64() => Some(PostKey::of(id.to_string().as_bytes())),
        _ => None,
    }
}

/// A tie as digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TieKey {
    /// Who.
    pub user: Dim,
    /// Did what.
    pub kind: TieKind,
    /// With which post; see [`TieKey::followed`] for follows.
    pub target: PostKey,
}

impl TieKey {
    /// A tie with a post.
    pub fn with_post(user: Dim, kind: TieKind, post: PostKey) -> Self {
        let target = post;
        TieKey { user, kind, target }
    }

    /// A user who follows another.
    pub fn follow(user: Dim, followed: Dim) -> Self {
        TieKey {
            user,
            kind: TieKind::Follow,
            target: PostKey(u128::from(followed.0)),
        }
    }

    /// Whom a follow follows.
    #[allow(clippy::cast_possible_truncation)] // made from a `u64`
    pub fn followed(&self) -> Option<Dim> {
        (self.kind == TieKind::Follow).then_some(Dim(self.target.0 as u64))
    }
}

/// A post that hangs on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Child {
    /// The post that hangs.
    pub post: PostKey,
    /// On which.
    pub on: PostKey,
    /// It passes the other one on; otherwise it comments on it.
    pub repost: bool,
    /// Its author.
    pub author: Dim,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
}

/// What was done with a post, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Engagement {
    /// Users who like it.
    pub likes: i64,
    /// Live posts that reply to it, and users who commented without a post.
    pub comments: i64,
    /// Live posts that pass it on, and users who did without a post.
    pub reposts: i64,
    /// Users who saw it.
    pub views: i64,
}

impl Engagement {
    /// likes + 2·comments + 3·reposts.
    pub fn score(&self) -> i64 {
        self.likes + 2 * self.comments + 3 * self.reposts
    }

    /// Adds so many of a kind.
    pub fn add(&mut self, kind: TieKind, n: i64) {
        match kind {
            TieKind::Like => self.likes += n,
            TieKind::Comment => self.comments += n,
            TieKind::Repost => self.reposts += n,
            TieKind::View => self.views += n,
            TieKind::Follow => {}
        }
    }

    /// Nothing was done.
    pub fn is_zero(&self) -> bool {
        *self == Engagement::default()
    }
}

/// What changed at a tick of what is known through ties; empty unless the pipeline takes them in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TieChanges {
    /// Ties: when the standing one was made, or `None` where none stands any more.
    pub ties: Vec<(TieKey, Option<EventTime>)>,
    /// Posts that hang on others: `true` if they do now, `false` if they no longer do.
    pub children: Vec<(Child, bool)>,
    /// Numbers of live posts; `None` for nothing, or where the post is gone.
    pub engagement: Vec<(PostKey, Option<Engagement>)>,
    /// What is to be added to a user's interactions with an author (see [`TieKind::weight`]): user, author, difference.
    pub bonds: Vec<(Dim, Dim, i64)>,
}

impl TieChanges {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.ties.is_empty() && self.children.is_empty() && self.engagement.is_empty() && self.bonds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_of() {
        for kind in [TieKind::Like, TieKind::View, TieKind::Follow] {
            let tie = Tie {
                user: "ann \"x\"".into(),
                kind,
                target: "t3_[1,2]".into(),
                at: 7,
                undone: true,
            };
            assert_eq!(
                Tie::parts(&tie.key()),
                Some((kind, tie.user.clone(), tie.target.clone()))
            );
            assert_eq!(TieKind::named(kind.name()), Some(kind));
        }
        assert_eq!(Tie::parts("[\"hug\",\"a\",\"b\"]"), None);
        let followed = Dim::of("bob");
        assert_eq!(TieKey::follow(Dim::of("ann"), followed).followed(), Some(followed));
    }

    #[test]
    fn a_post_says_what_it_passes_on() {
        let of = |extra: &str| {
            passed_on(&Post {
                extra: Some(extra.into()),
                ..Post::default()
            })
        };
        assert_eq!(of(r#"{"original_post_id":"a"}"#), Some(PostKey::of(b"a")));
        assert_eq!(of(r#"{"x":1,"original_post_id":17}"#), Some(PostKey::of(b"17")));
        for none in [
            r#"{"original_post_id":null}"#,
            r#"{"original_post_id":""}"#,
            r#"{"original_post_id":1.5}"#,
            r#"{"x":{"original_post_id":"a"}}"#,
            r#"{"note":"original_post_id"}"#,
            "{}",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_repost_counts_three_times_a_like() {
        let mut done = Engagement::default();
        for kind in TieKind::WITH_POSTS {
            done.add(kind, 2);
            assert_eq!(done.score() % 2, 0);
        }
        assert_eq!((done.score(), done.views), (12, 2));
        TieKind::WITH_POSTS.into_iter().for_each(|kind| done.add(kind, -2));
        assert!(done.is_zero());
    }
}
