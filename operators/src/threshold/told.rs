//! What goes into the operator, and what it tells.

use crate::aggregate::Row;
use crate::event::Floor;
use crate::window::RowKey;
use groundswell_core::acc::Acc;
use groundswell_core::id::Dim;
use groundswell_core::record::Carried;
use groundswell_core::serving::{AlertState, Cause};
use groundswell_core::spec::RuleSpec;
use groundswell_core::time::EventTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Input of the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Watched {
    /// A row and its sums.
    Row(Row),
    /// A contribution to this row changed, and why.
    Because(RowKey, Cause),
    /// What was carried over a restart for this group; counts in the first tick only.
    Floor(RowKey, Arc<Floor>),
}

impl Watched {
    pub(super) fn at(&self) -> RowKey {
        match self {
            Watched::Row(row) => row.at,
            Watched::Because(at, _) | Watched::Floor(at, _) => *at,
        }
    }
}

/// A transition of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Transition {
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// The row that fired.
    pub fired: RowKey,
    /// The window that moved the alert: the one that fired, or the one that resolved.
    pub window: EventTime,
    /// The new state.
    pub state: AlertState,
    /// Why.
    pub cause: Cause,
    /// Sums of `window`, if it has a row.
    pub acc: Option<Acc>,
    /// Sums of the earlier windows that the rule looks at, by how long before they began; empty for most rules.
    pub earlier: Vec<(i64, Acc)>,
}

/// What the windows of a group that are forgotten left behind in a rule's alerts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Carry {
    /// The rule.
    pub rule: String,
    /// The view whose windows they were (hidden ones included).
    pub view: u16,
    /// The group.
    pub group: [Dim; 4],
    /// Windows that start before this are forgotten.
    pub up_to: EventTime,
    /// The fold goes on from here.
    pub state: Carried,
}

/// How a rule stands; the diffs are numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Standing {
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// Groups whose newest window has the baseline that the rule asks for, or lacks it. None: workers on which it is in
    /// force.
    pub ready: Option<bool>,
}

/// Output of the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// An alert changed.
    Transition(Transition),
    /// What forgotten windows left behind changed.
    Carry(Carry),
    /// A rule stands otherwise; the diffs are the numbers.
    Standing(Standing),
}
