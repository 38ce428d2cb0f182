//! What is known of the models as of the last complete tick: which is live, what each has answered, how answers differ.
//!
//! In: a tick's tallies, whose diffs are numbers, and the live-model pointer it recorded; how many texts wait. Out: reports.
//! State: the sums, which are zero where nothing is counted and then forgotten. Shares, means and indices are divided out
//! when somebody asks, so nothing here depends on how the sums came to be.

use super::{Known, ModelReport, Role};
use groundswell_core::id::{Dim, ModelKey};
use groundswell_core::record::Past;
use groundswell_core::score::{Label, PPM};
use groundswell_operators::compare::{Count, Tally};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

const LABELS: [Label; 3] = [Label::Negative, Label::Neutral, Label::Positive];

/// See the module documentation.
#[derive(Default)]
pub(crate) struct Board {
    /// The configured models, the live one first.
    known: Vec<Known>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    live: Option<(ModelKey, Past)>,
    sums: HashMap<Tally, i64>,
    waiting: BTreeMap<ModelKey, usize>,
}

/// How a model's answers differ from the live one's, over the posts that have both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Over all posts.
    pub all: Compared,
    /// Posts by label (negative, neutral, positive): the live model's, and this one's.
    pub labels: [[u64; 3]; 2],
    /// Population stability index of the two distributions of labels: 0 where they are the same, and above 0.25 by custom a
    /// considerable drift.
    pub drift: f64,
    /// By entity, those with most posts first.
    pub entities: Vec<(Dim, Compared)>,
}

/// Two models over some posts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compared {
    /// Posts with answers of both.
    pub posts: u64,
    /// Share of them with the same label.
    pub agreement: f64,
    /// Mean sentiment by the live model, every post counting the same.
    pub live_sentiment: f64,
    /// Mean sentiment by the other.
    pub sentiment: f64,
}

impl Board {
    /// Of a pipeline with these models, the one it names as live first.
    pub(crate) fn new(known: Vec<Known>) -> Self {
        Board {
            known,
            now: Mutex::default(),
        }
    }

    /// The configured models, the live one first.
    pub(crate) fn known(&self) -> &[Known] {
        &self.known
    }

    /// Applies what a complete tick said.
    pub(crate) fn apply(&self, live: Option<(ModelKey, Past)>, tallies: Vec<(Tally, isize)>) {
        let mut now = self.now.lock();
        now.live = live.or(now.live.take());
        for (tally, n) in tallies {
            let sum = now.sums.entry(tally).or_default();
            *sum += i64::try_from(n).unwrap_or(0);
            if *sum == 0 {
                now.sums.remove(&tally);
            }
        }
    }

    /// How many texts wait for each model.
    pub(crate) fn set_waiting(&self, waiting: impl Iterator<Item = (ModelKey, usize)>) {
        self.now.lock().waiting = waiting.collect();
    }

    /// The live model.
    pub(crate) fn live(&self) -> Option<ModelKey> {
        self.now.lock().live.as_ref().map(|(live, _)| *live)
    }

    /// The model a rollback goes back to.
    pub(crate) fn before(&self) -> Option<ModelKey> {
        self.now
            .lock()
            .live
            .as_ref()
            .and_then(|(_, past)| past.before.last().copied())
    }

    /// Texts that the live model has answered and this one has not.
    pub(crate) fn behind(&self, model: ModelKey) -> u64 {
        self.now.lock().count(model, Count::Behind)
    }

    /// Texts of live posts.
    pub(crate) fn texts(&self) -> u64 {
        self.now.lock().texts()
    }

    /// Posts that are in no anchored window for want of their thread's times.
    pub(crate) fn adrift(&self) -> u64 {
        self.now.lock().count(ModelKey::NONE, Count::Adrift)
    }

    /// Texts that this model has not answered.
    pub(crate) fn unanswered(&self, model: ModelKey) -> u64 {
        let now = self.now.lock();
        now.texts().saturating_sub(now.count(model, Count::Answered))
    }

