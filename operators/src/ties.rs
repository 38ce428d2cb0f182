//! Ties: which likes, reposts, comments, views and follows stand, and which posts hang on which.
//!
//! *In*: ties as they were recorded, what records say they pass on, live rows, erasures, and the clock. *Out*: standing ties, and every
//! live post that replies to another or passes it on. *State*: per tie the record with the highest rank, undone ones included
//! (a stale redelivery must lose against them); per live post its parent, author and time; per post the one it passes on, by
//! the record with the highest rank. *Emits* at the tick of the change,
//! net. *A retraction* of a row takes what hangs with it; undoing a tie retracts it, and the erasure of an author takes all
//! ties of that user and with that user along, which come back when it is undone. A purge forgets them.
//!
//! A tie stands whether its post is there or not.
//!
//! With a *retention*, interactions older than that before the clock are forgotten, and so is what posts pass on; follows never.

use crate::bars::{Bar, Bars, Turned};
use crate::event::{Control, PostRow, TieEvent, clock_of};
use crate::expiry::Expiry;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, mix, per_tick};
use groundswell_core::erasure::Subject;
use groundswell_core::id::{DigestMap, Dim, PostKey};
use groundswell_core::record::Rank;
use groundswell_core::tie::{Child, TieKey, TieKind};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Input {
    Event(TieEvent),
    Row(PostKey, Brief),
}

/// What matters of a row here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Brief {
    parent: PostKey,
    author: Dim,
    created_at: EventTime,
}

impl Brief {
    fn of(row: &PostRow) -> Self {
        Brief {
            parent: row.parent,
            author: row.author,
            created_at: row.created_at,
        }
    }
}

impl Input {
    fn route(&self) -> u64 {
        match self {
            Input::Event(TieEvent::Tie { key, .. }) => mix(key.user.0, key.target.route() ^ key.kind as u64),
            Input::Event(TieEvent::PassedOn { post, .. }) | Input::Row(post, _) => post.route(),
        }
    }
}

/// What stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// A tie, and when it was made (epoch ms).
    Tie(TieKey, EventTime),
    /// A post that hangs on another.
    Child(Child),
}

/// See the module documentation; `retention` in ms.
pub fn ties<'s>(
    events: VecCollection<'s, Tick, TieEvent>,
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
    retention: Option<i64>,
) -> VecCollection<'s, Tick, Standing> {
    let mut table = Table {
        expiry: retention.map(Expiry::new),
        ..Table::default()
    };
    per_tick(
        events
            .map(Input::Event)
            .concat(rows.map(|(key, row)| Input::Row(key, Brief::of(&row)))),
        control.filter(move |c| match c {
            Control::Clock(_) => retention.is_some(),
            other => matches!(other, Control::Erasure { .. } | Control::Purged(_)),
        }),
        "Ties",
        Input::route,
        move |Complete { rows, side, .. }, out| {
            let clock = clock_of(side);
            let mut before = table.learn(side.drain(..).map(|(control, _)| control));
            // Of a post's rows the one that goes comes before the one that stays.
            rows.sort_unstable_by_key(|(_, diff)| *diff);
            for (input, diff) in rows.drain(..) {
                table.take(input, diff, &mut before);
            }
            if let Some(clock) = clock {
                table.forget(clock, &mut before);
            }
            table.differ(before, &mut |standing, diff| out.give(standing, diff));
        },
    )
}

/// A tie's best record: its rank, when it was made, whether it stands.
type Best = (Rank, EventTime, bool);

/// What is known of a post with regard to others.
#[derive(Clone, Copy, Default)]
struct Post {
    row: Option<Brief>,
    /// By a record of this rank, and dated so, it passes this post on, or none.
    passes_on: Option<(Rank, EventTime, PostKey)>,
}

impl Post {
    /// The posts it hangs on: at most two.
    fn children(&self, post: PostKey) -> impl Iterator<Item = Child> {
        let row = self.row;
        let parent = row.map(|row| row.parent).filter(|parent| *parent != PostKey::NONE);
        let original = self.passes_on.map(|(.., original)| original);
        let original = original.filter(|original| *original != PostKey::NONE);
        let child = move |on: PostKey, repost| {
            row.map(|row| Child {
                post,
                on,
                repost,
                author: row.author,
                created_at: row.created_at,
            })
        };
        let replies = parent.and_then(|on| child(on, false));
        let passes = original.and_then(|on| child(on, true));
        replies.into_iter().chain(passes)
    }
}

