//! Folds with a retention.

use super::*;
use crate::id::TextKey;
use crate::record::Post;
use crate::score::Score;

fn written(offset: u64, id: &str, text: &str, created_at: i64) -> Envelope {
    let post = Post {
        id: id.into(),
        text: text.into(),
        created_at,
        ..Post::default()
    };
    envelope(offset, Record::Post(post))
}

fn answer(offset: u64, text: &str) -> Envelope {
    let (text, model) = (TextKey::of(text.as_bytes()), ModelKey::of(b"m"));
    let score = Score::given(offset.cast_signed() as i32);
    envelope(offset, Record::Score { text, model, score })
}

#[test]
fn old_posts_go_with_their_votes_and_answers_and_deletions_by_their_clock() {
    let folder = folder();
    let (mut store, _) = open(&folder);
    store.expire_after(Some(60_000));
    // The clock is at a thousand times the tick.
    let gone = |offset, id: &str| envelope(offset, Record::PostDeleted { id: id.into() });
    let first = vec![
        written(1, "old", "same", 9_000),
        written(2, "older", "only here", 8_000),
        written(3, "new", "same", 80_000),
        votes(4, "old", Some(1), 9_500),
        votes(5, "new", Some(2), 9_500),
        votes(6, "never came", Some(3), 9_500),
        votes(6, "may come", Some(3), 11_500),
        answer(7, "same"),
        answer(8, "only here"),
        gone(9, "deleted"),
    ];
    store.append(&batch(10, first)).expect("appended");
    store.fold_now().expect("folded");
    drop(store);
    assert_eq!(Contents::at(&folder).winners.len(), 10, "nothing is old yet");

    let (mut store, _) = open(&folder);
    store.expire_after(Some(60_000));
    store
        .append(&batch(69, vec![gone(10, "deleted later")]))
        .expect("appended");
    store.fold_now().expect("folded");
    store.append(&batch(71, vec![])).expect("appended");
    store.fold_now().expect("folded");
    drop(store);
    let left = Contents::at(&folder);
    let has = |identity: Identity| left.winners.contains_key(&identity);
    let post = |id: &str| Identity::Post(crate::id::PostKey::of(id.as_bytes()));
    let votes = |id: &str| Identity::Votes(crate::id::PostKey::of(id.as_bytes()));
    let score = |text: &str| Identity::Score(TextKey::of(text.as_bytes()), ModelKey::of(b"m"));
    assert!(has(post("new")) && has(votes("new")) && has(score("same")), "{left:?}");
    assert!(has(post("deleted later")), "its deletion came at 69");
    assert!(has(votes("may come")), "they were observed within the retention");
    assert_eq!(left.winners.len(), 5, "{left:?}");
}
