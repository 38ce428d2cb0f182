//! Whether rules have the baselines they ask for.

use super::registrar::Registrar;
use super::{Metrics, MetricsError};
use parking_lot::Mutex;
use prometheus::IntGaugeVec;

/// A rule and how many groups have its baseline, or lack it.
pub type RuleGroups = (String, u64, u64);

/// Gauges by rule.
pub(super) struct RuleMetrics {
    groups: IntGaugeVec,
    /// What is shown.
    shown: Mutex<Vec<RuleGroups>>,
}

impl RuleMetrics {
    pub(super) fn new(r: &mut Registrar) -> Result<Self, MetricsError> {
        Ok(RuleMetrics {
            groups: r.gauges(
                "rule_baseline_groups",
                "Groups whose newest window has the baseline that a rule asks for (`ready`), or has none yet (`none`).",
                &["rule", "baseline"],
            )?,
            shown: Mutex::default(),
        })
    }
}

impl Metrics {
    /// How many groups have the baseline of each rule that asks for one.
    pub fn rules(&self, now: Vec<RuleGroups>) {
        let metrics = &self.rules;
        let mut shown = metrics.shown.lock();
        if *shown == now {
            return;
        }
        metrics.groups.reset();
        for (rule, ready, lacking) in &now {
            for (baseline, n) in [("ready", *ready), ("none", *lacking)] {
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                metrics.groups.with_label_values(&[rule.as_str(), baseline]).set(n);
            }
        }
        *shown = now;
    }
}
