//! What is known through ties: as the graph says it, and from scratch.

use groundswell_core::id::{Dim, PostKey};
use groundswell_core::record::Post;
use groundswell_core::tie::{Child, Engagement, Tie, TieKey, TieKind};
use groundswell_operators::engagement::Engaged;
use groundswell_operators::ties::Standing;
use std::collections::{BTreeMap, BTreeSet};

/// All of it, at one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tied {
    pub ties: BTreeMap<TieKey, i64>,
    pub children: BTreeSet<Child>,
    pub engagement: BTreeMap<PostKey, Engagement>,
    pub bonds: BTreeMap<(Dim, Dim), isize>,
}

fn net<T: Ord + Copy>(said: &[(u64, T, isize)], tick: u64) -> BTreeMap<T, isize> {
    let mut net = BTreeMap::new();
    for (_, row, diff) in said.iter().filter(|(at, ..)| *at <= tick) {
        *net.entry(*row).or_default() += diff;
    }
    net.retain(|_, n| *n != 0);
    net
}

impl Tied {
    /// What the graph has said up to a tick; what stands must stand once.
    pub fn at(standing: &[(u64, Standing, isize)], engaged: &[(u64, Engaged, isize)], tick: u64) -> Tied {
        let mut tied = Tied::default();
        for (standing, n) in net(standing, tick) {
            assert_eq!(n, 1, "{standing:?} has multiplicity {n}");
            match standing {
                Standing::Tie(key, at) => assert_eq!(tied.ties.insert(key, at), None, "{key:?} stands twice"),
                Standing::Child(child) => assert!(tied.children.insert(child)),
            }
        }
        for (engaged, n) in net(engaged, tick) {
            match engaged {
                Engaged::Post(post, numbers) => {
                    assert_eq!(n, 1, "{post:?} has multiplicity {n}");
                    assert_eq!(tied.engagement.insert(post, numbers), None, "{post:?} has two numbers");
                }
                Engaged::Bond(user, author) => {
                    tied.bonds.insert((user, author), n);
                }
            }
        }
        tied
    }

    /// The same from the records that stand.
    pub fn of(ties: &[Tie], live: &BTreeMap<&str, &Post>) -> Tied {
        let mut tied = Tied::default();
        let mut done: BTreeMap<PostKey, Vec<(Dim, TieKind)>> = BTreeMap::new();
        for tie in ties.iter().filter(|tie| !tie.undone) {
            let (user, post) = (Dim::of(&tie.user), PostKey::of(tie.target.as_bytes()));
            let key = match tie.kind {
                TieKind::Follow => TieKey::follow(user, Dim::of(&tie.target)),
                kind => {
                    done.entry(post).or_default().push((user, kind));
                    TieKey::with_post(user, kind, post)
                }
            };
            tied.ties.insert(key, tie.at);
        }
        for (id, post) in live {
            let author = Dim::of(post.author.as_deref().unwrap_or(""));
            let extra = post.extra.as_deref();
            let passed_on = extra.map(|extra| (extra.split('"').nth(3).unwrap(), TieKind::Repost));
            let parent = post.parent.as_deref().map(|on| (on, TieKind::Comment));
            for (on, kind) in parent.into_iter().chain(passed_on) {
                let on = PostKey::of(on.as_bytes());
                done.entry(on).or_default().push((author, kind));
                tied.children.insert(Child {
                    post: PostKey::of(id.as_bytes()),
                    on,
                    repost: kind == TieKind::Repost,
                    author,
                    created_at: post.created_at,
                });
            }
        }
        for (id, post) in live {
            let key = PostKey::of(id.as_bytes());
            let author = Dim::of(post.author.as_deref().unwrap_or(""));
            let mut numbers = Engagement::default();
            for (user, kind) in done.get(&key).into_iter().flatten() {
                let weight = match kind {
                    TieKind::Like => 1,
                    TieKind::Comment => 2,
                    TieKind::Repost => 3,
                    _ => 0,
                };
                match kind {
                    TieKind::Like => numbers.likes += 1,
                    TieKind::Comment => numbers.comments += 1,
                    TieKind::Repost => numbers.reposts += 1,
                    _ => numbers.views += 1,
                }
                if *user != author && *user != Dim::NONE && author != Dim::NONE && weight > 0 {
                    *tied.bonds.entry((*user, author)).or_default() += weight;
                }
            }
            if numbers != Engagement::default() {
                tied.engagement.insert(key, numbers);
            }
        }
        tied
    }
}
