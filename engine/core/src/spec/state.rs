//! How far a row is: whether its window is over, and how often the row changed after that.
//!
//! Pure. Only the count is kept, by whoever hands rows out; whether a window is over follows from the recorded clock, so that
//! nothing has to be written when it passes a window's end.

use super::{ViewKey, ViewSpec};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// The name of the column that says how far a row is.
pub const STATE: &str = "state";
/// The name of the column with the number of ticks at which a row changed after its window's end.
pub const REVISION: &str = "revision";

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// The end of its window is after the clock.
    Open,
    /// The window is over.
    Final,
    /// The window is over, and the row changed after its end.
    Revised,
}

impl RowState {
    /// All of them.
    pub const ALL: [RowState; 3] = [RowState::Open, RowState::Final, RowState::Revised];

    /// The state's name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            RowState::Open => "open",
            RowState::Final => "final",
            RowState::Revised => "revised",
        }
    }

    /// The state of a row at a clock.
    pub fn of(end: EventTime, clock: EventTime, revision: u32) -> Self {
        match revision {
            _ if end > clock => RowState::Open,
            0 => RowState::Final,
            _ => RowState::Revised,
        }
    }
}

impl ViewSpec {
    /// The state of a row of the view at a clock, if the view says so.
    pub fn state_of(&self, key: &ViewKey, clock: EventTime, revision: u32) -> Option<RowState> {
        let end = self.window.bounds_at(key, clock).1;
        self.extras.revisions.then(|| RowState::of(end, clock, revision))
    }
}
