//! k-anonymity: what is about fewer than k distinct authors is not served.
//!
//! In: changes of rows with their number of authors, and transitions of alerts. Out: what may be shown of them. Holds no state:
//! what is shown is looked up, so that a row whose authors become too few is gone, one whose authors become enough appears, and
//! of one that was never shown nothing is said, not even that it is gone. Alerts go by the window that fired or resolved.
//! Single posts are not served at all.
//!
//! k says how many people a number is about, not by how much two numbers differ: whoever sees a row before and after one post
//! sees what that post changed.

use groundswell_core::number::Numbers;
use groundswell_core::serving::{AlertChange, AlertState, RowChange};
use groundswell_core::spec::ViewKey;
use hashbrown::HashSet;
use std::sync::Arc;

pub(super) struct Withhold {
    least: i32,
}

/// Numbers without the posts among them.
fn without_posts(numbers: &Arc<Numbers>) -> Arc<Numbers> {
    if numbers.top.is_empty() {
        return Arc::clone(numbers);
    }
    Arc::new(Numbers {
        stats: numbers.stats.clone(),
        top: Vec::new(),
    })
}

impl Withhold {
    /// Withholds what is about fewer authors.
    pub(super) fn below(least: i32) -> Self {
        Withhold { least }
    }

    /// What may be shown of changed rows; `shown` says whether one was.
    pub(super) fn rows(&self, shown: impl Fn(&ViewKey) -> bool, rows: &[RowChange]) -> Vec<RowChange> {
        let visible = rows.iter().map(|row| {
            let acc = row.acc.filter(|acc| acc.authors >= self.least);
            RowChange {
                key: row.key,
                acc,
                // Single posts are not served, on top of a row no more than elsewhere.
                numbers: row.numbers.as_ref().filter(|_| acc.is_some()).map(without_posts),
                revision: row.revision,
            }
        });
        visible.filter(|row| row.acc.is_some() || shown(&row.key)).collect()
    }