#[derive(Clone, Copy)]
enum Due {
    Tie(TieKey),
    Post(PostKey),
}

/// What stood before the tick, of what the tick is about.
#[derive(Default)]
struct Before {
    ties: HashMap<TieKey, Option<EventTime>>,
    posts: DigestMap<PostKey, Post>,
    turned: Turned,
}

#[derive(Default)]
struct Table {
    ties: HashMap<TieKey, Best>,
    /// Live ones, and those of which there was a record.
    posts: DigestMap<PostKey, Post>,
    /// Users that are erased.
    bars: Bars,
    expiry: Option<Expiry<Due>>,
}

fn standing(best: Option<&Best>) -> Option<EventTime> {
    best.filter(|(.., stands)| *stands).map(|(_, at, _)| *at)
}

/// What may keep a tie out.
fn bars(key: &TieKey) -> impl Iterator<Item = Bar> {
    let users = [Some(key.user), key.followed()];
    users
        .into_iter()
        .flatten()
        .map(|user| Bar::Erased(Subject::Author(user)))
}

impl Table {
    /// Learns from erasures; what stood before, of the ties that they are about.
    fn learn(&mut self, control: impl Iterator<Item = Control>) -> Before {
        let turned = self.bars.learn(control);
        let mut before = Before::default();
        if !turned.is_empty() {
            // Rare and linear in what this worker holds.
            let about = self.ties.keys().filter(|key| turned.concerns(bars(key)));
            before.ties = about.map(|key| (*key, self.stood(key, &turned))).collect();
            before.turned = turned;
        }
        before
    }

    /// Since when a tie stood before the tick.
    fn stood(&self, key: &TieKey, turned: &Turned) -> Option<EventTime> {
        standing(self.ties.get(key)).filter(|_| !self.bars.any_before(bars(key), turned))
    }

    fn take(&mut self, input: Input, diff: isize, before: &mut Before) {
        match input {
            Input::Event(TieEvent::Tie { key, rank, at, stands }) => {
                let Before { ties, turned, .. } = before;
                ties.entry(key).or_insert_with(|| self.stood(&key, turned));
                let new = (rank, at, stands);
                let known = self.ties.insert(key, new);
                if known.is_some_and(|known| known.0 >= rank) {
                    self.ties.extend(known.map(|known| (key, known)));
                } else if let Some(expiry) = self.expiry.as_mut().filter(|_| key.kind != TieKind::Follow) {
                    expiry.push(at, Due::Tie(key));
                }
            }
            Input::Event(TieEvent::PassedOn { post, rank, on, at }) => {
                let slot = self.slot(post, before);
                if slot.passes_on.is_none_or(|(known, ..)| known < rank) {
                    slot.passes_on = Some((rank, at, on));
                    self.expiry
                        .iter_mut()
                        .for_each(|expiry| expiry.push(at, Due::Post(post)));
                }
            }
            Input::Row(post, row) => self.slot(post, before).row = (diff > 0).then_some(row),
        }
    }

    fn slot(&mut self, post: PostKey, before: &mut Before) -> &mut Post {
        let slot = self.posts.entry(post).or_default();
        before.posts.entry(post).or_insert(*slot);
        slot
    }

    fn forget(&mut self, clock: EventTime, before: &mut Before) {
        let Some(expiry) = &mut self.expiry else { return };
        for due in expiry.advance(clock) {
            match due {
                // A later record of the tie may have dated it anew; then it comes up again.
                Due::Tie(key) => {
                    if self.ties.get(&key).is_some_and(|(_, at, _)| expiry.is_due(*at)) {
                        let Before { ties, turned, .. } = &mut *before;
                        let was = standing(self.ties.get(&key));
                        ties.entry(key)
                            .or_insert_with(|| was.filter(|_| !self.bars.any_before(bars(&key), turned)));
                        self.ties.remove(&key);
                    }
                }
                Due::Post(post) => {
                    let Some(slot) = self.posts.get_mut(&post) else {
                        continue;
                    };
                    if slot.passes_on.is_some_and(|(_, at, _)| expiry.is_due(at)) {
                        before.posts.entry(post).or_insert(*slot);
                        slot.passes_on = None;
                    }
                }
            }
        }
    }

