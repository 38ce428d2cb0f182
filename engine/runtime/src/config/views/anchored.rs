//! `views.*.window.anchored`

use crate::config::field::Field;
use crate::config::units::{duration, show_duration};
use groundswell_core::spec::{Anchor, Edge, GroupColumn, LONGEST_NAME, MOST_PHASES, Phase, PhaseName, Phases};
use std::cmp::Ordering;

/// The phases of an anchored window.
pub(super) fn anchored(field: &Field<'_>) -> Option<Phases> {
    let section = field.section()?;
    let phases = section.required("phases").and_then(|f| phases(&f));
    let lasts = match section.given("lasts") {
        Some(lasts) => Some(lasts.duration()?),
        None => None,
    };
    let longest = section.get("longest")?.duration()?;
    Phases::new(&phases?, lasts, longest)
}

fn phases(field: &Field<'_>) -> Option<Vec<Phase>> {
    let named = field.section()?.named();
    if named.is_empty() || named.len() > MOST_PHASES {
        field.error(format!("give one to {MOST_PHASES} phases, not {}", named.len()), None);
        return None;
    }
    let read: Vec<Option<Phase>> = named.iter().map(|(name, field)| phase(name, field)).collect();
    read.into_iter().collect()
}

fn phase(name: &str, field: &Field<'_>) -> Option<Phase> {
    let section = field.section()?;
    let [from, to] = ["from", "to"].map(|key| section.required(key).and_then(|f| Some((edge(&f)?, f))));
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let known = PhaseName::new(name).filter(|_| plain);
    if known.is_none() {
        field.key_error(
            format!("a phase is named by 1 to {LONGEST_NAME} lower-case letters, digits or `_`"),
            None,
        );
    }
    let ((from, _), (to, at)) = (from?, to?);
    if from.anchor == to.anchor && from.offset >= to.offset {
        at.error(format!("{} is not after {}", show_edge(to), show_edge(from)), None);
        return None;
    }
    Some(Phase { name: known?, from, to })
}

/// `air_time`, `ends_at + 90m`.
fn edge(field: &Field<'_>) -> Option<Edge> {
    let text = field.text()?;
    let read = parse(&text);
    if read.is_none() {
        let hint = "write air_time or ends_at, and perhaps + or - and a duration, as in air_time - 24h".to_owned();
        field.error(format!("\"{text}\" is no time of a thread"), Some(hint));
    }
    read
}

fn parse(text: &str) -> Option<Edge> {
    let at = text.find(['+', '-']);
    let (word, rest) = text.split_at(at.unwrap_or(text.len()));
    let anchor = Anchor::ALL.into_iter().find(|a| a.name() == word.trim())?;
    let offset = match rest.split_at_checked(1) {
        None => 0,
        Some(("+", length)) => duration(length)?,
        Some((_, length)) => -duration(length)?,
    };
    Some(Edge { anchor, offset })
}

/// A bound as it is written.
pub(in crate::config) fn show_edge(edge: Edge) -> String {
    let (name, length) = (edge.anchor.name(), || show_duration(edge.offset.saturating_abs()));
    match edge.offset.cmp(&0) {
        Ordering::Equal => name.to_owned(),
        Ordering::Greater => format!("{name} + {}", length()),
        Ordering::Less => format!("{name} - {}", length()),
    }
}

/// The columns of an anchored view: those given and the phase. The end of the window has the last place of a group.
pub(super) fn columns(field: &Field<'_>, mut given: Vec<GroupColumn>) -> Option<Vec<GroupColumn>> {
    if !given.contains(&GroupColumn::Phase) {
        given.push(GroupColumn::Phase);
    }
    if !given.contains(&GroupColumn::Thread) {
        let hint = Some("add `thread`".to_owned());
        field.error("phases are those of a thread, and the view does not group by it", hint);
        return None;
    }
    if given.len() > 3 {
        field.error(
            "an anchored view groups by `thread`, `phase` and at most one column more",
            None,
        );
        return None;
    }
    Some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_written_alike() {
        for text in [
            "air_time",
            "ends_at",
            "air_time - 1d",
            "ends_at + 90m",
            "air_time + 500ms",
        ] {
            assert_eq!(parse(text).map(show_edge).as_deref(), Some(text));
        }
        assert_eq!(parse(" air_time-2h "), parse("air_time - 2h"));
        for text in [
            "",
            "air",
            "air_time 2h",
            "air_time + ",
            "air_time - -2h",
            "2h - air_time",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
