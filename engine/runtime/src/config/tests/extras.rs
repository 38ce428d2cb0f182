//! Numbers, columns by formula, gates, top posts, time zones; and sliding views that rules watch.

use super::{folder, parse_in};
use groundswell_core::spec::{CellKind, Part};

const HEAD: &str = "name: a\nsources: {g: {type: generator}}\n";

fn said(text: &str) -> String {
    match parse_in(folder().path(), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_view_has_what_it_says() {
    let text = format!(
        "{HEAD}numbers: {{posts: [likes, viewers], decimals: [ratio], authors: [followers]}}\nviews:\n  v:\n    group_by: [source, weekday, hour]\n    \
         window: {{tumble: 1d}}\n    measures: [posts, sentiment]\n    columns: {{likes: sum(likes), rate: \"100 * sum(likes) / sum(followers)\", \
         positive: \"share(positive, scored)\", peak: max(viewers)}}\n    top: {{k: 3, by: ratio}}\n    gates: {{min_posts: 5, min_authors: 2}}\n    \
         time_zone: europe/berlin\n    watch: false\n"
    );
    let pipeline = parse_in(folder().path(), &text).unwrap_or_else(|errors| panic!("{errors}"));
    let view = &pipeline.graph.views[0];
    let shown: Vec<(&str, CellKind)> = view.shows().map(|shown| (shown.name(), shown.kind())).collect();
    let real = CellKind::Real;
    assert_eq!(
        shown,
        [
            ("posts", CellKind::Whole(true)),
            ("sentiment", real),
            ("likes", CellKind::Whole(false)),
            ("rate", real),
            ("positive", real),
            ("positive_low", real),
            ("positive_high", real),
            ("peak", CellKind::Whole(false)),
            ("basis", CellKind::Word),
            ("top", CellKind::Posts),
        ]
    );
    let extras = &view.extras;
    let used: Vec<(&str, bool)> = extras
        .numbers
        .iter()
        .map(|u| (u.number.name.as_str(), u.bounds))
        .collect();
    assert_eq!(
        used,
        [
            ("likes", false),
            ("followers", false),
            ("viewers", true),
            ("ratio", false)
        ]
    );
    assert_eq!(
        (extras.zone.name(), extras.unwatched, extras.counts_authors()),
        ("Europe/Berlin", true, true)
    );
    assert_eq!(extras.columns[3].part, Part::Low);
    // Printed and read again it is the same.
    let printed = pipeline.effective_yaml();
    let again = parse_in(folder().path(), &printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    assert_eq!(again, pipeline, "{printed}");
}

#[test]
fn mistakes_are_named_where_they_are() {
    let view = |rest: &str| format!("{HEAD}views: {{v: {{group_by: [], window: {{tumble: 1m}}, {rest}}}}}\n");
    for (text, expected) in [
        (view("columns: {x: sum(likes)}"), "unknown number \"likes\"; known: votes (at character 5)"),
        (view("columns: {x: total}"), "unknown measure \"total\""),
        (view("columns: {posts: sum(votes)}"), "there is another column \"posts\""),
        (view("columns: {updated_at: posts}"), "there is another column \"updated_at\""),
        (view("columns: {a_low: posts, a: \"share(positive, scored)\"}"), "there is another column \"a_low\""),
        (view("columns: {X: posts}"), "\"X\" is not a name"),
        (view("top: {by: likes}"), "unknown number \"likes\"; known: votes"),
        (view("top: {k: 0, by: votes}"), "views.v.top.k"),
        (view("time_zone: Mars/Olympus"), "there is no time zone \"Mars/Olympus\""),
        (view("gates: {min_posts: -1}"), "views.v.gates.min_posts"),
        (format!("{HEAD}numbers: {{posts: [votes]}}\nviews: {{v: {{group_by: [], window: {{tumble: 1m}}}}}}\n"), "\"votes\" stands here twice, or is always there"),
        (format!("{HEAD}numbers: {{posts: [a, b, c, d, e, f, g, h, i]}}\nviews: {{v: {{group_by: [], window: {{tumble: 1m}}}}}}\n"), "at most 8 numbers"),
        (
            format!("{HEAD}views: {{v: {{group_by: [thread], window: {{anchored: {{phases: {{live: {{from: air_time, to: ends_at}}}}}}}}, columns: {{x: sum(votes)}}}}}}\n"),
            "numbers are not kept for anchored windows",
        ),
        (
            "name: a\nsources: {f: {type: file, path: posts.jsonl.gz, into: posts, map: {author: {field: x, with: [y]}}}}\nviews: {v: {group_by: [], window: {tumble: 1m}}}\n".to_owned(),
            "only `id` takes other fields with it, not `author`",
        ),
        (
            "name: a\nsources: {f: {type: file, path: votes.ndjson, into: votes, platform: x}}\nviews: {v: {group_by: [], window: {tumble: 1m}}}\n".to_owned(),
            "votes have no platform",
        ),
    ] {
        let said = said(&text);
        assert!(said.contains(expected), "{text}\n{said}");
    }
}

#[test]
fn sliding_views_that_are_watched_in_too_many_windows_are_refused() {
    let text = |view: &str, rest: &str| {
        format!(
            "name: a\nsources:\n  g: {{type: generator}}\n{rest}views:\n  day:\n    group_by: []\n    window: {{sliding: {{size: 24h, every: 1m}}}}\n{view}"
        )
    };
    let topic = "  r: {type: file, path: cast.yaml, into: rules}\n";
    assert!(parse_in(folder().path(), &text("", "")).is_ok(), "without rules");
    let refused = said(&text("", topic));
    assert!(
        refused.contains("pipeline.yaml:8:13: views.day.window: rules of the source \"r\" may come to watch it"),
        "{refused}"
    );
    assert!(refused.contains("1440 windows; 300 is the most"), "{refused}");
    assert!(
        refused.contains("say `watch: false` in views.day") && refused.contains("`every: 288s` or coarser"),
        "{refused}"
    );
    assert!(parse_in(folder().path(), &text("    watch: false\n", topic)).is_ok());
    let rules = "rules: {x: {view: day, when: posts > 1}}\n";
    let refused = said(&text(rules, ""));
    assert!(
        refused.contains("the rule \"x\" watches it") && refused.contains("a shorter view"),
        "{refused}"
    );
    let refused = said(&text(&format!("    watch: false\n{rules}"), ""));
    assert!(refused.contains("the view says that no rule watches it"), "{refused}");
    let coarser = text("", topic).replace("every: 1m", "every: 5m");
    assert!(parse_in(folder().path(), &coarser).is_ok(), "as the hint says");
}
