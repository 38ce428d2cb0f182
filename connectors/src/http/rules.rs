//! `/api/v1/rules`: the rules in force, and whether those that compare with a baseline have one.

use super::App;
use super::api::answers::Guarded;
use super::error::ApiError;
use super::reply::{Plain, plain};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use groundswell_core::spec::RuleSpec;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A rule in force, as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInForce {
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// Groups whose newest window has the baseline it asks for.
    pub ready: u64,
    /// Groups whose newest window lacks it.
    pub lacking: u64,
}

/// A rule, as `/api/v1/rules` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RuleStatus {
    /// Its name.
    rule: String,
    /// The view it watches.
    view: String,
    /// Fires when this holds.
    when: String,
    /// Resolves when this holds; null: when `when` does not.
    clear: Option<String>,
    /// Windows with fewer posts do not fire.
    min_posts: i32,
    /// Windows with fewer distinct authors do not.
    min_authors: i32,
    /// Windows with fewer effective posts do not.
    min_n_eff: i32,
    /// How long `when` must hold, in milliseconds.
    for_ms: i64,
    /// How long it is quiet after resolving, in milliseconds.
    cooldown_ms: i64,
    /// What it is compared with; null for a rule without `baseline(…)`.
    baseline: Option<BaselineStatus>,
}

/// How many groups of a rule have a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BaselineStatus {
    /// Weeks looked back.
    weeks: u8,
    /// How many of their windows there must be.
    min: u8,
    /// `all` or `some` groups have one, or `none_yet`.
    state: &'static str,
    /// Groups whose newest window has a baseline.
    ready: u64,
    /// Groups whose newest window has too few windows before it: the rule does not fire there.
    lacking: u64,
}

impl RuleStatus {
    fn of(known: &RuleInForce) -> Self {
        let rule = &known.rule;
        let state = match (known.ready, known.lacking) {
            (0, _) => "none_yet",
            (_, 0) => "all",
            _ => "some",
        };
        RuleStatus {
            rule: rule.id.clone(),
            view: rule.view.clone(),
            when: rule.when.text().to_owned(),
            clear: rule.clear.as_ref().map(|clear| clear.text().to_owned()),
            min_posts: rule.min_posts,
            min_authors: rule.min_authors,
            min_n_eff: rule.min_n_eff,
            for_ms: rule.for_ms,
            cooldown_ms: rule.cooldown_ms,
            baseline: rule.has_baseline().then(|| BaselineStatus {
                weeks: rule.baseline.weeks,
                min: rule.baseline.min,
                state,
                ready: known.ready,
                lacking: known.lacking,
            }),
        }
    }
}

/// The rules in force, those that came as records included.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "alerts",
    operation_id = "get_rules",
    responses(
        (status = 200, description = "The rules by name. None are in force in a pipeline whose rules watch no view.", body = Plain<Vec<RuleStatus>>),
        Guarded
    )
)]
pub async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let shown: Vec<RuleStatus> = app.health.rules().iter().map(RuleStatus::of).collect();
    plain(StatusCode::OK, shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::expr::Expr;

    #[test]
    fn a_rule_says_whether_it_has_a_baseline() {
        let known = |when: &str, ready, lacking| RuleInForce {
            rule: Arc::new(RuleSpec::new("r", "v", Expr::parse(when).expect("parses"))),
            ready,
            lacking,
        };
        let volume = "posts > 10 * baseline(posts)";
        for (ready, lacking, state) in [(0, 0, "none_yet"), (0, 3, "none_yet"), (1, 3, "some"), (2, 0, "all")] {
            let status = RuleStatus::of(&known(volume, ready, lacking));
            assert_eq!(status.baseline.map(|b| b.state), Some(state));
        }
        assert_eq!(RuleStatus::of(&known("posts > 1", 0, 0)).baseline, None);
    }
}
