//! What a view has beyond groups, windows and measures; and the numbers it is made of.

use super::super::error::{Pos, suggest};
use super::super::field::Field;
use super::super::read::Section;
use super::super::settings::is_name;
use groundswell_core::expr::Formula;
use groundswell_core::number::{MOST_OF_AUTHORS, MOST_OF_POSTS, NumberSpec, VOTES};
use groundswell_core::spec::{
    BASIS, Column, Extras, Gates, GroupColumn, Measure, REVISION, STATE, TOP, ViewSpec, WindowSpec, Zone,
};

/// Names of columns that every row has.
const TAKEN: [&str; 6] = ["window_start", "window_end", "updated_at", "at", BASIS, TOP];

/// Reads `numbers:`; the votes are always among them.
pub(in super::super) fn numbers(root: &Section<'_>) -> Option<Vec<NumberSpec>> {
    let Some(field) = root.given("numbers") else {
        return Some(NumberSpec::declare(&[], &[], &[]));
    };
    let section = field.section()?;
    let mut all: Vec<String> = vec![VOTES.to_owned()];
    let mut names = |key: &str| {
        let Some(field) = section.given(key) else {
            return Some(Vec::new());
        };
        let mut names = Vec::new();
        let mut good = true;
        for item in field.list("a list of names")? {
            let name = item.text()?;
            let problem = if !is_name(&name, false) {
                Some(format!(
                    "\"{name}\" is not a name: a lower-case letter, then letters, digits or \"_\""
                ))
            } else if all.contains(&name) {
                Some(format!("\"{name}\" stands here twice, or is always there"))
            } else {
                None
            };
            good &= problem.is_none();
            problem.into_iter().for_each(|problem| item.error(problem, None));
            all.push(name.clone());
            names.push(name);
        }
        good.then_some(names)
    };
    let (posts, decimals, authors) = (names("posts"), names("decimals"), names("authors"));
    let (posts, decimals, authors) = (posts?, decimals?, authors?);
    if posts.len() + decimals.len() > MOST_OF_POSTS {
        field.error(format!("posts have at most {MOST_OF_POSTS} numbers"), None);
        return None;
    }
    if authors.len() > MOST_OF_AUTHORS {
        field.error(format!("authors have at most {MOST_OF_AUTHORS} numbers"), None);
        return None;
    }
    Some(NumberSpec::declare(&posts, &decimals, &authors))
}

/// Reads them for a view with these measures; `declared` are the numbers there are, if they are right.
pub(super) fn extras(
    section: &Section<'_>,
    measures: Option<&[Measure]>,
    window: Option<&WindowSpec>,
    declared: Option<&[NumberSpec]>,
) -> Option<Extras> {
    let revisions = section.get("revisions").and_then(|f| revisions(&f, window));
    let columns = columns(section, measures.unwrap_or_default(), declared, revisions == Some(true));
    let top = section.given("top").map_or(Some(None), |f| top(&f, declared).map(Some));
    let gates = section.given("gates").map_or(Some(Gates::default()), |f| gates(&f));
    let zone = section.get("time_zone").and_then(|f| {
        let name = f.text()?;
        let zone = Zone::named(&name);
        if zone.is_none() {
            let hint = "a name such as Europe/Berlin or America/New_York, or UTC".to_owned();
            f.error(format!("there is no time zone \"{name}\""), Some(hint));
        }
        zone
    });
    let watch = section.get("watch").and_then(|f| f.bool());
    let extras = Extras {
        gates: gates?,
        zone: zone?,
        unwatched: !watch?,
        revisions: revisions?,
        ..Extras::new(columns?, top?, declared?)
    };
    if !extras.numbers.is_empty() && window.is_some_and(|window| !window.is_regular()) {
        let hint = "leave out `top` and columns with `sum(…)` and the like, or use another window".to_owned();
        let what = match window {
            Some(WindowSpec::Session(_)) => "sessions",
            _ => "anchored windows",
        };
        section.error(format!("numbers are not kept for {what}"), Some(hint));
        return None;
    }
    Some(extras)
}

/// Whether revisions are counted, which only windows have that come to an end.
fn revisions(field: &Field<'_>, window: Option<&WindowSpec>) -> Option<bool> {
    let asked = field.bool()?;
    if asked && matches!(window, Some(WindowSpec::Sliding { .. })) {
        let hint = "leave it out, or use another window".to_owned();
        field.error("a sliding window is never over: its rows have no state", Some(hint));
        return None;
    }
    Some(asked)
}

