//! Evidence: which posts carry an alert.
//!
//! *In*: alert transitions, and the scored posts of every row that rules watch. *Out*: the transitions with at most five
//! posts each, the most influential ones in the direction that fired. *State*: weight and sentiment of the posts of every
//! watched row within retention. *Emits* at the tick of the transition. *A retraction* of a post takes it out of the state.
//!
//! Influence is leave-one-out: mean − mean without the post = w·(x − mean) / (Σw − w), computed in integers from the
//! same fixed-point numbers as the row, so it recomputes exactly.

use crate::event::{Control, clock_of};
use crate::threshold::Transition;
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, PostKey};
use groundswell_core::serving::{Evidence, EvidenceSums};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many posts an alert shows.
pub const SHOWN: usize = 5;

/// Input of the operator, by row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Item {
    /// A scored post of a watched row: weight in units, sentiment in ppm.
    Post(PostKey, i64, i32),
    /// A transition to be given evidence.
    Transition(Transition),
}

/// A transition with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proven {
    /// The transition.
    pub transition: Transition,
    /// Its posts.
    pub evidence: Vec<Evidence>,
    /// What their influence is computed from.
    pub sums: EvidenceSums,
}

/// See the module documentation.
pub fn evidence<'s>(
    items: VecCollection<'s, Tick, (RowKey, Item)>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
) -> VecCollection<'s, Tick, Proven> {
    let views = Arc::clone(views);
    let mut rows = BTreeMap::<(u16, EventTime), DigestMap<RowKey, DigestMap<PostKey, (i64, i32)>>>::new();
    per_tick(
        items,
        control.filter(|c| matches!(c, Control::Clock(_))),
        "Evidence",
        |(row, _)| row.route(),
        move |Complete { rows: items, side, .. }, out| {
            let (mut gone, mut new, mut asked) = (Vec::new(), Vec::new(), Vec::new());
            for ((row, item), diff) in items.drain(..) {
                match item {
                    Item::Post(post, w, x) if diff > 0 => new.push((row, post, (w, x))),
                    Item::Post(post, w, x) => gone.push((row, post, (w, x))),
                    Item::Transition(transition) => asked.push(transition),
                }
            }
            for (row, post, value) in gone {
                let slot = (row.view, row.key.start);
                if let Some(window) = rows.get_mut(&slot) {
                    if let Some(posts) = window.get_mut(&row) {
                        if posts.get(&post) == Some(&value) {
                            posts.remove(&post);
                        }
                        if posts.is_empty() {
                            window.remove(&row);
                        }
                    }
                    if window.is_empty() {
                        rows.remove(&slot);
                    }
                }
            }
            for (row, post, value) in new {
                rows.entry((row.view, row.key.start))
                    .or_default()
                    .entry(row)
                    .or_default()
                    .insert(post, value);
            }
            for transition in asked {
                let posts = rows.get(&(transition.fired.view, transition.fired.key.start));
                let posts = posts.and_then(|window| window.get(&transition.fired));
                let (evidence, sums) = posts
                    .map(|posts| top(posts, transition.rule.when.looks_down()))
                    .unwrap_or_default();
                let proven = Proven {
                    transition,
                    evidence,
                    sums,
                };
                out.give(proven, 1isize);
            }
            if let Some(clock) = clock_of(side) {
                rows.retain(|(view, start), _| {
                    views
                        .get(usize::from(*view))
                        .is_none_or(|spec| spec.keep.is_none_or(|keep| start + spec.window.size() + keep > clock))
                });
            }
        },
    )
}

/// The posts with the greatest leave-one-out influence downwards (or upwards), ties by key; and the sums over all.
fn top(posts: &DigestMap<PostKey, (i64, i32)>, downwards: bool) -> (Vec<Evidence>, EvidenceSums) {
    let sums = EvidenceSums::over(posts.values().copied());
    let mut all: Vec<Evidence> = posts
        .iter()
        .map(|(post, (w, x))| Evidence {
            post: *post,
            weight: *w,
            sentiment: *x,
            influence: sums.influence(*w, *x),
        })
        .collect();
    all.sort_unstable_by_key(|e| (if downwards { e.influence } else { -e.influence }, e.post));
    all.truncate(SHOWN);
    (all, sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::acc::UNIT;

    #[test]
    fn influence_is_leave_one_out() {
        let posts: Vec<(i64, i32)> = vec![(UNIT, -900_000), (3 * UNIT, 200_000), (2 * UNIT, 0)];
        let mean = |skip: usize| {
            let rest = posts.iter().enumerate().filter(|(i, _)| *i != skip);
            let (w, wx) = rest.fold((0.0, 0.0), |(w, wx), (_, p)| {
                (w + p.0 as f64, wx + p.0 as f64 * f64::from(p.1))
            });
            wx / w
        };
        let map: DigestMap<PostKey, (i64, i32)> = (0u128..).map(PostKey).zip(posts.iter().copied()).collect();
        for e in top(&map, true).0 {
            let exact = mean(usize::MAX) - mean(usize::try_from(e.post.0).expect("small"));
            assert!((e.influence as f64 - exact).abs() <= 1.0, "{e:?} vs {exact}");
        }
        assert_eq!(top(&map, true).0[0].post, PostKey(0));
        assert_eq!(top(&map, false).0[0].post, PostKey(1));
    }
}
