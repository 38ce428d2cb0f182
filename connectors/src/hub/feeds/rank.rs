//! The order of a feed: components that are kept, mixed when somebody asks.
//!
//! In: candidates with what is kept of them, and the time of reference. Out: the candidates in order. Holds no state. The same
//! candidates at the same time are in the same order wherever they are put into it: scores are compared as numbers, and of
//! equal ones the newer post comes first, then the greater digest.

use super::super::posts::PostPlace;
use groundswell_core::score::Score;
use groundswell_core::time::{EventTime, HOUR};

/// How much each part counts, in [`Parts`]' order.
pub const WEIGHTS: [f64; 4] = [0.4, 0.3, 0.2, 0.1];

/// In which order a feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Newest first.
    Chronological,
    /// Most likes + 2·comments + 3·reposts first.
    Engagement,
    /// By the mix of all parts.
    Ranked,
}

impl Algorithm {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Algorithm); 3] = [
        ("chronological", Algorithm::Chronological),
        ("engagement", Algorithm::Engagement),
        ("ranked", Algorithm::Ranked),
    ];
}

/// What the model's part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ModelPart {
    /// One minus the probability that it is toxic.
    #[default]
    Civility,
    /// (1 + sentiment) / 2.
    Sentiment,
}

/// How feeds are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedOptions {
    /// After so long (ms) a post is half as recent.
    pub half_life: i64,
    /// A post with so much engagement has half of what can be had.
    pub engagement_k: f64,
    /// A user with so many interactions with an author has half of what can be had.
    pub affinity_k: f64,
    /// What the model's part is.
    pub model: ModelPart,
    /// So many of the newest posts are candidates…
    pub newest: usize,
    /// …and so many of those with which most was done.
    pub engaged: usize,
    /// So many of the first stay in a feed.
    pub longest: usize,
}

impl Default for FeedOptions {
    fn default() -> Self {
        FeedOptions {
            half_life: 6 * HOUR,
            engagement_k: 10.0,
            affinity_k: 5.0,
            model: ModelPart::Civility,
            newest: 1_000,
            engaged: 200,
            longest: 500,
        }
    }
}

/// What is kept of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its place by time.
    pub place: PostPlace,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
    /// likes + 2·comments + 3·reposts.
    pub engagement: i64,
    /// The user's interactions with the author.
    pub bond: i64,
    /// The model's answer.
    pub score: Option<&'a Score>,
}

/// The parts of a score, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Parts {
    /// Half after every half-life.
    pub recency: f64,
    /// x / (x + K).
    pub engagement: f64,
    /// x / (x + K).
    pub affinity: f64,
    /// What the model says; a half as long as it says nothing.
    pub model: f64,
}

impl Parts {
    /// The parts of a candidate at a time.
    #[allow(clippy::cast_precision_loss)] // counts and times far below 2^53
    pub fn of(candidate: &Candidate<'_>, at: EventTime, options: &FeedOptions) -> Self {
        let share = |x: i64, k: f64| {
            let x = x.max(0) as f64;
            x / (x + k)
        };
        let age = at.saturating_sub(candidate.created_at).max(0) as f64;
        Parts {
            recency: (-age / options.half_life as f64).exp2(),
            engagement: share(candidate.engagement, options.engagement_k),
            affinity: share(candidate.bond, options.affinity_k),
            model: candidate.score.map_or(0.5, |score| match options.model {
                ModelPart::Civility => 1.0 - f64::from(score.toxic) / 1e6,
                ModelPart::Sentiment => (1.0 + f64::from(score.sentiment()) / 1e6) / 2.0,
            }),
        }
    }

    /// The mix.
    pub fn mixed(&self) -> f64 {
        let [recency, engagement, affinity, model] = WEIGHTS;
        recency * self.recency + engagement * self.engagement + affinity * self.affinity + model * self.model
    }
}

/// The candidates in order, with their parts.
pub fn ordered(
    candidates: &[Candidate<'_>],
    algorithm: Algorithm,
    at: EventTime,
    options: &FeedOptions,
) -> Vec<(PostPlace, Parts)> {
    let mut all: Vec<(f64, PostPlace, Parts)> = candidates
        .iter()
        .map(|candidate| {
            let parts = Parts::of(candidate, at, options);
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            let by = match algorithm {
                Algorithm::Chronological => 0.0,
                Algorithm::Engagement => candidate.engagement as f64,
                Algorithm::Ranked => parts.mixed(),
            };
            (by, candidate.place, parts)
        })
        .collect();
    all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    all.dedup_by_key(|(_, place, _)| place.1);
    all.into_iter().map(|(_, place, parts)| (place, parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::id::PostKey;

    fn candidate(n: u128, created_at: i64, engagement: i64, bond: i64) -> Candidate<'static> {
        Candidate {
            place: (created_at, PostKey(n)),
            created_at,
            engagement,
            bond,
            score: None,
        }
    }

    #[test]
    fn the_parts_are_those_of_the_documentation() {
        let options = FeedOptions::default();
        let toxic = Score {
            toxic: 900_000,
            ..Score::given(-500_000)
        };
        let six_hours_old = Candidate {
            score: Some(&toxic),
            ..candidate(1, -6 * HOUR, 10, 15)
        };
        let parts = Parts::of(&six_hours_old, 0, &options);
        let expected = Parts {
            recency: 0.5,
            engagement: 0.5,
            affinity: 0.75,
            model: 0.1,
        };
        assert!((parts.mixed() - expected.mixed()).abs() < 1e-12, "{parts:?}");
        assert!((expected.mixed() - (0.2 + 0.15 + 0.15 + 0.01)).abs() < 1e-12);
        let sentiment = FeedOptions {
            model: ModelPart::Sentiment,
            ..options
        };
        assert!((Parts::of(&six_hours_old, 0, &sentiment).model - 0.25).abs() < 1e-9);
        let early = Parts::of(&candidate(1, 500, 0, 0), 0, &options);
        assert_eq!(
            (early.recency, early.engagement, early.affinity, early.model),
            (1.0, 0.0, 0.0, 0.5)
        );
    }

    #[test]
    fn of_equal_scores_the_newer_comes_first_and_nobody_twice() {
        let options = FeedOptions::default();
        let all = [
            candidate(1, 5, 3, 0),
            candidate(2, 5, 3, 0),
            candidate(3, 9, 3, 0),
            candidate(4, 1, 7, 0),
            candidate(2, 5, 3, 0),
        ];
        let order = |algorithm| -> Vec<u128> {
            let ordered = ordered(&all, algorithm, 10, &options);
            ordered.iter().map(|((_, key), _)| key.0).collect()
        };
        assert_eq!(order(Algorithm::Engagement), [4, 3, 2, 1]);
        assert_eq!(order(Algorithm::Chronological), [3, 2, 1, 4]);
        assert_eq!(order(Algorithm::Ranked), [4, 3, 2, 1]);
    }
}
