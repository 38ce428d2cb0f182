//! Sessions from scratch: all times of a group, and the session that each is in.

use groundswell_core::spec::Sessions;
use std::collections::{BTreeMap, BTreeSet};

/// Start and end of the session of every time.
pub fn windows(how: Sessions, times: BTreeSet<i64>) -> BTreeMap<i64, (i64, i64)> {
    let times: Vec<i64> = times.into_iter().collect();
    let mut windows = BTreeMap::new();
    for run in times.chunk_by(|a, b| b - a <= how.gap) {
        let whole = run[run.len() - 1] - run[0] <= how.max;
        for part in run.chunk_by(|a, b| whole || a.div_euclid(how.max) == b.div_euclid(how.max)) {
            let window = (part[0], part[part.len() - 1] + how.gap);
            windows.extend(part.iter().map(|at| (*at, window)));
        }
    }
    windows
}