    /// What may be shown of alerts; `shown` says whether one was.
    pub(super) fn alerts(&self, shown: impl Fn(u128) -> bool, alerts: &[AlertChange]) -> Vec<AlertChange> {
        let mut new = HashSet::new();
        let mut out = Vec::with_capacity(alerts.len());
        for alert in alerts {
            let enough = alert.authors >= self.least;
            let mut alert = AlertChange {
                evidence: Vec::new(),
                sums: Default::default(),
                ..alert.clone()
            };
            let known = shown(alert.id) || new.contains(&alert.id);
            let begins = enough && alert.state == AlertState::Firing;
            if !known && !begins {
                continue;
            }
            if !enough {
                // That it fires at all says something of the few: for who sees this it no longer does.
                if alert.state == AlertState::Firing {
                    alert.state = AlertState::Retracted;
                }
                (alert.value, alert.posts) = (None, 0);
            }
            new.insert(alert.id);
            out.push(alert);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::filter::Filter;
    use crate::hub::history::Changes;
    use crate::hub::testing::alert;
    use crate::hub::{Feed, Hub, HubLimits, HubOptions, Missed, POSTS_FEED};
    use groundswell_core::acc::Acc;
    use groundswell_core::id::{Dim, Names, PostKey};
    use groundswell_core::serving::{PostChange, TickChanges};
    use groundswell_core::spec::WindowSpec;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const K: i32 = 3;

    fn hub() -> Hub {
        Hub::new(HubOptions {
            views: vec![crate::hub::testing::spec("v", WindowSpec::Tumble { size: 60_000 })],
            names: Arc::new(Names::default()),
            texts: crate::hub::testing::texts(),
            post_ids: Arc::new(|_| None),
            limits: HubLimits::default(),
            k_anonymity: Some(K),
            feeds: None,
            events: true,
        })
    }

    #[test]
    fn rows_of_few_are_never_heard_of_in_any_frame() {
        let hub = hub();
        let mut rng = StdRng::seed_from_u64(1);
        let mut truth: BTreeMap<ViewKey, Acc> = BTreeMap::new();
        let (mut held, mut at, mut gone) = (BTreeMap::new(), 1, 0);
        let tick = |tick, views| {
            hub.apply(&TickChanges {
                tick,
                views,
                ..TickChanges::default()
            })
        };
        tick(at, vec![vec![]]);
        for now in 2..3_000 {
            let key = ViewKey {
                group: [Dim(rng.random_range(0..5)), Dim::NONE, Dim::NONE, Dim::NONE],
                start: 0,
            };
            let authors = rng.random_range(0..6);
            let acc = (authors > 0).then(|| Acc {
                authors,
                posts: rng.random_range(authors..9),
                ..Acc::unscored()
            });
            tick(now, vec![vec![RowChange::new(key, acc)]]);
            match acc {
                Some(acc) => truth.insert(key, acc),
                None => truth.remove(&key),
            };
            if rng.random_bool(0.5) {
                continue;
            }
            let Missed::Deltas { deltas, at: upto } = hub.since(Feed::View(0), at, now) else {
                panic!("remembered")
            };
            for delta in deltas {
                let Changes::Rows(rows) = &delta.changes else {
                    panic!("rows")
                };
                assert!(!rows.is_empty());
                for (key, row) in rows {
                    if let Some(row) = row {
                        assert!(row.acc.authors >= K);
                        held.insert(*key, row.acc);
                    } else {
                        assert!(held.remove(key).is_some(), "named a row that was never shown");
                        gone += 1;
                    }
                }
            }
            at = upto;
            let expected = truth.iter().filter(|(_, acc)| acc.authors >= K);
            assert!(held.iter().eq(expected), "at {now}");
            let all = hub.view(0).expect("a view").table.all(&Filter::default(), 100);
            let all = all.expect("few").into_iter().map(|(key, row)| (key, row.acc));
            assert!(all.eq(held.clone()), "at {now}");
        }
        assert!(gone > 100, "{gone}");
    }

    #[test]
    fn alerts_about_few_are_not_shown_or_not_what_they_say() {
        use AlertState::{Firing, Resolved, Retracted};
        let withhold = Withhold::below(K);
        let told = |id, state, authors| AlertChange {
            authors,
            ..alert(id, state, 1)
        };
        let seen = |shown: &[u128], alerts: &[AlertChange]| -> Vec<(u128, AlertState, bool)> {
            let all = withhold.alerts(|id| shown.contains(&id), alerts);
            assert!(
                all.iter()
                    .all(|a| a.evidence.is_empty() && (a.value.is_some() || a.posts == 0))
            );
            assert_eq!(withhold.alerts(|id| shown.contains(&id), &all), all, "once is enough");
            all.iter().map(|a| (a.id, a.state, a.value.is_some())).collect()
        };
        assert_eq!(
            seen(&[], &[told(1, Firing, K), told(2, Firing, K - 1)]),
            [(1, Firing, true)]
        );
        let two = [
            told(1, Firing, K),
            told(1, Resolved, 1),
            told(2, Firing, 1),
            told(2, Resolved, K),
        ];
        assert_eq!(seen(&[], &two), [(1, Firing, true), (1, Resolved, false)]);
        assert_eq!(seen(&[], &[told(1, Retracted, 0)]), []);
        assert_eq!(seen(&[1], &[told(1, Retracted, 0)]), [(1, Retracted, false)]);
        assert_eq!(seen(&[1], &[told(1, Firing, 1)]), [(1, Retracted, false)]);
    }

    #[test]
    fn single_posts_are_not_served() {
        let hub = hub();
        hub.apply(&TickChanges {
            tick: 5,
            views: vec![vec![]],
            posts: vec![PostChange {
                key: PostKey::of(b"p"),
                post: Some(crate::hub::testing::post(0)),
            }],
            ..TickChanges::default()
        });
        assert_eq!((hub.feed(POSTS_FEED), hub.post_count()), (None, 0));
    }

    #[test]
    fn sinks_are_compared_with_everything() {
        let hub = hub();
        let row = |n, authors| RowChange {
            key: ViewKey {
                group: [Dim(n), Dim::NONE, Dim::NONE, Dim::NONE],
                start: 0,
            },
            acc: Some(Acc {
                authors,
                ..Acc::unscored()
            }),
            numbers: None,
            revision: 0,
        };
        let all = TickChanges {
            tick: 5,
            views: vec![vec![row(1, K), row(2, K - 1)]],
            alerts: vec![alert(1, AlertState::Firing, 5)],
            ..TickChanges::default()
        };
        hub.apply(&all);
        assert_eq!(hub.view(0).map(|v| v.table.len()), Some(1));
        assert_eq!(hub.alerts().2.len(), 0);
        assert_eq!(hub.full(), Some(all));
    }
}
