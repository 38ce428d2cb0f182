//! What a reader asks for: values of group columns and a range of window starts.
//!
//! In: pairs of names and values, from a query string or a subscription. Out: a [`Filter`] that matches rows and posts by
//! digest, or an [`Invalid`] that names the parameter and what is allowed. A value is digested, never looked up, so a
//! string that was never seen simply matches nothing. Holds no state.

use groundswell_core::id::Dim;
use groundswell_core::serving::{AlertChange, AlertState, LivePost};
use groundswell_core::spec::{GroupColumn, ViewKey, ViewSpec};
use groundswell_core::time::EventTime;

/// How a time may be given.
pub const TIMES: [&str; 2] = [
    "RFC 3339, such as 2026-01-31T12:00:00Z",
    "epoch milliseconds, such as 1769860800000",
];

/// A parameter that cannot be used, and what could be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// For people.
    pub message: String,
    /// The parameter's name.
    pub parameter: String,
    /// The value as given.
    pub provided: String,
    /// Values, names or a description of what is allowed.
    pub allowed: Vec<String>,
}

impl Invalid {
    /// A known parameter with a value that cannot be used.
    pub fn value(parameter: &str, provided: &str, allowed: &[&str]) -> Self {
        Invalid {
            message: format!("Invalid value for parameter '{parameter}'"),
            parameter: parameter.to_owned(),
            provided: shortened(provided),
            allowed: allowed.iter().map(|a| (*a).to_owned()).collect(),
        }
    }

    /// A parameter nobody knows.
    pub fn unknown(parameter: &str, provided: &str, allowed: &[&str]) -> Self {
        Invalid {
            message: format!("Unknown parameter '{}'", shortened(parameter)),
            parameter: shortened(parameter),
            provided: shortened(provided),
            allowed: allowed.iter().map(|a| (*a).to_owned()).collect(),
        }
    }
}

/// Echoed input is cut: an error must not be a way to make the server send much.
fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST).chain(['…']).collect()
    }
}

/// Which rows a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    columns: Vec<(GroupColumn, Vec<Dim>)>,
    /// Per slot of the view's key; empty for feeds that are no views.
    slots: [Option<Vec<Dim>>; 4],
    /// Windows that start at or after this.
    pub since: Option<EventTime>,
    /// Windows that start before this.
    pub until: Option<EventTime>,
}

impl Filter {
    /// Adds a column with the values it may have; several calls for one column add up. `None` asks for rows without a
    /// value.
    ///
    /// # Errors
    /// [`Invalid`] if `allowed` has no column of this name.
    pub fn column(&mut self, allowed: &[GroupColumn], name: &str, value: Option<&str>) -> Result<(), Invalid> {
        let Some(slot) = allowed.iter().position(|c| c.name() == name) else {
            let names: Vec<&str> = allowed.iter().map(|c| c.name()).collect();
            return Err(Invalid::unknown(name, value.unwrap_or("null"), &names));
        };
        let dim = value.map_or(Dim::NONE, Dim::of);
        match self.columns.iter_mut().find(|(c, _)| *c == allowed[slot]) {
            Some((_, dims)) => dims.push(dim),
            None => self.columns.push((allowed[slot], vec![dim])),
        }
        if let Some(accepted) = self.slots.get_mut(slot) {
            accepted.get_or_insert_with(Vec::new).push(dim);
        }
        Ok(())
    }

    /// Sets the start or the end of the range of window starts.
    ///
    /// # Errors
    /// [`Invalid`] if the text is not a time.
    pub fn bound(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        let Some(time) = parse_time(value) else {
            return Err(Invalid::value(name, value, &TIMES));
        };
        if name == "since" {
            self.since = Some(time);
        } else {
            self.until = Some(time);
        }
        Ok(())
    }

    /// Leaves nothing but one value of a column: whatever else was asked for matches nothing.
    pub fn only(&mut self, allowed: &[GroupColumn], column: GroupColumn, value: Dim) {
        let keep = |asked: &mut Vec<Dim>| asked.retain(|dim| *dim == value);
        match self.columns.iter_mut().find(|(c, _)| *c == column) {
            Some((_, asked)) => keep(asked),
            None => self.columns.push((column, vec![value])),
        }
        let slot = allowed.iter().position(|c| *c == column);
        if let Some(accepted) = slot.and_then(|slot| self.slots.get_mut(slot)) {
            match accepted {
                Some(asked) => keep(asked),
                None => *accepted = Some(vec![value]),
            }
        }
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.since.is_none() && self.until.is_none()
    }

    /// The same without bounds on the window.
    #[must_use]
    pub fn groups_only(&self) -> Filter {
        Filter {
            since: None,
            until: None,
            ..self.clone()
        }
    }

    /// Whether a group matches.
    pub fn group(&self, group: &[Dim; 4]) -> bool {
        self.slots
            .iter()
            .zip(group)
            .all(|(accepted, dim)| accepted.as_ref().is_none_or(|a| a.contains(dim)))
    }

    /// Whether a window that starts here matches.
    pub fn start(&self, start: EventTime) -> bool {
        self.since.is_none_or(|s| start >= s) && self.until.is_none_or(|u| start < u)
    }

    /// Whether a row of a view with fixed windows matches.
    pub fn key(&self, key: &ViewKey) -> bool {
        self.start(key.start) && self.group(&key.group)
    }

