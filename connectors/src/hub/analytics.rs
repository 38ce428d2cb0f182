//! What is made of a view's rows when they are read: rows added up, series with growth and moving average, fewer points.
//!
//! Pure. Rows keep sums, and sums add up exactly: a column of many rows is computed from what they have together, never from
//! their columns. Distinct authors do not add up, so that columns made of them are null over more than one row.

use super::table::Row;
use groundswell_core::acc::Acc;
use groundswell_core::number::{Numbers, Stat};
use groundswell_core::spec::{Cell, Measure, Shown, ViewSpec};

/// Rows of one view, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    acc: Acc,
    numbers: Option<Numbers>,
    rows: usize,
}

impl Merged {
    /// Adds a row.
    pub fn add(&mut self, spec: &ViewSpec, row: &Row) {
        // At least as many as in the row with the most.
        let authors = self.acc.authors.max(row.acc.authors);
        self.acc.merge(&row.acc);
        self.acc.authors = authors;
        self.rows += 1;
        let Some(other) = &row.numbers else { return };
        let Some(own) = &mut self.numbers else {
            self.numbers = Some(Numbers::clone(other));
            return;
        };
        for (own, other) in own.stats.iter_mut().zip(&other.stats) {
            merge(own, other);
        }
        // A post is in one of the rows only, unless they are by entity.
        own.top.extend(&other.top);
        own.top
            .sort_unstable_by_key(|top| (std::cmp::Reverse(top.value), top.post));
        own.top.dedup();
        own.top.truncate(spec.extras.top.as_ref().map_or(0, |top| top.k));
    }

    /// Posts of all rows.
    pub fn posts(&self) -> i32 {
        self.acc.posts
    }

    /// A column over all rows.
    pub fn cell<'a>(&'a self, spec: &'a ViewSpec, shown: Shown<'a>) -> Cell<'a> {
        let cell = shown.cell(spec, &self.acc, self.numbers.as_ref());
        let of_authors = match shown {
            Shown::Measure(measure) => measure == Measure::Authors,
            Shown::Column(column) => column.formula.uses_authors(),
            Shown::Basis | Shown::Top(_) => false,
        };
        match cell {
            Cell::Whole(_) if of_authors && self.rows > 1 => Cell::Whole(None),
            Cell::Real(_) if of_authors && self.rows > 1 => Cell::Real(None),
            cell => cell,
        }
    }

    /// A column over all rows as a number; none for null and for what is no number.
    #[allow(clippy::cast_precision_loss)] // shown as a number with a fraction
    pub fn number(&self, spec: &ViewSpec, shown: Shown<'_>) -> Option<f64> {
        match self.cell(spec, shown) {
            Cell::Whole(n) => n.map(|n| n as f64),
            Cell::Real(n) => n,
            Cell::Word(_) | Cell::Posts { .. } => None,
        }
    }
}

fn merge(own: &mut Stat, other: &Stat) {
    own.known += other.known;
    own.sum += other.sum;
    own.squares += other.squares;
    own.bounds = match (own.bounds, other.bounds) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    };
}

/// By how much a number has grown, in percent of what it was; none where it was nothing or is not known.
pub fn growth(was: Option<f64>, is: Option<f64>) -> Option<f64> {
    let (was, is) = (was?, is?);
    (was != 0.0).then(|| 100.0 * (is - was) / was.abs())
}