    /// All models: those known from the configuration, in their order, then those that only the record has.
    pub(crate) fn reports(&self) -> Vec<ModelReport> {
        let known = &self.known;
        let now = self.now.lock();
        let live = now.live.as_ref().map(|(live, _)| *live);
        let configured: BTreeSet<ModelKey> = known.iter().map(|known| known.key).collect();
        let answered = now.sums.keys().filter(|t| t.count == Count::Answered).map(|t| t.model);
        let recorded = answered.chain(live).filter(|key| !configured.contains(key));
        let retired: BTreeSet<ModelKey> = recorded.collect();
        let report = |key: ModelKey, name: Option<String>, share: u32, role: Role| {
            let is_live = live == Some(key);
            let comparison = now.comparison(key, false);
            ModelReport {
                name,
                key,
                role: if is_live { Role::Live } else { role },
                share: if is_live { PPM.unsigned_abs() } else { share },
                texts: now.texts(),
                answered: now.count(key, Count::Answered),
                behind: now.count(key, Count::Behind),
                waiting: now.waiting.get(&key).copied().unwrap_or(0),
                comparison: (comparison.all.posts > 0).then_some(comparison),
            }
        };
        let mut all: Vec<ModelReport> = known
            .iter()
            .enumerate()
            .map(|(place, known)| {
                let role = if place == 0 { Role::Standby } else { Role::Shadow };
                report(known.key, Some(known.name.clone()), known.share, role)
            })
            .collect();
        all.extend(retired.into_iter().map(|key| report(key, None, 0, Role::Retired)));
        all
    }

    /// Name, role, texts waiting and texts behind, of the configured models.
    pub(crate) fn loads(&self) -> Vec<(String, Role, usize, u64)> {
        let now = self.now.lock();
        let live = now.live.as_ref().map(|(live, _)| *live);
        let load = |(place, known): (usize, &Known)| {
            let role = match (live == Some(known.key), place) {
                (true, _) => Role::Live,
                (false, 0) => Role::Standby,
                (false, _) => Role::Shadow,
            };
            let waiting = now.waiting.get(&known.key).copied().unwrap_or(0);
            (known.name.clone(), role, waiting, now.count(known.key, Count::Behind))
        };
        self.known.iter().enumerate().map(load).collect()
    }

    /// The comparison with a model, entities included.
    pub(crate) fn comparison(&self, model: ModelKey) -> Comparison {
        self.now.lock().comparison(model, true)
    }
}

impl Now {
    fn sum(&self, model: ModelKey, entity: Dim, count: Count) -> i64 {
        self.sums.get(&Tally { model, entity, count }).copied().unwrap_or(0)
    }

    fn count(&self, model: ModelKey, count: Count) -> u64 {
        u64::try_from(self.sum(model, Dim::NONE, count)).unwrap_or(0)
    }

    fn texts(&self) -> u64 {
        self.count(ModelKey::NONE, Count::Texts)
    }