    /// Whether a post matches.
    pub fn post(&self, post: &LivePost) -> bool {
        self.columns.iter().all(|(column, dims)| match column {
            GroupColumn::Thread => dims.contains(&post.thread),
            GroupColumn::Source => dims.contains(&post.source),
            GroupColumn::Author => dims.contains(&post.author),
            GroupColumn::Entity | GroupColumn::Tag | GroupColumn::Mention => {
                let mut mentions = post.mentions.iter().filter(|m| m.is_of(*column));
                mentions.any(|m| dims.contains(&m.entity))
            }
            // As its own answer says and as it is shown; what a view makes of sarcasm is the view's.
            GroupColumn::Label => dims.contains(&post.score.map_or(Dim::NONE, |score| score.label().dim())),
            GroupColumn::Emotion => dims.contains(&post.score.map_or(Dim::NONE, |score| score.emotion_dim())),
            GroupColumn::Phase | GroupColumn::Hour | GroupColumn::Weekday | GroupColumn::HourOfWeek => false,
        })
    }

    /// The least and greatest group that can match: narrow when the leading columns have one value each.
    pub fn group_range(&self) -> ([Dim; 4], [Dim; 4]) {
        let (mut low, mut high) = ([Dim::NONE; 4], [Dim(u64::MAX); 4]);
        for (slot, accepted) in self.slots.iter().enumerate() {
            match accepted.as_deref() {
                Some([only]) => (low[slot], high[slot]) = (*only, *only),
                _ => break,
            }
        }
        (low, high)
    }
}

/// A view's name and a place in its key.
pub type ViewSlot = (Box<str>, usize);

/// Which alerts a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    rules: Vec<String>,
    states: Vec<AlertState>,
    views: Vec<String>,
    /// By view: the slot of its key that must have this value. Alerts of other views do not match.
    only: Option<(Vec<ViewSlot>, Dim)>,
}

impl AlertFilter {
    /// The names it may use.
    pub const PARAMETERS: [&'static str; 3] = ["rule", "state", "view"];

    /// Adds a value; several values of one name are alternatives.
    ///
    /// # Errors
    /// [`Invalid`] for an unknown name or a state there is not.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        match name {
            "rule" => self.rules.push(value.to_owned()),
            "view" => self.views.push(value.to_owned()),
            "state" => self.states.push(match value {
                "firing" => AlertState::Firing,
                "resolved" => AlertState::Resolved,
                "retracted" => AlertState::Retracted,
                _ => return Err(Invalid::value(name, value, &["firing", "resolved", "retracted"])),
            }),
            _ => return Err(Invalid::unknown(name, value, &Self::PARAMETERS)),
        }
        Ok(())
    }

    /// Leaves alerts whose view's key has this value in its slot; `slots` names the views that have one.
    pub fn only(&mut self, slots: Vec<ViewSlot>, value: Dim) {
        self.only = Some((slots, value));
    }

    /// Whether every alert matches.
    pub fn is_empty(&self) -> bool {
        *self == AlertFilter::default()
    }

    /// Whether an alert matches.
    pub fn alert(&self, alert: &AlertChange) -> bool {
        let any = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|w| w == value);
        any(&self.rules, &alert.rule)
            && any(&self.views, &alert.view)
            && (self.states.is_empty() || self.states.contains(&alert.state))
            && self.only.as_ref().is_none_or(|(slots, value)| {
                let slot = slots.iter().find(|(view, _)| **view == *alert.view);
                slot.is_some_and(|(_, slot)| alert.key.group.get(*slot) == Some(value))
            })
    }
}

/// The names a filter on a view may use.
pub fn view_parameters(spec: &ViewSpec) -> Vec<&'static str> {
    spec.group_by
        .iter()
        .map(|c| c.name())
        .chain(["since", "until"])
        .collect()
}

/// A time given as RFC 3339 or as epoch milliseconds.
pub fn parse_time(text: &str) -> Option<EventTime> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [GroupColumn; 2] = [GroupColumn::Thread, GroupColumn::Entity];

    #[test]
    fn values_of_one_column_are_alternatives_and_columns_add_up() {
        let mut filter = Filter::default();
        filter.column(&COLUMNS, "entity", Some("a")).expect("known");
        filter.column(&COLUMNS, "entity", Some("b")).expect("known");
        filter.column(&COLUMNS, "thread", Some("t")).expect("known");
        let group = |t: &str, e: &str| [Dim::of(t), Dim::of(e), Dim::NONE, Dim::NONE];
        assert!(filter.group(&group("t", "a")) && filter.group(&group("t", "b")));
        assert!(!filter.group(&group("t", "c")) && !filter.group(&group("u", "a")));
        let (low, high) = filter.group_range();
        assert_eq!((low[0], high[0]), (Dim::of("t"), Dim::of("t")));
        assert_eq!((low[1], high[1]), (Dim::NONE, Dim(u64::MAX)));
    }

    #[test]
    fn an_unknown_column_is_refused_with_those_there_are() {
        let error = Filter::default()
            .column(&COLUMNS, "author", Some("x"))
            .expect_err("unknown");
        assert_eq!(error.parameter, "author");
        assert_eq!(error.allowed, ["thread", "entity"]);
    }

    #[test]
    fn times_are_rfc_3339_or_epoch_milliseconds() {
        assert_eq!(parse_time("1500"), Some(1500));
        assert_eq!(parse_time("-1"), Some(-1));
        assert_eq!(parse_time("1970-01-01T00:00:01.500Z"), Some(1500));
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Some(0));
        for bad in ["", "-", "yesterday", "1970-01-01", "99999999999999999999", "1.5"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
