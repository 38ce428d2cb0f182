//! `views:` and `rules:`

mod anchored;
mod extras;
mod look_back;
mod session;
mod watch;

pub(super) use anchored::show_edge;
pub(super) use extras::{numbers, show as show_extras};
pub(super) use watch::watchable;

use super::error::{Pos, suggest};
use super::fallback::sarcasm;
use super::field::Field;
use super::read::Section;
use super::sources::checked_name;
use super::units::show_duration;
use groundswell_core::expr::{Baseline, Expr};
use groundswell_core::number::NumberSpec;
use groundswell_core::scoring::Sarcasm;
use groundswell_core::spec::{GroupColumn, Measure, RuleSpec, ViewSpec, WindowSpec};
use std::collections::BTreeMap;

/// Names that tables and sinks use themselves.
const RESERVED: [&str; 5] = ["alerts", "all", "dead_letters", "events", "rules"];

/// Most windows that one post is in.
const MAX_HOPS: i64 = 1000;

/// The views, and the policies of those that have their own.
type Views = (Vec<ViewSpec>, BTreeMap<String, Sarcasm>);

/// Reads the views; at least one.
pub(super) fn views(root: &Section<'_>, numbers: Option<&[NumberSpec]>) -> Option<Views> {
    let field = root.required("views")?;
    let all = field.section()?.named();
    if all.is_empty() {
        field.key_error("a pipeline needs at least one view", None);
    }
    let mut policies = BTreeMap::new();
    let read: Vec<Option<ViewSpec>> = all
        .iter()
        .map(|(name, field)| view(name, field, numbers, &mut policies))
        .collect();
    Some((read.into_iter().collect::<Option<_>>()?, policies))
}

/// The names under `views:`, those of faulty views too: a rule that names one is not at fault.
pub(super) fn view_names(root: &Section<'_>) -> Vec<String> {
    let named = root
        .given("views")
        .filter(Field::is_section)
        .and_then(|f| f.section())
        .map(|s| s.named());
    named
        .unwrap_or_default()
        .into_iter()
        .map(|(name, _)| name.to_string())
        .collect()
}

fn view(
    name: &str,
    field: &Field<'_>,
    numbers: Option<&[NumberSpec]>,
    policies: &mut BTreeMap<String, Sarcasm>,
) -> Option<ViewSpec> {
    let mut checked = checked_name(name, field);
    if RESERVED.contains(&name) {
        field.key_error(
            format!("\"{name}\" is kept for a table of the engine; choose another name"),
            None,
        );
        checked = None;
    }
    let section = field.section()?;
    let columns = section.required("group_by").and_then(|f| Some((f.choices()?, f)));
    let policy = section.given("sarcasm").map_or(Some(None), |f| sarcasm(&f).map(Some));
    let measures = section
        .given("measures")
        .map_or_else(|| Some(Measure::SUMS.to_vec()), |f| measures(&f));
    let window = section.required("window").and_then(|f| window(&f.section()?));
    let keep = section.get("keep").and_then(|f| {
        if f.is("forever") {
            Some(None)
        } else {
            keep(&f, window).map(Some)
        }
    });
    let group_by = columns
        .zip(window)
        .and_then(|((words, field), window)| group_by(&words, &field, &window));
    let extras = extras::extras(&section, measures.as_deref(), window.as_ref(), numbers);
    if let Some(policy) = policy? {
        policies.insert(name.to_owned(), policy);
    }
    Some(ViewSpec {
        name: checked?,
        group_by: group_by?,
        window: window?,
        measures: measures?,
        keep: keep?,
        extras: extras?,
    })
}

fn group_by(words: &[&str], field: &Field<'_>, window: &WindowSpec) -> Option<Vec<GroupColumn>> {
    let column = |word: &&str| GroupColumn::ALL.into_iter().find(|c| c.name() == *word);
    let columns: Vec<GroupColumn> = words.iter().filter_map(column).collect();
    if matches!(window, WindowSpec::Anchored(_)) {
        return anchored::columns(field, columns);
    }
    if matches!(window, WindowSpec::Session(_)) {
        return session::columns(field, columns);
    }
    if columns.contains(&GroupColumn::Phase) {
        let hint = Some("give `window: {anchored: …}`, or leave `phase` out".to_owned());
        field.error("only anchored windows have phases", hint);
        return None;
    }
    if columns.len() > 4 {
        field.error("a view groups by at most four columns", None);
        return None;
    }
    Some(columns)
}

fn measures(field: &Field<'_>) -> Option<Vec<Measure>> {
    let words = field.choices()?;
    if words.is_empty() {
        field.error("a view shows at least one measure", None);
        return None;
    }
    Some(
        words
            .iter()
            .filter_map(|w| Measure::ALL.into_iter().find(|m| m.name() == *w))
            .collect(),
    )
}

fn window(section: &Section<'_>) -> Option<WindowSpec> {
    if let Some(on) = section.get("on") {
        on.choice();
    }
    let kinds = ["tumble", "hop", "sliding", "anchored", "session"].map(|kind| section.given(kind));
    let given: Vec<&Field<'_>> = kinds.iter().flatten().collect();
    if given.len() > 1 {
        section.error(
            "a window is one of tumble, hop, sliding, anchored and session, not several",
            None,
        );
        return None;
    }
    match &kinds {
        [Some(tumble), ..] => Some(WindowSpec::Tumble {
            size: tumble.duration()?,
        }),
        [_, Some(hop), ..] => {
            let (size, every, field) = stepped(hop)?;
            if size / every > MAX_HOPS {
                let windows = size / every;
                field.error(
                    format!("puts each post into {windows} windows; {MAX_HOPS} is the most"),
                    None,
                );
                return None;
            }
            Some(WindowSpec::Hop { size, every })
        }
        [_, _, Some(sliding), ..] => stepped(sliding).map(|(size, every, _)| WindowSpec::Sliding { size, every }),
        [.., Some(phases), _] => anchored::anchored(phases).map(WindowSpec::Anchored),
        [.., Some(sessions)] => session::session(sessions).map(WindowSpec::Session),
        _ => {
            // A planned or misspelt kind has been reported by its key.
            if section.only_has(&["on"]) {
                section.error(
                    "missing the kind of window",
                    Some("one of tumble, hop, sliding, anchored, session".to_owned()),
                );
            }
            None
        }
    }
}

