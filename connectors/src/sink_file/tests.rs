use super::*;
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::Dim;
use groundswell_core::keywords::EventChange;
use groundswell_core::record::DeadLetter;
use groundswell_core::score::Label;
use groundswell_core::serving::{AlertChange, AlertState, Cause, DeadChange, RowChange};
use groundswell_core::spec::{GroupColumn, Measure, ViewKey, WindowSpec};
use tempfile::tempdir;

fn view() -> ViewSpec {
    ViewSpec {
        name: "cast".into(),
        group_by: vec![GroupColumn::Entity],
        window: WindowSpec::Tumble { size: 60_000 },
        measures: vec![Measure::Posts],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    }
}

fn names() -> Arc<Names> {
    let names = Names::default();
    names.intern("lebron").expect("no collision");
    Arc::new(names)
}

fn changes(tick: Tick) -> TickChanges {
    let key = ViewKey {
        group: [Dim::of("lebron"), Dim::NONE, Dim::NONE, Dim::NONE],
        start: 60_000,
    };
    let acc = (!tick.is_multiple_of(3)).then(|| Acc::scored(UNIT, 0, Label::Neutral, false, false));
    let alert = AlertChange {
        id: u128::from(tick),
        rule: "backlash".into(),
        state: AlertState::Firing,
        cause: Cause::Data,
        view: "cast".into(),
        key,
        window_end: 120_000,
        resolved: None,
        value: None,
        threshold: None,
        authors: 0,
        sums: Default::default(),
        muted: false,
        posts: 1,
        at: tick,
        evidence: Vec::new(),
    };
    let letter = DeadLetter {
        code: "invalid_json".into(),
        payload: vec![0xff, b'\n'],
        ..DeadLetter::default()
    };
    let dead = DeadChange {
        source: "posts".into(),
        partition: 0,
        offset: tick,
        letter,
    };
    let event = EventChange {
        id: u128::from(tick),
        event: (!tick.is_multiple_of(2)).then(|| Arc::new(crate::hub::testing::event(1))),
        was_news: true,
    };
    let count = usize::try_from(tick % 3).expect("small");
    TickChanges {
        tick,
        views: vec![Vec::new(), vec![RowChange::new(key, acc); count.max(1)]],
        alerts: vec![alert; count],
        dead: vec![dead; count],
        events: vec![event; count],
        ..TickChanges::default()
    }
}

fn sinks(folder: &Path) -> Vec<Box<dyn Sink>> {
    let post_ids: PostIds = Arc::new(|_| None);
    vec![
        Box::new(
            DeadLetterFile::open("dead", &folder.join("dead.jsonl"), Some("s1"), Origin::default()).expect("opened"),
        ),
        Box::new(
            AlertFile::open(
                "alerts",
                &folder.join("alerts.jsonl"),
                Some("s1"),
                [view()].into(),
                names(),
                post_ids,
            )
            .expect("opened"),
        ),
        Box::new(
            ViewFile::open(
                "rows",
                &folder.join("rows.jsonl"),
                Some("s1"),
                (1, view()),
                names(),
                Arc::new(|_| None),
            )
            .expect("opened"),
        ),
        Box::new(EventFile::open("events", &folder.join("events.jsonl"), Some("s1")).expect("opened")),
    ]
}

#[test]
fn sinks_go_on_where_they_stopped() {
    let (once, twice) = (tempdir().expect("folder"), tempdir().expect("folder"));
    for sink in &mut sinks(once.path()) {
        (1..=8).for_each(|tick| sink.apply(&changes(tick)).expect("applied"));
    }
    for last in [3, 5, 8] {
        for sink in &mut sinks(twice.path()) {
            let next = sink.upper().map_or(1, |upper| upper + 1);
            (next..=last).for_each(|tick| sink.apply(&changes(tick)).expect("applied"));
            assert_eq!(sink.upper(), Some(last));
        }
    }
    let files = [
        ("dead.jsonl", 9),
        ("alerts.jsonl", 9),
        ("rows.jsonl", 11),
        ("events.jsonl", 9),
    ];
    for (file, rows) in files {
        let text = std::fs::read_to_string(once.path().join(file)).expect("read");
        assert_eq!(text, std::fs::read_to_string(twice.path().join(file)).expect("read"));
        let data = text.lines().filter(|l| !l.starts_with("{\"progress\":")).count();
        assert_eq!((data, text.lines().count()), (rows, rows + 9), "{file}");
    }
}

#[test]
fn what_cannot_be_named_is_an_error_and_writes_nothing() {
    let folder = tempdir().expect("folder");
    let mut sinks = sinks(folder.path());
    let mut nameless = changes(1);
    nameless.views[1][0].key.group[0] = Dim::of("nobody");
    nameless.alerts[0].view = "gone".into();
    let messages: Vec<_> = sinks.iter_mut().map(|sink| sink.apply(&nameless)).collect();
    assert!(messages[0].is_ok());
    assert!(messages[1].as_ref().is_err_and(|m| m.contains("view \"gone\"")));
    assert!(
        messages[2]
            .as_ref()
            .is_err_and(|m| m.contains("no name is known for the entity"))
    );
    assert_eq!(sinks[2].upper(), None);
    sinks[2].apply(&changes(1)).expect("the next try is whole");
    assert_eq!(
        sinks.iter().map(|s| s.name().to_owned()).collect::<Vec<_>>(),
        ["dead", "alerts", "rows", "events"]
    );
}
