//! `serve.routes:` which views answer the routes of the first systems; every misfit is a mistake here, not at a request.

use super::optional;
use crate::config::field::Field;
use crate::config::pipeline::{FeedModel, FeedRoutes, RoutesConfig, SentimentRoutes, ThreadRoutes};
use crate::config::read::Section;
use crate::config::units::show_duration;
use crate::config::views::known_view;
use groundswell_core::spec::{GroupColumn, Measure, ViewSpec, WindowSpec};
use groundswell_core::time::{DAY, HOUR};

/// The views there are: all names, and what they are unless one of them is faulty.
#[derive(Clone, Copy)]
pub(in crate::config) struct Known<'a> {
    pub names: &'a [String],
    pub specs: Option<&'a [ViewSpec]>,
}

/// What a route needs of its view.
struct Needs<'a> {
    /// In words.
    window: &'a str,
    fits: &'a dyn Fn(&WindowSpec) -> bool,
    by: &'a [GroupColumn],
    /// Rows may have no other columns.
    only: bool,
    /// A post must be in one row of a window only.
    once: bool,
    shows: &'a [Measure],
}

/// Views for the routes.
pub(super) fn routes(section: &Section<'_>, known: Known<'_>) -> Option<RoutesConfig> {
    let sentiment = optional(section.given("sentiment"), |f| sentiment(&f.section()?, known));
    let threads = optional(section.given("threads"), |f| threads(&f.section()?, known));
    let events = section.get("events").and_then(|f| f.bool());
    let feeds = optional(section.given("feeds"), |f| feeds(&f.section()?));
    Some(RoutesConfig {
        sentiment: sentiment?,
        threads: threads?,
        events: events?,
        feeds: feeds?,
    })
}

fn feeds(section: &Section<'_>) -> Option<FeedRoutes> {
    let half_life = section.get("half_life").and_then(|f| f.duration());
    let real = |name| section.get(name).and_then(|f| f.number());
    let whole = |name| section.get(name).and_then(|f| f.integer());
    let (engagement_k, affinity_k) = (real("engagement_k"), real("affinity_k"));
    let model = section.get("model").and_then(|f| f.choice()).and_then(FeedModel::named);
    let (newest, engaged) = (whole("newest"), whole("engaged"));
    Some(FeedRoutes {
        half_life_ms: half_life?,
        engagement_k: engagement_k?,
        affinity_k: affinity_k?,
        model: model?,
        newest: newest?,
        engaged: engaged?,
    })
}

fn sentiment(section: &Section<'_>, known: Known<'_>) -> Option<SentimentRoutes> {
    let tumbling = |length: i64| move |window: &WindowSpec| *window == WindowSpec::Tumble { size: length };
    let needs = |window: &'static str, fits: &dyn Fn(&WindowSpec) -> bool, field: &Field<'_>| {
        let needs = Needs {
            window,
            fits,
            by: &[GroupColumn::Label],
            only: false,
            once: true,
            shows: &[Measure::Posts],
        };
        view(field, known, &needs)
    };
    let hour = optional(section.given("hour"), |f| needs("{tumble: 1h}", &tumbling(HOUR), &f));
    let day = optional(section.given("day"), |f| needs("{tumble: 1d}", &tumbling(DAY), &f));
    let distribution = optional(section.given("distribution"), |f| {
        let hours = |window: &WindowSpec| matches!(window, WindowSpec::Sliding { size, .. } if size % HOUR == 0);
        let items = f.list("a list of views")?;
        let read: Vec<Option<String>> = items
            .iter()
            .map(|item| needs("{sliding: …} of whole hours", &hours, item))
            .collect();
        let names: Vec<String> = read.into_iter().collect::<Option<_>>()?;
        different(&f, known, &names).then_some(names)
    });
    Some(SentimentRoutes {
        hour: hour?,
        day: day?,
        distribution: distribution?.unwrap_or_default(),
    })
}

/// Whether no two views answer for the same hours.
fn different(field: &Field<'_>, known: Known<'_>, names: &[String]) -> bool {
    let size = |name: &String| {
        known
            .specs
            .and_then(|s| s.iter().find(|s| s.name == *name))
            .map(|s| s.window.size())
    };
    for (i, name) in names.iter().enumerate() {
        let same = names[..i]
            .iter()
            .find(|other| size(other).is_some() && size(other) == size(name));
        if let (Some(other), Some(size)) = (same, size(name)) {
            field.error(
                format!("\"{other}\" and \"{name}\" both look back {}", show_duration(size)),
                None,
            );
            return false;
        }
    }
    true
}

fn threads(section: &Section<'_>, known: Known<'_>) -> Option<ThreadRoutes> {
    use GroupColumn::{Entity, Thread};
    let tumbling = |window: &WindowSpec| matches!(window, WindowSpec::Tumble { .. });
    let read = |field: &Field<'_>, needs: Needs<'_>| view(field, known, &needs);
    let list = section.required("list").and_then(|f| {
        let needs = Needs {
            window: "{tumble: …}",
            fits: &tumbling,
            by: &[Thread],
            only: false,
            once: true,
            shows: &[Measure::Posts],
        };
        read(&f, needs)
    });
    let cast = optional(section.given("cast"), |f| {
        let needs = Needs {
            window: "any window",
            fits: &|_| true,
            by: &[Thread, Entity],
            only: false,
            once: false,
            shows: &[],
        };
        read(&f, needs)
    });
    let timeline = optional(section.given("timeline"), |f| {
        let needs = Needs {
            window: "{tumble: …}",
            fits: &tumbling,
            by: &[Thread, Entity],
            only: true,
            once: false,
            shows: &[Measure::Sentiment],
        };
        read(&f, needs)
    });
    Some(ThreadRoutes {
        list: list?,
        cast: cast?,
        timeline: timeline?,
    })
}

/// The name of a view that has what the route needs.
fn view(field: &Field<'_>, known: Known<'_>, needs: &Needs<'_>) -> Option<String> {
    let name = known_view(field, known.names)?;
    let Some(spec) = known
        .specs
        .and_then(|specs| specs.iter().find(|spec| spec.name == name))
    else {
        // Something is wrong with the views, which has been said.
        return Some(name);
    };
    let missing = needs.by.iter().find(|column| !spec.group_by.contains(column));
    let other = spec.group_by.iter().find(|column| !needs.by.contains(column));
    let hidden = needs.shows.iter().find(|measure| !spec.measures.contains(measure));
    let why = if !(needs.fits)(&spec.window) {
        format!("needs window: {}", needs.window)
    } else if let Some(column) = missing {
        format!("has to group by \"{}\"", column.name())
    } else if let Some(column) = other.filter(|_| needs.only) {
        format!("groups by \"{}\", for which there is no place", column.name())
    } else if let Some(many) = spec.group_by.iter().find(|column| needs.once && column.is_many()) {
        format!(
            "groups by \"{}\", which counts a post once for every mention",
            many.name()
        )
    } else if let Some(measure) = hidden {
        format!("has to show \"{}\"", measure.name())
    } else {
        return Some(name);
    };
    field.error(format!("the view \"{name}\" does not fit: for this it {why}"), None);
    None
}