/// The simple moving average of the last `n` numbers at each place; what is not known is left out, and none is known before
/// there are `n` places.
#[allow(clippy::cast_precision_loss)] // few
pub fn moving_average(values: &[Option<f64>], n: usize) -> Vec<Option<f64>> {
    let average = |end: usize| {
        let window = values.get((end + 1).checked_sub(n)?..=end)?;
        let known: Vec<f64> = window.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    (0..values.len()).map(average).collect()
}

/// Places of at most `most` of the points, so that a line through them looks like the line through all: the first, the last, and
/// of each stretch between the one that makes the largest triangle with its neighbours (Steinarsson, *Downsampling Time Series
/// for Visual Representation*, 2013).
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // places of a list
pub fn largest_triangles(points: &[(f64, f64)], most: usize) -> Vec<usize> {
    let n = points.len();
    if n <= most || most < 3 {
        return (0..n).take(most.max(1)).collect();
    }
    let width = (n - 2) as f64 / (most - 2) as f64;
    let start = |stretch: usize| (stretch as f64 * width) as usize + 1;
    let mut chosen = vec![0];
    let mut last = 0;
    for stretch in 0..most - 2 {
        let next = &points[start(stretch + 1).min(n - 1)..start(stretch + 2).min(n)];
        let next = if next.is_empty() { &points[n - 1..] } else { next };
        let mean = |of: fn(&(f64, f64)) -> f64| next.iter().map(of).sum::<f64>() / next.len() as f64;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let (ax, ay) = points[last];
        let area = |at: usize| {
            let (bx, by) = points[at];
            ((ax - x) * (by - ay) - (ax - bx) * (y - ay)).abs()
        };
        let mut best = start(stretch);
        for at in start(stretch)..start(stretch + 1).min(n - 1) {
            if area(at) > area(best) {
                best = at;
            }
        }
        chosen.push(best);
        last = best;
    }
    chosen.push(n - 1);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::spec;
    use groundswell_core::acc::UNIT;
    use groundswell_core::expr::Formula;
    use groundswell_core::id::PostKey;
    use groundswell_core::number::{NumberSpec, TopPost};
    use groundswell_core::score::Label;
    use groundswell_core::spec::{Column, Extras, WindowSpec};
    use std::sync::Arc;

    #[test]
    fn rows_add_up_to_what_their_posts_have_together() {
        let declared = NumberSpec::declare(&["likes".to_owned()], &[], &[]);
        let column = |name, text| Column::of(name, &Formula::parse(text, &declared).expect("a formula"));
        let columns = [
            column("mean", "mean(likes)"),
            column("peak", "max(likes)"),
            column("reach", "posts / authors"),
        ];
        let view = ViewSpec {
            extras: Extras::new(columns.concat(), Some((2, declared[1].clone())), &declared),
            ..spec("v", WindowSpec::Tumble { size: 60_000 })
        };
        let row = |likes: &[i64]| {
            let mut acc = Acc::default();
            for _ in likes {
                acc.merge(&Acc::scored(UNIT, 500_000, Label::Positive, false, false));
            }
            acc.authors = 1;
            let stat = Stat {
                known: i64::try_from(likes.len()).expect("few"),
                sum: likes.iter().map(|n| i128::from(*n)).sum(),
                squares: 0,
                bounds: likes.iter().min().copied().zip(likes.iter().max().copied()),
            };
            let top = likes.iter().map(|n| TopPost {
                post: PostKey::of(&n.to_le_bytes()),
                value: *n,
            });
            let numbers = Numbers {
                stats: vec![stat],
                top: top.rev().take(2).collect(),
            };
            Row {
                acc,
                numbers: Some(Arc::new(numbers)),
                updated: 1,
                revision: 0,
            }
        };
        let mut merged = Merged::default();
        merged.add(&view, &row(&[1, 2, 9]));
        let named = |name: &str| view.shows().find(|shown| shown.name() == name).expect("a column");
        assert_eq!(merged.number(&view, named("reach")), Some(3.0));
        merged.add(&view, &row(&[4]));
        assert_eq!(merged.number(&view, named("mean")), Some(4.0), "not the mean of means");
        assert_eq!(merged.number(&view, named("peak")), Some(9.0));
        assert_eq!(merged.number(&view, named("sentiment")), Some(0.5));
        assert_eq!(merged.number(&view, named("reach")), None, "authors do not add up");
        let Cell::Posts { posts, .. } = merged.cell(&view, named("top")) else {
            panic!("posts")
        };
        assert_eq!(posts.iter().map(|top| top.value).collect::<Vec<_>>(), [9, 4]);
    }

    #[test]
    fn growth_and_averages_know_what_they_do_not_know() {
        assert_eq!(growth(Some(4.0), Some(5.0)), Some(25.0));
        assert_eq!(growth(Some(-4.0), Some(-2.0)), Some(50.0));
        assert_eq!(growth(Some(0.0), Some(5.0)), None);
        assert_eq!(growth(None, Some(5.0)), None);
        let values = [Some(1.0), None, Some(4.0), Some(7.0)];
        assert_eq!(moving_average(&values, 3), [None, None, Some(2.5), Some(5.5)]);
        assert_eq!(moving_average(&values, 1), values);
        assert_eq!(moving_average(&[None, None], 2), [None, None]);
        assert_eq!(moving_average(&[], 2), []);
    }

    #[test]
    fn a_line_of_fewer_points_keeps_its_ends_and_its_peaks() {
        let points: Vec<(f64, f64)> = (0..10_000)
            .map(|x| (f64::from(x), if x == 4_321 { 1e6 } else { f64::from(x % 7) }))
            .collect();
        let chosen = largest_triangles(&points, 1_000);
        assert_eq!(chosen.len(), 1_000);
        assert!(chosen.is_sorted() && chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((chosen[0], chosen[999]), (0, 9_999));
        assert!(chosen.contains(&4_321), "the peak stays");
        assert_eq!(largest_triangles(&points[..5], 1_000), [0, 1, 2, 3, 4]);
        assert_eq!(largest_triangles(&[], 10), [] as [usize; 0]);
        for (n, most) in [(4, 3), (5, 4), (1_001, 1_000), (7, 3)] {
            assert_eq!(largest_triangles(&points[..n], most).len(), most, "{n} to {most}");
        }
    }
}