fn columns(
    section: &Section<'_>,
    measures: &[Measure],
    declared: Option<&[NumberSpec]>,
    revisions: bool,
) -> Option<Vec<Column>> {
    let Some(field) = section.given("columns") else {
        return Some(Vec::new());
    };
    let mut columns: Vec<Column> = Vec::new();
    let mut good = true;
    for (name, field) in field.section()?.named() {
        let formula = formula(&field, declared);
        if !is_name(&name, false) {
            let hint = "use a lower-case letter, then letters, digits or \"_\"; at most 63".to_owned();
            field.key_error(format!("\"{name}\" is not a name"), Some(hint));
            good = false;
        }
        let Some(formula) = formula else {
            good = false;
            continue;
        };
        for column in Column::of(&name, &formula) {
            let taken = TAKEN.contains(&&*column.name)
                || (revisions && [STATE, REVISION].contains(&&*column.name))
                || GroupColumn::ALL.iter().any(|c| c.name() == column.name)
                || measures.iter().any(|m| m.name() == column.name)
                || columns.iter().any(|c| c.name == column.name);
            if taken {
                field.key_error(format!("there is another column \"{}\"", column.name), None);
                good = false;
            }
            columns.push(column);
        }
    }
    good.then_some(columns)
}

fn formula(field: &Field<'_>, declared: Option<&[NumberSpec]>) -> Option<Formula> {
    let (text, start) = field.condition()?;
    let declared = declared?;
    match Formula::parse(&text, declared) {
        Ok(formula) => Some(formula),
        Err(error) => {
            let word = text.chars().skip(error.at.saturating_sub(1));
            let word: String = word.take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let mut known: Vec<&str> = declared.iter().map(|n| n.name.as_str()).collect();
            known.extend(Measure::ALL.map(Measure::name));
            let hint = (error.message.starts_with("unknown"))
                .then(|| suggest(&word, &known))
                .flatten()
                .filter(|hint| hint.starts_with("did"));
            let pos = start.map(|p| Pos {
                line: p.line,
                column: p.column + error.at.saturating_sub(1),
            });
            field.error_at(pos, error.to_string(), hint);
            None
        }
    }
}

fn top(field: &Field<'_>, declared: Option<&[NumberSpec]>) -> Option<(usize, NumberSpec)> {
    let section = field.section()?;
    let k = section.get("k").and_then(|f| f.integer());
    let by = section.required("by").and_then(|f| {
        let (name, declared) = (f.text()?, declared?);
        let found = declared.iter().find(|n| n.name == name).cloned();
        if found.is_none() {
            let known: Vec<&str> = declared.iter().map(|n| n.name.as_str()).collect();
            f.unknown("number", &name, &known);
        }
        found
    });
    Some((usize::try_from(k?).ok()?, by?))
}

fn gates(field: &Field<'_>) -> Option<Gates> {
    let section = field.section()?;
    let least = |name: &str| {
        let n = section.get(name)?.integer()?;
        i32::try_from(n).ok()
    };
    let (posts, authors, n_eff) = (least("min_posts"), least("min_authors"), least("min_n_eff"));
    Some(Gates {
        min_posts: posts?,
        min_authors: authors?,
        min_n_eff: n_eff?,
    })
}

/// Lines of the effective configuration: keys with their values.
pub(in super::super) fn show(view: &ViewSpec, text: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let (extras, mut lines) = (&view.extras, Vec::new());
    let formulas = extras
        .columns
        .iter()
        .filter(|c| c.part == groundswell_core::spec::Part::Value);
    let formulas: Vec<String> = formulas
        .map(|c| format!("{}: {}", c.name, text(c.formula.text())))
        .collect();
    if !formulas.is_empty() {
        lines.push(("columns", format!("{{{}}}", formulas.join(", "))));
    }
    if extras.gates.any() {
        let Gates {
            min_posts,
            min_authors,
            min_n_eff,
        } = extras.gates;
        let all = format!("{{min_posts: {min_posts}, min_authors: {min_authors}, min_n_eff: {min_n_eff}}}");
        lines.push(("gates", all));
    }
    if let Some(top) = &extras.top
        && let Some(used) = extras.numbers.get(top.by)
    {
        lines.push(("top", format!("{{k: {}, by: {}}}", top.k, used.number.name)));
    }
    if extras.zone != Zone::default() {
        lines.push(("time_zone", text(extras.zone.name())));
    }
    if extras.unwatched {
        lines.push(("watch", "false".to_owned()));
    }
    if extras.revisions {
        lines.push(("revisions", "true".to_owned()));
    }
    lines
}
