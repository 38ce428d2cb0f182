//! The same input, spread over workers and processes in every way, leads to the same.

use crate::history::History;
use crate::world::{Spread, World, whole_alerts};

const SPREADS: [Spread; 4] = [
    Spread {
        processes: 1,
        workers: 1,
    },
    Spread {
        processes: 1,
        workers: 2,
    },
    Spread {
        processes: 2,
        workers: 1,
    },
    Spread {
        processes: 2,
        workers: 2,
    },
];

#[test]
fn views_alerts_and_dead_letters_do_not_depend_on_how_work_is_spread() {
    let history = History {
        seed: 11,
        posts: 4_000,
        step: 1_000,
        revised: true,
    };
    let mut first = None;
    let three = Spread {
        processes: 3,
        workers: 1,
    };
    for spread in SPREADS.into_iter().chain([three]) {
        let world = World::new(history, spread, "tick: 20ms", "full");
        world.run();
        let tables = world.tables();
        println!(
            "{spread:?}: {:?} rows, {} alerts, {} dead letters",
            tables.views.values().map(|rows| rows.len()).collect::<Vec<_>>(),
            tables.alerts.len(),
            tables.dead.len()
        );
        assert!(tables.views.values().all(|rows| !rows.is_empty()));
        assert!(tables.alerts.len() > 20 && tables.dead.len() > 100);
        match &first {
            None => first = Some(tables),
            Some(first) => tables.assert_equal(first, &format!("{spread:?}")),
        }
    }
}

/// In one tick there are no moments in between: evidence, values and counters are the same as well.
#[test]
fn evidence_and_counters_are_equal_where_everything_falls_into_one_tick() {
    let history = History {
        seed: 5,
        posts: 400,
        step: 2_000,
        revised: false,
    };
    let mut first = None;
    for spread in SPREADS {
        let world = World::new(history, spread, "tick: 2s, strict: true", "full");
        let out = world.run();
        let alerts = whole_alerts(&world);
        let counters: Vec<String> = out
            .lines()
            .filter(|l| l.contains("records read"))
            .map(str::to_owned)
            .collect();
        assert!(alerts.len() > 10, "{alerts:?}");
        assert!(
            counters.iter().any(|line| !line.contains(" 0 duplicate")),
            "some posts came twice: {counters:?}"
        );
        println!("{spread:?}: {} transitions; {counters:?}", alerts.len());
        match &first {
            None => first = Some((alerts, counters)),
            Some(first) => assert_eq!(&(alerts, counters), first, "{spread:?}"),
        }
    }
}
