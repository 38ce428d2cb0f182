//! Hours and days as group values: their words, and the digests of them.

use super::{GroupColumn, Zone};
use crate::id::Dim;
use crate::time::EventTime;
use std::sync::LazyLock;

/// The hours of a day.
pub const HOURS: [&str; 24] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];
/// The days of a week.
pub const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The hours of a week, `mon 00` first.
pub static HOURS_OF_WEEK: LazyLock<Vec<String>> = LazyLock::new(|| {
    let day = |day: &'static str| HOURS.map(move |hour| format!("{day} {hour}"));
    WEEKDAYS.into_iter().flat_map(day).collect()
});

/// Digests of the words: hours, days, hours of the week.
static DIMS: LazyLock<[Vec<Dim>; 3]> = LazyLock::new(|| {
    [
        HOURS.iter().map(|hour| Dim::of(hour)).collect(),
        WEEKDAYS.iter().map(|day| Dim::of(day)).collect(),
        HOURS_OF_WEEK.iter().map(|hour| Dim::of(hour)).collect(),
    ]
});

impl Zone {
    /// The value of a calendar column at a moment; none for other columns.
    pub fn dim(&self, column: GroupColumn, at: EventTime) -> Dim {
        let (day, hour) = self.hour_of(at);
        let (words, at) = match column {
            GroupColumn::Hour => (&DIMS[0], hour),
            GroupColumn::Weekday => (&DIMS[1], day),
            GroupColumn::HourOfWeek => (&DIMS[2], day * 24 + hour),
            _ => return Dim::NONE,
        };
        words.get(at).copied().unwrap_or(Dim::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_an_hour_and_a_day() {
        let zone = Zone::default();
        // 1970-01-01 was a Thursday.
        let at = 5 * 3_600_000 + 1;
        assert_eq!(zone.dim(GroupColumn::Hour, at), Dim::of("05"));
        assert_eq!(zone.dim(GroupColumn::Weekday, at), Dim::of("thu"));
        assert_eq!(zone.dim(GroupColumn::HourOfWeek, at), Dim::of("thu 05"));
        assert_eq!(zone.dim(GroupColumn::Thread, at), Dim::NONE);
    }
}