    fn comparison(&self, model: ModelKey, with_entities: bool) -> Comparison {
        let labels =
            [Count::Live as fn(Label) -> Count, Count::Other].map(|of| LABELS.map(|l| self.count(model, of(l))));
        let mut entities = Vec::new();
        if with_entities {
            let counted = self.sums.keys();
            let named = counted.filter(|t| t.model == model && t.entity != Dim::NONE && t.count == Count::Posts);
            entities.extend(named.map(|t| (t.entity, self.compared(model, t.entity))));
            entities.sort_unstable_by_key(|(entity, c): &(Dim, Compared)| (std::cmp::Reverse(c.posts), *entity));
        }
        Comparison {
            all: self.compared(model, Dim::NONE),
            labels,
            drift: stability(labels),
            entities,
        }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // counts of posts, and sums that are divided anyway
    fn compared(&self, model: ModelKey, entity: Dim) -> Compared {
        let posts = self.sum(model, entity, Count::Posts).max(0);
        if posts == 0 {
            return Compared::default();
        }
        let share = |count| self.sum(model, entity, count) as f64 / posts as f64;
        Compared {
            posts: posts as u64,
            agreement: share(Count::Agreeing),
            live_sentiment: share(Count::LiveSentiment) / f64::from(PPM),
            sentiment: share(Count::OtherSentiment) / f64::from(PPM),
        }
    }
}

/// Σ (q − p) · ln(q / p) over the labels. Half a post is added to each count, or an empty class would be infinitely far.
#[allow(clippy::cast_precision_loss)] // counts of posts
fn stability([live, other]: [[u64; 3]; 2]) -> f64 {
    let shares = |counts: [u64; 3]| {
        let total = counts.iter().sum::<u64>() as f64 + 1.5;
        counts.map(|n| (n as f64 + 0.5) / total)
    };
    let pairs = shares(live).into_iter().zip(shares(other));
    pairs.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ModelKey = ModelKey(1);
    const B: ModelKey = ModelKey(2);

    fn tally(model: ModelKey, entity: Dim, count: Count) -> Tally {
        Tally { model, entity, count }
    }

    #[test]
    fn sums_become_shares_and_means_when_they_are_read() {
        let board = Board::default();
        let (all, player) = (Dim::NONE, Dim(9));
        let said = |entity| {
            vec![
                (tally(B, entity, Count::Posts), 4),
                (tally(B, entity, Count::Agreeing), 3),
                (tally(B, entity, Count::Live(Label::Positive)), 4),
                (tally(B, entity, Count::Other(Label::Positive)), 3),
                (tally(B, entity, Count::Other(Label::Negative)), 1),
                (tally(B, entity, Count::LiveSentiment), 2_000_000),
                (tally(B, entity, Count::OtherSentiment), -1_000_000),
            ]
        };
        board.apply(Some((A, Past::default())), said(all));
        board.apply(None, said(player));
        let c = board.comparison(B);
        assert_eq!((c.all.posts, c.all.agreement), (4, 0.75));
        assert_eq!((c.all.live_sentiment, c.all.sentiment), (0.5, -0.25));
        assert_eq!(c.labels, [[0, 0, 4], [1, 0, 3]]);
        assert!(c.drift > 0.0);
        assert_eq!(c.entities, [(player, c.all)]);
        board.apply(None, said(player).into_iter().map(|(t, n)| (t, -n)).collect());
        assert_eq!(board.comparison(B).entities, []);
        assert_eq!(board.now.lock().sums.len(), 7, "what is zero is forgotten");
    }

    #[test]
    fn the_index_is_zero_for_equal_shares_and_finite_for_empty_classes() {
        assert!(stability([[10, 20, 30], [10, 20, 30]]).abs() < 1e-12);
        assert!(stability([[0, 0, 0], [0, 0, 0]]).abs() < 1e-12);
        let far = stability([[100, 0, 0], [0, 0, 100]]);
        assert!(far.is_finite() && far > 5.0, "{far}");
        // (0.6 − 0.5)·ln(0.6/0.5) + (0.4 − 0.5)·ln(0.4/0.5), nearly.
        let near = stability([[50_000, 0, 50_000], [40_000, 0, 60_000]]);
        assert!((near - 0.0405).abs() < 1e-3, "{near}");
    }

    #[test]
    fn roles_follow_the_pointer() {
        let known = |name: &str, key, share| Known {
            name: name.into(),
            key,
            share,
        };
        let board = Board::new(vec![known("a", A, 0), known("b", B, 100_000)]);
        let roles =
            |board: &Board| -> Vec<_> { board.reports().into_iter().map(|m| (m.key, m.role, m.share)).collect() };
        board.apply(
            Some((A, Past::default())),
            vec![(tally(ModelKey(3), Dim::NONE, Count::Answered), 1)],
        );
        let retired = (ModelKey(3), Role::Retired, 0);
        assert_eq!(
            roles(&board),
            [(A, Role::Live, 1_000_000), (B, Role::Shadow, 100_000), retired]
        );
        let past = Past {
            before: vec![A],
            configured: Some(A),
        };
        board.apply(Some((B, past)), vec![]);
        assert_eq!(
            roles(&board),
            [(A, Role::Standby, 0), (B, Role::Live, 1_000_000), retired]
        );
        assert_eq!(board.before(), Some(A));
        let loads: Vec<_> = board.loads().into_iter().map(|(name, role, ..)| (name, role)).collect();
        assert_eq!(loads, [("a".into(), Role::Standby), ("b".into(), Role::Live)]);
    }
}
