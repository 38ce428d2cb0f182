//! The rungs below the model, in the engine: what they say is recorded like any other fact.

use super::scoring::{Fetch, envelope, letter};
use crossbeam_channel::Sender;
use groundswell_core::record::{Record, SCORER};
use groundswell_core::source::SourceBatch;
use groundswell_models::ScorerStats;
use groundswell_models::fallback::{Fallback, Fell};
use tokio::sync::mpsc;

/// What answers where the model cannot.
#[derive(Clone, Default)]
pub struct Rungs {
    /// An HTTP scorer, and when it is asked. The graph's `scoring.ladder` must say so too.
    pub http: Option<Fallback>,
    /// Whether a text that nobody answers is neutral; otherwise it has no score.
    pub neutral: bool,
}

/// Carries what the rungs below the model say to the recorder, until they stop.
pub(super) fn carry(
    mut facts: mpsc::Receiver<Vec<Fell>>,
    out: &Sender<SourceBatch>,
    fetch: &Fetch,
    stats: &ScorerStats,
) {
    while let Some(lot) = facts.blocking_recv() {
        let mut records = Vec::with_capacity(lot.len());
        for fell in lot {
            stats.recorded(fell.score.map(|score| score.rung));
            let (text, model) = (fell.text, fell.model);
            records.push(envelope(match fell.score {
                Some(score) => Record::Score { text, model, score },
                None => Record::Unscorable { text, model },
            }));
            if let Some((failure, why)) = fell.failure {
                records.push(letter(text, model, &failure, Some(&why), &**fetch));
            }
        }
        let batch = SourceBatch {
            source: SCORER,
            records,
            ..SourceBatch::default()
        };
        if out.send(batch).is_err() {
            return;
        }
    }
}
