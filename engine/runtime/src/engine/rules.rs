//! The rules in force as of the last complete tick, and how many groups have the baselines that they ask for.
//!
//! In: a tick's standings, whose diffs are numbers. Out: reports, and a line in the log when a rule's first group has its
//! baseline, or when none has. State: the sums; a rule without any is forgotten.

use groundswell_core::spec::RuleSpec;
use groundswell_operators::threshold::Standing;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// Groups whose newest window has the baseline it asks for.
    pub ready: u64,
    /// Groups whose newest window lacks it.
    pub lacking: u64,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct RuleBoard(Mutex<BTreeMap<Arc<RuleSpec>, Sums>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    workers: i64,
    ready: i64,
    lacking: i64,
    /// Whether it was said that there is no baseline, or that there is one.
    said: Option<bool>,
}

impl RuleBoard {
    /// Applies what a complete tick said; whether that was anything.
    pub(crate) fn apply(&self, standings: Vec<(Standing, isize)>) -> bool {
        let mut now = self.0.lock();
        let any = !standings.is_empty();
        for (standing, diff) in standings {
            let sums = now.entry(standing.rule).or_default();
            let slot = match standing.ready {
                None => &mut sums.workers,
                Some(true) => &mut sums.ready,
                Some(false) => &mut sums.lacking,
            };
            *slot += i64::try_from(diff).unwrap_or(0);
        }
        now.retain(|_, sums| (sums.workers, sums.ready, sums.lacking) != (0, 0, 0));
        for (rule, sums) in now.iter_mut().filter(|_| any) {
            let is = match (sums.ready, sums.lacking) {
                (0, 0) => continue,
                (ready, _) => ready > 0,
            };
            if sums.said != Some(is) {
                sums.said = Some(is);
                if is {
                    tracing::info!(rule = %rule.id, "has a baseline in {} groups", sums.ready);
                } else {
                    tracing::info!(
                        rule = %rule.id,
                        "no baseline yet: it does not fire before {} windows of past weeks are there",
                        rule.baseline.min
                    );
                }
            }
        }
        any
    }

    /// The rules by name.
    pub(crate) fn reports(&self) -> Vec<RuleReport> {
        let now = self.0.lock();
        let in_force = now.iter().filter(|(_, sums)| sums.workers > 0);
        let report = |(rule, sums): (&Arc<RuleSpec>, &Sums)| RuleReport {
            rule: Arc::clone(rule),
            ready: sums.ready.unsigned_abs(),
            lacking: sums.lacking.unsigned_abs(),
        };
        in_force.map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::expr::Expr;

    #[test]
    fn sums_follow_the_diffs_and_what_is_withdrawn_is_gone() {
        let board = RuleBoard::default();
        let rule = Arc::new(RuleSpec::new(
            "r",
            "v",
            Expr::parse("posts > baseline(posts)").expect("parses"),
        ));
        let standing = |ready, diff| {
            let rule = Arc::clone(&rule);
            (Standing { rule, ready }, diff)
        };
        let told = || board.reports().first().map(|r| (r.ready, r.lacking));
        assert!(!board.apply(vec![]));
        assert!(board.apply(vec![standing(None, 2), standing(Some(false), 3)]));
        assert_eq!(told(), Some((0, 3)));
        board.apply(vec![standing(Some(false), -1), standing(Some(true), 1)]);
        assert_eq!(told(), Some((1, 2)));
        board.apply(vec![
            standing(Some(false), -2),
            standing(Some(true), -1),
            standing(None, -2),
        ]);
        assert_eq!(told(), None);
        assert!(board.0.lock().is_empty());
    }
}
