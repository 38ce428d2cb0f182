//! Whether the earlier windows that a rule looks at can be there: whole steps before, and kept long enough.

use super::super::read::Section;
use super::super::units::show_duration;
use groundswell_core::spec::{RuleSpec, ViewSpec, WindowSpec};
use groundswell_core::time::WEEK;

/// Refuses a rule that looks back to windows which are never there.
pub(super) fn check(rule: &RuleSpec, section: &Section<'_>, specs: &[ViewSpec]) {
    let Some(view) = specs.iter().find(|spec| spec.name == rule.view) else {
        return;
    };
    if !rule.looks_back() || !view.window.is_regular() {
        return;
    }
    let conditions = [("when", Some(&rule.when)), ("clear", rule.clear.as_ref())];
    for (key, condition) in conditions {
        let (Some(looks), Some(field)) = (condition.map(|c| c.looks()), section.given(key)) else {
            continue;
        };
        let (step, size) = (view.window.step(), view.window.size());
        let mut back = Vec::new();
        looks.distances(size, rule.baseline, &mut back);
        let longest = back.iter().copied().max().unwrap_or(0);
        if looks.baseline && matches!(view.window, WindowSpec::Sliding { .. }) {
            let message = format!(
                "a baseline needs windows of past weeks, and \"{}\" is a sliding view, which has none",
                view.name
            );
            field.error(message, Some("watch a view with `tumble` or `hop`".to_owned()));
        } else if looks.baseline && WEEK % step != 0 {
            let message = format!(
                "windows of \"{}\" begin every {}, which does not divide a week: none begins at the same moment of it",
                view.name,
                show_duration(step)
            );
            field.error(message, None);
        } else if let Some(distance) = back.iter().find(|distance| *distance % step != 0) {
            let message = format!(
                "no window of \"{}\" begins {} before another: they begin every {}",
                view.name,
                show_duration(*distance),
                show_duration(step)
            );
            let hint = format!("use `{}`", show_duration((distance / step).max(1) * step));
            field.error(message, Some(hint));
        } else if !matches!(view.window, WindowSpec::Sliding { .. })
            && view.keep.is_some_and(|keep| keep < longest.saturating_add(size))
        {
            // The hidden windows of a sliding view are kept for as long as its rules look back.
            let needed = longest.saturating_add(size);
            let message = format!(
                "the rule looks back {}, and \"{}\" keeps its windows for {}",
                show_duration(longest),
                view.name,
                show_duration(view.keep.unwrap_or_default())
            );
            let hint = format!("use `keep: {}` or more in views.{}", show_duration(needed), view.name);
            field.error(message, Some(hint));
        }
    }
}
