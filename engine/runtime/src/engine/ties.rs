//! What workers put out of ties at one tick, gathered: the same whatever the workers are.

use groundswell_core::id::{Dim, PostKey};
use groundswell_core::tie::{Child, Engagement, TieChanges, TieKey};
use groundswell_core::time::EventTime;
use groundswell_operators::engagement::Engaged;
use groundswell_operators::ties::Standing;
use std::collections::BTreeMap;

/// Parts of a tick, as they come in.
#[derive(Default)]
pub(crate) struct GatheredTies {
    ties: BTreeMap<TieKey, Option<EventTime>>,
    children: BTreeMap<Child, isize>,
    engagement: BTreeMap<PostKey, Option<Engagement>>,
    bonds: BTreeMap<(Dim, Dim), i64>,
}

impl GatheredTies {
    /// Ties, and posts that hang on others.
    pub(crate) fn standing(&mut self, rows: Vec<(Standing, isize)>) {
        for (standing, diff) in rows {
            match standing {
                Standing::Tie(key, at) => {
                    let slot = self.ties.entry(key).or_insert(None);
                    if diff > 0 {
                        *slot = Some(at);
                    }
                }
                Standing::Child(child) => *self.children.entry(child).or_default() += diff,
            }
        }
    }

    /// Numbers of posts, and bonds.
    pub(crate) fn engaged(&mut self, rows: Vec<(Engaged, isize)>) {
        for (engaged, diff) in rows {
            match engaged {
                Engaged::Post(post, numbers) => {
                    let slot = self.engagement.entry(post).or_insert(None);
                    if diff > 0 {
                        *slot = Some(numbers);
                    }
                }
                Engaged::Bond(user, author) => {
                    *self.bonds.entry((user, author)).or_default() += i64::try_from(diff).unwrap_or(0);
                }
            }
        }
    }

    /// All of it.
    pub(crate) fn changes(self) -> TieChanges {
        let children = self.children.into_iter().filter(|(_, diff)| *diff != 0);
        let bonds = self.bonds.into_iter().filter(|(_, n)| *n != 0);
        TieChanges {
            ties: self.ties.into_iter().collect(),
            // Those that are gone first: one may come back as another.
            children: {
                let mut all: Vec<_> = children.map(|(child, diff)| (child, diff > 0)).collect();
                all.sort_by_key(|(_, there)| *there);
                all
            },
            engagement: self.engagement.into_iter().collect(),
            bonds: bonds.map(|((user, author), n)| (user, author, n)).collect(),
        }
    }
}
