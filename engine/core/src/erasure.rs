//! Erasures: an author, a post or a thread that is to be forgotten, or no more.
//!
//! An erasure is a record like any other: of all records about one [`Subject`] the one with the highest rank stands, whatever
//! came first. While it stands, what is known of the subject's posts stands in no view, and neither does what comes later.
//! It names its subject by a digest: an order to forget somebody is no place to remember their name.
//!
//! Until a fold, all that was recorded is still there, and an erasure that is undone brings everything back. Before a fold the
//! engine records what is purged ([`crate::record::Record::Purged`]): from then on it is gone for a process that goes on as
//! for one that restores the fold, and only what comes again comes back.

use crate::id::{Dim, PostKey};
use crate::record::{Post, Record};
use crate::tie::TieKind;
use serde::{Deserialize, Serialize};

/// Whom or what an erasure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// All posts of an author, and what the author did as a user.
    Author(Dim),
    /// One post.
    Post(PostKey),
    /// All posts of a thread.
    Thread(Dim),
}

impl Subject {
    /// An author, as posts name them.
    pub fn author(id: &str) -> Self {
        Subject::Author(Dim::of(id))
    }

    /// A post, by its id.
    pub fn post(id: &str) -> Self {
        Subject::Post(PostKey::of(id.as_bytes()))
    }

    /// A thread, as posts name it.
    pub fn thread(id: &str) -> Self {
        Subject::Thread(Dim::of(id))
    }

    /// Everything whose erasure takes a post along.
    pub fn of_post(post: &Post) -> [Subject; 3] {
        [
            Subject::post(&post.id),
            Subject::author(post.author.as_deref().unwrap_or("")),
            Subject::thread(&post.thread),
        ]
    }

    /// Whom or what a record is about, as far as that can be erased.
    pub fn of_record(record: &Record) -> impl Iterator<Item = Subject> {
        let about = match record {
            Record::Post(post) => Subject::of_post(post).map(Some),
            Record::Tie(tie) => {
                let followed = (tie.kind == TieKind::Follow).then(|| Subject::author(&tie.target));
                [Some(Subject::author(&tie.user)), followed, None]
            }
            Record::Author(author) => [Some(Subject::author(&author.id)), None, None],
            Record::Thread(thread) => [Some(Subject::thread(&thread.id)), None, None],
            _ => [None; 3],
        };
        about.into_iter().flatten()
    }

    /// What kind it is, in records, on the command line and in paths.
    pub fn kind(self) -> &'static str {
        match self {
            Subject::Author(_) => "author",
            Subject::Post(_) => "post",
            Subject::Thread(_) => "thread",
        }
    }

    /// Its digest, of whatever width.
    pub fn digest(self) -> u128 {
        match self {
            Subject::Author(id) | Subject::Thread(id) => u128::from(id.0),
            Subject::Post(key) => key.0,
        }
    }
}

/// An erasure as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Whom or what.
    pub of: Subject,
    /// It is taken back.
    pub undo: bool,
}
