//! Which sliding views rules may watch: each is kept as overlapping windows besides, one a step.

use super::super::field::Field;
use super::super::pipeline::{Collection, SourceConfig};
use super::super::read::Section;
use super::super::units::show_duration;
use groundswell_core::spec::{RuleSpec, ViewSpec, WindowSpec};

/// Most windows that a post is in because a rule watches, or may come to watch, a sliding view. Twenty-four hours in steps of a
/// minute (1,440) took 10.8 GB where the view itself took some hundred MB.
pub(in super::super) const MOST_WATCHED: i64 = 300;

/// Refuses sliding views that are watched in too many windows.
pub(in super::super) fn watchable(
    root: &Section<'_>,
    views: Option<&[ViewSpec]>,
    rules: Option<&[RuleSpec]>,
    sources: Option<&[SourceConfig]>,
) {
    let of_rules = sources
        .unwrap_or_default()
        .iter()
        .find(|source| source.collection() == Some(Collection::Rules));
    for view in views.unwrap_or_default() {
        let WindowSpec::Sliding { size, every } = view.window else {
            continue;
        };
        let windows = size / every;
        if windows <= MOST_WATCHED || view.extras.unwatched {
            continue;
        }
        let rule = rules.unwrap_or_default().iter().find(|rule| rule.view == view.name);
        let why = match (rule, of_rules) {
            (Some(rule), _) => format!("the rule \"{}\" watches it", rule.id),
            (None, Some(source)) => format!("rules of the source \"{}\" may come to watch it", source.name),
            (None, None) => continue,
        };
        let coarser = show_duration(coarser(size));
        let hint = match rule {
            Some(_) => format!("use `every: {coarser}` or coarser, or let the rule watch a shorter view"),
            None => format!(
                "say `watch: false` in views.{} if no rule is to watch it, or use `every: {coarser}` or coarser",
                view.name
            ),
        };
        let message = format!(
            "{why}, which puts each post into {windows} windows; {MOST_WATCHED} is the most for a sliding view that is watched"
        );
        match window_of(root, &view.name) {
            Some(field) => field.error(message, Some(hint)),
            None => root.error(format!("views.{}.window: {message}", view.name), Some(hint)),
        }
    }
}

/// Where a view's window stands.
fn window_of<'a>(root: &Section<'a>, name: &str) -> Option<Field<'a>> {
    let views = root.given("views")?.section()?.named();
    let (_, view) = views.into_iter().find(|(view, _)| **view == *name)?;
    view.section()?.given("window")
}

/// The finest step in whole seconds that divides the size and is coarse enough.
fn coarser(size: i64) -> i64 {
    let seconds = size / 1000;
    let least = (seconds + MOST_WATCHED - 1) / MOST_WATCHED;
    let step = (least.max(1)..=seconds.max(1)).find(|step| seconds % step == 0);
    step.unwrap_or(seconds) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_is_proposed_is_fine_enough_and_divides() {
        for (size, step) in [(86_400, 288), (3_600, 12), (300, 1), (301, 7), (1_009, 1_009)] {
            assert_eq!(coarser(size * 1000), step * 1000, "{size}");
            assert!(size / step <= MOST_WATCHED);
        }
    }
}
