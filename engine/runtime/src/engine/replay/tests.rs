use super::*;
use groundswell_core::id::PostKey;
use groundswell_core::record::DeadLetter;

fn dead(offset: u64, replays: u32) -> Envelope {
    Envelope {
        source: 1,
        partition: 2,
        offset,
        order: offset,
        record: Record::Dead(DeadLetter {
            replays,
            ..DeadLetter::default()
        }),
    }
}

#[test]
fn the_ledger_knows_the_latest_attempt_of_what_was_replayed() {
    let ledger = Ledger::default();
    for envelope in [dead(7, 0), dead(8, 2), dead(8, 1), dead(9, 4)] {
        ledger.note(&envelope);
    }
    let shared = ledger.clone();
    let known = |offset| shared.replays((1, 2, offset));
    assert_eq!([known(7), known(8), known(9), known(10)], [0, 2, 4, 0]);
    assert_eq!(
        ledger.0.lock().len(),
        2,
        "letters that were never replayed take no room"
    );
    assert_eq!(shared.replays((1, 3, 8)), 0);
}

#[test]
fn repeats_are_taken_as_often_as_there_were() {
    let stale = |rank, votes| Stale {
        post: PostKey(1),
        rank: (0, rank, 0, 0),
        votes,
    };
    let mut repeats = Repeats::new(vec![stale(1, false), stale(1, false), stale(2, true)]);
    let taken = [
        stale(1, false),
        stale(2, false),
        stale(1, false),
        stale(1, false),
        stale(2, true),
    ];
    let taken = taken.map(|one| repeats.take(one));
    assert_eq!(taken, [true, false, true, false, true]);
}
