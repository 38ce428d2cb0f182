//! Rules: when an alert fires, and when it clears.

use super::{Gates, WindowSpec};
use crate::acc::Acc;
use crate::expr::{Baseline, Earlier, Expr};
use serde::{Deserialize, Serialize};

/// A rule: when it fires, when it clears. It goes between processes in a form without names, so that no field may be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleSpec {
    /// Its name.
    pub id: String,
    /// The view it watches.
    pub view: String,
    /// Fires when this holds.
    pub when: Expr,
    /// Resolves when this holds; `None` means "when `when` does not".
    pub clear: Option<Expr>,
    /// Windows with fewer posts do not fire.
    pub min_posts: i32,
    /// `when` must hold over windows side by side that span this long (ms).
    pub for_ms: i64,
    /// After resolving, stay quiet this long (ms).
    pub cooldown_ms: i64,
    /// Windows with fewer distinct authors do not fire.
    #[serde(default)]
    pub min_authors: i32,
    /// Windows with fewer effective posts, (Σw)² / Σw², do not fire.
    #[serde(default)]
    pub min_n_eff: i32,
    /// What its baselines are made of.
    #[serde(default)]
    pub baseline: Baseline,
}

impl RuleSpec {
    /// A rule that fires as soon as this holds in a window with posts, and resolves when it does not.
    pub fn new(id: &str, view: &str, when: Expr) -> Self {
        RuleSpec {
            id: id.to_owned(),
            view: view.to_owned(),
            when,
            clear: None,
            min_posts: 1,
            for_ms: 0,
            cooldown_ms: 0,
            min_authors: 0,
            min_n_eff: 0,
            baseline: Baseline::default(),
        }
    }

    /// What a window must have to fire.
    pub fn gates(&self) -> Gates {
        Gates {
            min_posts: self.min_posts,
            min_authors: self.min_authors,
            min_n_eff: self.min_n_eff,
        }
    }

    /// Whether it looks at windows before the one it judges.
    pub fn looks_back(&self) -> bool {
        self.conditions().any(|condition| !condition.looks().is_none())
    }

    /// Whether it asks for a baseline.
    pub fn has_baseline(&self) -> bool {
        self.conditions().any(|condition| condition.looks().baseline)
    }

    /// The distances to all earlier windows that it looks at, ascending; none for most rules.
    pub fn distances(&self, window: &WindowSpec) -> Vec<i64> {
        let mut all = Vec::new();
        for condition in self.conditions() {
            condition.looks().distances(window.size(), self.baseline, &mut all);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The farthest of them (ms); zero for most rules.
    pub fn reach(&self, window: &WindowSpec) -> i64 {
        self.distances(window).last().copied().unwrap_or(0)
    }

    /// The windows before one that it judges, as its conditions see them.
    pub fn earlier<'a>(&self, window: &WindowSpec, at: &'a dyn Fn(i64) -> Option<Acc>) -> Earlier<'a> {
        Earlier {
            at,
            size: window.size(),
            gates: self.gates(),
            baseline: self.baseline,
        }
    }

    /// Whether every baseline that it asks for is known, in a window that has these before it.
    pub fn has_its_baselines(&self, window: &WindowSpec, at: &dyn Fn(i64) -> Option<Acc>) -> bool {
        let earlier = self.earlier(window, at);
        self.conditions().all(|condition| condition.has_its_baselines(&earlier))
    }

    fn conditions(&self) -> impl Iterator<Item = &Expr> {
        std::iter::once(&self.when).chain(&self.clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WEEK;

    #[test]
    fn what_was_recorded_before_more_could_be_said_is_read() {
        let rule = RuleSpec::new("r", "v", Expr::parse("posts > 1").expect("parses"));
        let text = r#"{"id":"r","view":"v","when":"posts > 1","clear":null,"min_posts":1,"for_ms":0,"cooldown_ms":0}"#;
        assert_eq!(serde_json::from_str::<RuleSpec>(text).expect("read"), rule);
        let more = RuleSpec {
            min_authors: 3,
            min_n_eff: 2,
            baseline: Baseline { weeks: 8, min: 4 },
            ..rule
        };
        let text = serde_json::to_string(&more).expect("json");
        assert_eq!(serde_json::from_str::<RuleSpec>(&text).expect("back"), more);
    }

    #[test]
    fn the_farthest_window_is_its_reach() {
        let window = WindowSpec::Hop { size: 60, every: 20 };
        let when = Expr::parse("posts > previous(posts) and posts > previous(posts, 20ms)").expect("parses");
        let mut rule = RuleSpec::new("r", "v", when);
        assert_eq!((rule.distances(&window), rule.reach(&window)), (vec![20, 60], 60));
        rule.clear = Some(Expr::parse("posts < baseline(posts)").expect("parses"));
        rule.baseline.weeks = 2;
        assert_eq!(rule.distances(&window), [20, 60, WEEK, 2 * WEEK]);
        assert!(rule.looks_back() && rule.has_baseline());
    }
}
