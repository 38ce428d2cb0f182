//! `groundswell dlq list`.

use super::text::{plain, short, time};
use super::{Opened, Which};
use crate::cli::Failure;
use crate::cli::out::say;
use groundswell_connectors::dlq::Letter;
use groundswell_core::time::{EventTime, Tick};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::ControlFlow;

/// Rows of a table if nothing is said.
const ROWS: usize = 100;
/// Characters of a message in a table.
const MESSAGE: usize = 72;

/// The newest of what comes, at most so many: by tick, then in the order they came.
struct Newest<T> {
    most: usize,
    came: u64,
    kept: BinaryHeap<Reverse<Kept<T>>>,
}

struct Kept<T> {
    key: (Tick, u64),
    item: T,
}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<T> Eq for Kept<T> {}
impl<T> PartialOrd for Kept<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Kept<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Newest<T> {
    fn new(most: usize) -> Self {
        Newest {
            most,
            came: 0,
            kept: BinaryHeap::new(),
        }
    }

    fn put(&mut self, tick: Tick, item: impl FnOnce() -> T) {
        let key = (tick, self.came);
        self.came += 1;
        if self.kept.len() >= self.most {
            if self.kept.peek().is_none_or(|Reverse(oldest)| key <= oldest.key) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Reverse(Kept { key, item: item() }));
    }

    /// The oldest first.
    fn into_sorted(self) -> Vec<T> {
        let mut kept: Vec<Kept<T>> = self.kept.into_iter().map(|Reverse(kept)| kept).collect();
        kept.sort_unstable_by_key(|kept| kept.key);
        kept.into_iter().map(|kept| kept.item).collect()
    }
}

pub(super) fn run(which: &Which, limit: Option<usize>, json: bool) -> Result<(), Failure> {
    let filter = which.filter();
    let Opened { sink, mut letters, .. } = which.open()?;
    if json {
        return lines(&mut *letters, &filter, limit);
    }
    let mut rows = Newest::new(limit.unwrap_or(ROWS));
    let mut counts: BTreeMap<[String; 3], u64> = BTreeMap::new();
    letters
        .read(&mut |letter| {
            if filter.takes(&letter) {
                let group = [&letter.stage, &letter.code, &letter.source].map(|text| plain(text, &[]));
                *counts.entry(group).or_default() += 1;
                rows.put(letter.tick, || row(&letter));
            }
            ControlFlow::Continue(())
        })
        .map_err(Failure::of_letters)?;
    let all: u64 = counts.values().sum();
    let rows = rows.into_sorted();
    if !rows.is_empty() {
        let head = ["RECORDED", "POSITION", "STAGE", "CODE", "ATTEMPT", "MESSAGE"].map(str::to_owned);
        table(std::iter::once(&head).chain(&rows))?;
        say("")?;
        let sums: Vec<[String; 4]> = counts
            .into_iter()
            .map(|([stage, code, source], n)| [n.to_string(), stage, code, source])
            .collect();
        let head = ["COUNT", "STAGE", "CODE", "SOURCE"].map(str::to_owned);
        table(std::iter::once(&head).chain(&sums))?;
    }
    let shown = rows.len() as u64;
    let newest = match shown < all {
        true => format!(", the newest {shown} of them above"),
        false => String::new(),
    };
    say(format_args!("{all} letters in the sink \"{sink}\"{newest}"))
}

/// JSON Lines: as they come where all are wanted, else the newest.
fn lines(
    letters: &mut dyn groundswell_connectors::dlq::Letters,
    filter: &groundswell_connectors::dlq::Filter,
    limit: Option<usize>,
) -> Result<(), Failure> {
    let line = |letter: &Letter| serde_json::to_string(letter).map_err(Failure::from).and_then(say);
    let mut newest = limit.map(Newest::new);
    let mut failed = Ok(());
    letters
        .read(&mut |letter| {
            if !filter.takes(&letter) {
                return ControlFlow::Continue(());
            }
            match &mut newest {
                Some(newest) => newest.put(letter.tick, || letter),
                None => failed = line(&letter),
            }
            match failed {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(Failure::of_letters)?;
    failed?;
    newest
        .map(Newest::into_sorted)
        .into_iter()
        .flatten()
        .try_for_each(|letter| line(&letter))
}

fn row(letter: &Letter) -> [String; 6] {
    [
        time(EventTime::try_from(letter.tick).unwrap_or(EventTime::MAX)),
        plain(&letter.position().to_string(), &[]),
        plain(&letter.stage, &[]),
        plain(&letter.code, &[]),
        letter.attempt.to_string(),
        short(&letter.message, MESSAGE),
    ]
}

/// Columns as wide as their widest cell.
fn table<'a, const N: usize>(rows: impl Iterator<Item = &'a [String; N]> + Clone) -> Result<(), Failure> {
    let mut widths = [0; N];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say(cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_in_their_order() {
        let mut newest = Newest::new(3);
        for (tick, name) in [(5, "a"), (1, "b"), (7, "c"), (5, "d"), (6, "e")] {
            newest.put(tick, || name);
        }
        assert_eq!(newest.into_sorted(), ["d", "e", "c"]);
        let mut none = Newest::new(0);
        none.put(1, || "a");
        assert!(none.into_sorted().is_empty());
    }
}
