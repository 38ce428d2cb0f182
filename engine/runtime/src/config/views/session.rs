//! `views.*.window.session`

use crate::config::field::Field;
use crate::config::units::show_duration;
use groundswell_core::spec::{GroupColumn, Sessions};

/// Most columns of such a view: the end of the window has the last place of a group.
const MOST: usize = 3;

/// How sessions are cut.
pub(super) fn session(field: &Field<'_>) -> Option<Sessions> {
    let section = field.section()?;
    let gap = section.required("gap").and_then(|f| Some((f.duration()?, f)));
    let max = section.get("max").and_then(|f| f.duration());
    let ((gap, at), max) = (gap?, max?);
    if gap > max {
        let message = format!(
            "{} is longer than a session may be, {}",
            show_duration(gap),
            show_duration(max)
        );
        let hint = "give a shorter `gap` or a longer `max`".to_owned();
        at.error(message, Some(hint));
        return None;
    }
    Some(Sessions { gap, max })
}

/// The columns of a view of sessions.
pub(super) fn columns(field: &Field<'_>, given: Vec<GroupColumn>) -> Option<Vec<GroupColumn>> {
    if given.contains(&GroupColumn::Phase) {
        let hint = Some("give `window: {anchored: …}`, or leave `phase` out".to_owned());
        field.error("only anchored windows have phases", hint);
        return None;
    }
    if given.len() > MOST {
        let hint = Some("leave one out, or use `tumble`, `hop` or `sliding`".to_owned());
        field.error("a view of sessions groups by at most three columns", hint);
        return None;
    }
    Some(given)
}
