//! Tests of what the operators of a worker see of the posts they share.

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn row(n: u64) -> Row {
    Row {
        text: TextKey::of(&n.to_le_bytes()),
        parent: PostKey::NONE,
        thread: Dim(n),
        author: Dim::NONE,
        source: Dim::NONE,
        created_at: 1,
        given: n.is_multiple_of(2).then(Score::default),
    }
}

#[test]
fn a_row_is_as_large_as_the_performance_page_says() {
    assert_eq!(size_of::<(PostKey, Post)>(), 184);
}

/// What dedupe does with a post at a tick.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    Put(u64),
    Delete,
    Forget,
    ForgetAndPut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Nothing),
        4 => (0u64..5).prop_map(Step::Put),
        2 => Just(Step::Delete),
        1 => Just(Step::Forget),
        1 => (0u64..5).prop_map(Step::ForgetAndPut),
    ]
}

fn put(held: &mut Held, key: PostKey, tick: Tick, new: Option<Row>) {
    let mut slot = held.slot(key);
    let was = slot.post.row().map(|(row, _)| row);
    slot.post.put(new.map(|row| (row, UNSEEN)), &mut slot.beside);
    slot.post.rank_as((tick.cast_signed(), 1, 0));
    if was != new {
        slot.turned(tick, was, new.is_some());
    }
}

proptest! {
    #[test]
    fn every_tick_sees_what_stood_at_it_however_far_dedupe_is_ahead(
        steps in prop::collection::vec((step(), step()), 1..40),
        ahead in 0usize..4,
    ) {
        let keys = [PostKey(1), PostKey(2)];
        let (mut held, mut stood) = (Held::default(), vec![[None; 2]]);
        let check = |held: &mut Held, stood: &[[Option<Row>; 2]], tick: usize| -> Result<(), TestCaseError> {
            for (i, key) in keys.into_iter().enumerate() {
                let slot = held.slot(key);
                let at = Tick::try_from(tick).unwrap();
                prop_assert_eq!(slot.undo.row(key, slot.post, at), stood[tick][i]);
                prop_assert_eq!(slot.undo.row_before(key, slot.post, at), stood[tick - 1][i]);
                held.release(key, at);
            }
            held.passed(Tick::try_from(tick).unwrap());
            Ok(())
        };
        for (n, both) in steps.iter().enumerate() {
            let tick = Tick::try_from(n + 1).unwrap();
            let mut now = stood[n];
            for ((key, step), stands) in keys.into_iter().zip([both.0, both.1]).zip(&mut now) {
                if matches!(step, Step::Forget | Step::ForgetAndPut(_)) {
                    held.forget(key, tick, *stands);
                    *stands = None;
                }
                match step {
                    Step::Put(n) | Step::ForgetAndPut(n) => *stands = Some(row(n)),
                    Step::Delete => *stands = None,
                    Step::Nothing | Step::Forget => continue,
                }
                put(&mut held, key, tick, *stands);
            }
            stood.push(now);
            if n >= ahead {
                check(&mut held, &stood, n + 1 - ahead)?;
            }
        }
        for tick in (steps.len() + 1).saturating_sub(ahead).max(1)..=steps.len() {
            check(&mut held, &stood, tick)?;
        }
        prop_assert!(held.undo.0.is_empty());
        let known = held.posts.iter().filter(|(_, post)| post.is_known()).count();
        prop_assert_eq!(held.posts.len(), known, "nothing is left of what was forgotten");
    }
}

#[test]
fn an_answer_outlasts_a_sentiment_that_comes_with_the_row_and_goes() {
    let (mut held, key, answer) = (
        Held::default(),
        PostKey(1),
        Score {
            toxic: 7,
            ..Score::default()
        },
    );
    let mut slot = held.slot(key);
    slot.post.set_answer(Some(answer), &mut slot.beside);
    for n in [0, 1, 2] {
        slot.post.put(Some((row(n), UNSEEN)), &mut slot.beside);
        assert_eq!(slot.post.row().unwrap().0, row(n));
        assert_eq!(slot.post.answer(&slot.beside), Some(answer));
    }
    slot.post.set_answer(None, &mut slot.beside);
    assert_eq!(
        (slot.post.row().unwrap().0, slot.post.answer(&slot.beside)),
        (row(2), None)
    );
    slot.post.put(None, &mut slot.beside);
    assert!(slot.post.is_empty() && held.answers.is_empty());
}
