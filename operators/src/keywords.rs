//! Keywords: what the posts say that somebody looks for, and about whom.
//!
//! *In*: live rows, and the dictionaries of keywords and entities as control events. *Out*: [`Hit`]s by post, at most one
//! for each keyword and entity. *State*: both dictionaries, compiled, and per post what it needs to be searched again and its
//! hits. *Emits* at the tick of the change. *A retraction* gives back what was emitted, from state. A change of a dictionary
//! searches history again: texts are fetched by key; no text is scored for it.
//!
//! What a hit is, and how sure, is decided in [`search`], which is pure.

pub mod events;
pub mod search;

use crate::event::{Control, PostRow};
use crate::link::FetchText;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{Dim, PostKey, TextKey};
use groundswell_core::keywords::{EventsSpec, Keyword, searched, url_and_title};
use groundswell_core::record::{Entity, Rank, UNRANKED};
use groundswell_core::table::Table;
use groundswell_core::time::{EventTime, Tick};
use search::{Dictionary, Match};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A keyword found in a post, with what of the post is shown along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hit {
    /// What was found.
    pub found: Match,
    /// The post's text, or [`TextKey::NONE`].
    pub text: TextKey,
    /// Its address and title, or [`TextKey::NONE`].
    pub about: TextKey,
    /// Its platform or outlet.
    pub source: Dim,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
}

/// The text of a post in which keywords are looked for, and its address and title.
pub fn searched_text(fetch: &FetchText, text: TextKey, about: TextKey) -> (String, Option<Arc<str>>) {
    let fetched = |key: TextKey| (key != TextKey::NONE).then(|| fetch(key)).flatten();
    let (text, about) = (fetched(text), fetched(about));
    let title = about.as_deref().map_or("", |about| url_and_title(about).1);
    (searched(title, text.as_deref().unwrap_or_default()).into_owned(), about)
}

/// See the module documentation.
pub fn keywords<'s>(
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
    spec: EventsSpec,
    fetch: FetchText,
) -> VecCollection<'s, Tick, (PostKey, Hit)> {
    let mut seeker = Seeker {
        spec,
        fetch,
        keywords: BTreeMap::new(),
        entities: BTreeMap::new(),
        dictionary: None,
        posts: Table::default(),
    };
    per_tick(
        rows,
        control.filter(|c| matches!(c, Control::Entity { .. } | Control::Keyword { .. })),
        "Keywords",
        |(key, _)| key.route(),
        move |Complete { rows, side, .. }, out| {
            // Retractions first, so that a replaced row finds its slot empty.
            rows.sort_unstable_by_key(|(_, diff)| *diff);
            let (gone, new) = rows.split_at(rows.partition_point(|(_, diff)| *diff < 0));
            for ((key, _), _) in gone {
                if let Some(post) = seeker.posts.remove(*key) {
                    post.give(*key, -1, out);
                }
            }
            if seeker.learn(side) {
                seeker.again(out);
            }
            for ((key, row), _) in new {
                let mut post = Post {
                    text: row.text,
                    about: row.about,
                    source: row.source,
                    created_at: row.created_at,
                    found: SmallVec::new(),
                };
                post.found = seeker.search(&post);
                post.give(*key, 1, out);
                seeker.posts.insert(*key, post);
            }
        },
    )
}

#[derive(Default)]
struct Post {
    text: TextKey,
    about: TextKey,
    source: Dim,
    created_at: EventTime,
    found: SmallVec<[Match; 0]>,
}

impl Post {
    fn give(&self, key: PostKey, diff: isize, out: &mut Emit<'_, (PostKey, Hit), isize>) {
        for found in &self.found {
            let hit = Hit {
                found: *found,
                text: self.text,
                about: self.about,
                source: self.source,
                created_at: self.created_at,
            };
            out.give((key, hit), diff);
        }
    }
}

/// The records of a dictionary by id, deletions included, with the rank that decides between them.
type Known<T> = BTreeMap<Dim, (Rank, Option<Arc<T>>)>;

struct Seeker {
    spec: EventsSpec,
    fetch: FetchText,
    keywords: Known<Keyword>,
    entities: Known<Entity>,
    dictionary: Option<Dictionary>,
    posts: Table<PostKey, Post>,
}

fn learn<T: PartialEq>(known: &mut Known<T>, id: Dim, rank: Rank, new: Option<Arc<T>>) -> bool {
    let slot = known.entry(id).or_insert((UNRANKED, None));
    if slot.0 > rank {
        return false;
    }
    let changed = slot.1 != new;
    *slot = (rank, new);
    changed
}

impl Seeker {
    /// Applies dictionary events; true if a dictionary is a different one now.
    fn learn(&mut self, events: &mut Vec<(Control, isize)>) -> bool {
        let mut changed = false;
        for (control, _) in events.drain(..) {
            changed |= match control {
                Control::Entity { id, rank, entity } => learn(&mut self.entities, id, rank, entity),
                Control::Keyword { id, rank, keyword } => learn(&mut self.keywords, id, rank, keyword),
                _ => false,
            };
        }
        if changed {
            let keywords = self.keywords.values().filter_map(|(_, k)| k.as_deref());
            let entities = self.entities.values().filter_map(|(_, e)| e.as_deref());
            self.dictionary = Some(Dictionary::build(keywords, entities, &self.spec));
        }
        changed
    }

    fn search(&self, post: &Post) -> SmallVec<[Match; 0]> {
        match &self.dictionary {
            Some(dictionary) if !dictionary.is_empty() => {
                let (text, _) = searched_text(&self.fetch, post.text, post.about);
                dictionary.search(&text).into()
            }
            _ => SmallVec::new(),
        }
    }

    fn again(&mut self, out: &mut Emit<'_, (PostKey, Hit), isize>) {
        let mut posts = std::mem::take(&mut self.posts);
        for (key, post) in posts.iter_mut() {
            let found = self.search(post);
            if found != post.found {
                post.give(key, -1, out);
                post.found = found;
                post.give(key, 1, out);
            }
        }
        self.posts = posts;
    }
}