    /// Emits the difference to what stood before, and forgets posts of which nothing is known any more.
    fn differ(&mut self, before: Before, give: &mut impl FnMut(Standing, isize)) {
        for (key, was) in before.ties {
            if before.turned.purges(bars(&key)) {
                self.ties.remove(&key);
            }
            let now = self.stood(&key, &Turned::default());
            if was != now {
                was.into_iter().for_each(|at| give(Standing::Tie(key, at), -1));
                now.into_iter().for_each(|at| give(Standing::Tie(key, at), 1));
            }
        }
        for (post, was) in before.posts {
            let now = self.posts.get(&post).copied().unwrap_or_default();
            let (was, new): (Vec<_>, Vec<_>) = (was.children(post).collect(), now.children(post).collect());
            let gone = was.iter().filter(|child| !new.contains(child));
            gone.for_each(|child| give(Standing::Child(*child), -1));
            let came = new.iter().filter(|child| !was.contains(child));
            came.for_each(|child| give(Standing::Child(*child), 1));
            if now.passes_on.is_none() && now.row.is_none() {
                self.posts.remove(&post);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(user: &str, order: i64, at: EventTime, stands: bool) -> Input {
        Input::Event(TieEvent::Tie {
            key: TieKey::with_post(Dim::of(user), TieKind::Like, PostKey(1)),
            rank: (0, order, 0, 0),
            at,
            stands,
        })
    }

    fn run(table: &mut Table, clock: EventTime, inputs: &[Input]) -> Vec<isize> {
        let (mut before, mut out) = (Before::default(), Vec::new());
        inputs.iter().for_each(|input| table.take(*input, 1, &mut before));
        table.forget(clock, &mut before);
        table.differ(before, &mut |_, diff| out.push(diff));
        out
    }

    #[test]
    fn interactions_are_forgotten_after_a_retention_and_follows_are_not() {
        let mut table = Table {
            expiry: Some(Expiry::new(1_000)),
            ..Table::default()
        };
        let follow = Input::Event(TieEvent::Tie {
            key: TieKey::follow(Dim::of("ann"), Dim::of("bob")),
            rank: (0, 1, 0, 0),
            at: 0,
            stands: true,
        });
        let said = [like("ann", 1, 5_000, true), like("bob", 2, 5_000, false), follow];
        assert_eq!(run(&mut table, 5_000, &said), [1, 1]);
        // Liked again, later.
        assert_eq!(run(&mut table, 5_500, &[like("ann", 9, 5_900, true)]), [-1, 1]);
        assert_eq!(
            run(&mut table, 6_400, &[]),
            [] as [isize; 0],
            "the undone one goes unseen"
        );
        assert_eq!(table.ties.len(), 2);
        assert_eq!(run(&mut table, 7_100, &[]), [-1]);
        assert_eq!(run(&mut table, 1 << 40, &[]), [] as [isize; 0]);
        assert_eq!(table.ties.len(), 1);
    }

    #[test]
    fn an_erased_user_likes_nothing_until_it_is_undone() {
        let mut table = Table::default();
        let erase = |order, stands| Control::Erasure {
            of: Subject::author("ann"),
            rank: (0, order, 0, 0),
            stands,
        };
        let mut run = |control: Vec<Control>, inputs: &[Input]| {
            let (mut before, mut out) = (table.learn(control.into_iter()), Vec::new());
            inputs.iter().for_each(|input| table.take(*input, 1, &mut before));
            table.differ(before, &mut |_, diff| out.push(diff));
            out
        };
        let follow = Input::Event(TieEvent::Tie {
            key: TieKey::follow(Dim::of("bob"), Dim::of("ann")),
            rank: (0, 1, 0, 0),
            at: 0,
            stands: true,
        });
        let said = [like("ann", 1, 1, true), like("bob", 1, 1, true), follow];
        assert_eq!(run(vec![], &said), [1, 1, 1]);
        assert_eq!(
            run(vec![erase(5, true)], &[]),
            [-1, -1],
            "what bob did with others stays"
        );
        assert_eq!(run(vec![], &[like("ann", 2, 7, true)]), [] as [isize; 0]);
        assert_eq!(run(vec![erase(4, false)], &[]), [] as [isize; 0], "an older word");
        assert_eq!(run(vec![erase(6, false)], &[like("ann", 3, 9, false)]), [1]);
    }

    #[test]
    fn a_stale_redelivery_loses_against_what_was_undone() {
        let mut table = Table::default();
        assert_eq!(run(&mut table, 0, &[like("ann", 7, 1, false)]), [] as [isize; 0]);
        assert_eq!(run(&mut table, 0, &[like("ann", 3, 1, true)]), [] as [isize; 0]);
        assert_eq!(
            run(&mut table, 0, &[like("ann", 8, 1, true), like("ann", 8, 1, true)]),
            [1]
        );
    }
}