/// `{size, every}`, where `every` divides `size`; and the field of `every`.
fn stepped<'a>(field: &Field<'a>) -> Option<(i64, i64, Field<'a>)> {
    let section = field.section()?;
    let (size, step) = (
        section.required("size").and_then(|f| f.duration()),
        section.required("every"),
    );
    let every = step.as_ref().and_then(Field::duration);
    let (size, step, every) = (size?, step?, every?);
    if size % every != 0 {
        let message = format!(
            "{} does not divide the size {}",
            show_duration(every),
            show_duration(size)
        );
        step.error(message, None);
        return None;
    }
    Some((size, every, step))
}

fn keep(field: &Field<'_>, window: Option<WindowSpec>) -> Option<i64> {
    let keep = field.duration()?;
    if let Some(window) = window
        && keep < window.size()
    {
        let message = format!(
            "{} is shorter than a window, {}",
            show_duration(keep),
            show_duration(window.size())
        );
        field.error(message, None);
        return None;
    }
    Some(keep)
}

/// Reads the rules, given the names of the views, those of faulty ones too, and the views if none is faulty.
pub(super) fn rules(root: &Section<'_>, views: &[String], specs: Option<&[ViewSpec]>) -> Option<Vec<RuleSpec>> {
    let read: Vec<Option<RuleSpec>> = root
        .section("rules")?
        .named()
        .iter()
        .map(|(name, field)| rule(name, field, views, specs.unwrap_or_default()))
        .collect();
    read.into_iter().collect()
}

fn rule(name: &str, field: &Field<'_>, views: &[String], specs: &[ViewSpec]) -> Option<RuleSpec> {
    let id = checked_name(name, field);
    let section = field.section()?;
    let view = section.required("view").and_then(|f| Some((known_view(&f, views)?, f)));
    if let Some((view, field)) = &view
        && let Some(spec) = specs
            .iter()
            .find(|spec| spec.name == *view && !spec.window.is_regular())
    {
        let hint = Some("watch a view with `tumble`, `hop` or `sliding`".to_owned());
        let what = match spec.window {
            WindowSpec::Session(_) => "sessions",
            _ => "anchored",
        };
        field.error(
            format!("rules follow windows side by side, and this view's are {what}"),
            hint,
        );
    }
    if let Some((view, field)) = &view
        && specs.iter().any(|spec| spec.name == *view && spec.extras.unwatched)
    {
        let hint = Some(format!("leave out `views.{view}.watch`, or the rule"));
        field.error("the view says that no rule watches it", hint);
    }
    let when = section.required("when").and_then(|f| condition(&f));
    let clear = section.given("clear").map_or(Some(None), |f| condition(&f).map(Some));
    let least = |name: &str| i32::try_from(section.get(name)?.integer()?).ok();
    let (min_posts, min_authors, min_n_eff) = (least("min_posts"), least("min_authors"), least("min_n_eff"));
    let baseline = section
        .given("baseline")
        .map_or(Some(Baseline::default()), |f| baseline(&f));
    let for_ms = section.get("for").and_then(|f| f.duration());
    let cooldown_ms = section.get("cooldown").and_then(|f| f.duration());
    let rule = RuleSpec {
        id: id?,
        view: view?.0,
        when: when?,
        clear: clear?,
        min_posts: min_posts?,
        for_ms: for_ms?,
        cooldown_ms: cooldown_ms?,
        min_authors: min_authors?,
        min_n_eff: min_n_eff?,
        baseline: baseline?,
    };
    look_back::check(&rule, &section, specs);
    Some(rule)
}

fn baseline(field: &Field<'_>) -> Option<Baseline> {
    let section = field.section()?;
    let number = |name: &str| u8::try_from(section.get(name)?.integer()?).ok();
    let (weeks, min) = (number("weeks"), number("min"));
    let (weeks, min) = (weeks?, min?);
    if min > weeks {
        let message = format!("{min} windows cannot be there in {weeks} weeks: there is one in each");
        section
            .get("min")?
            .error(message, Some(format!("use `min: {weeks}` or less")));
        return None;
    }
    Some(Baseline { weeks, min })
}

/// The name of a view that exists.
pub(super) fn known_view(field: &Field<'_>, views: &[String]) -> Option<String> {
    let view = field.text()?;
    if !views.contains(&view) {
        field.unknown("view", &view, &views.iter().map(String::as_str).collect::<Vec<_>>());
        return None;
    }
    Some(view)
}

fn condition(field: &Field<'_>) -> Option<Expr> {
    let (text, start) = field.condition()?;
    match Expr::parse(&text) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let word: String = text
                .chars()
                .skip(error.at.saturating_sub(1))
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let hint = if error.message.starts_with("unknown measure") {
                suggest(&word, &Measure::SUMS.map(Measure::name))
            } else if error.message.starts_with("unknown function") {
                suggest(&word, &["previous", "baseline"])
            } else {
                None
            };
            let hint = hint.filter(|hint| hint.starts_with("did"));
            let pos = start.map(|p| Pos {
                line: p.line,
                column: p.column + error.at.saturating_sub(1),
            });
            field.error_at(pos, error.to_string(), hint);
            None
        }
    }
}
