//! Texts that somebody asks the model about, apart from the pipeline: a queue and a thread of their own, so that they take
//! turns with the pipeline's batches and no more than that. Nothing of it is recorded.

use crossbeam_channel::{Sender, TrySendError, bounded};
use groundswell_connectors::http::{PredictFailure, PredictRefusal, Predicted, Predicting};
use groundswell_core::id::TextKey;
use groundswell_models::{Answer, Limits, Scorer, ScorerStats, score_all};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Requests that may wait.
const WAITING: usize = 8;

struct Request {
    texts: Vec<(TextKey, Arc<str>)>,
    answer: oneshot::Sender<Vec<Predicted>>,
}

/// Asks a model for whoever wants to know. The thread ends with it, after the request at hand.
pub struct Predictor {
    requests: Sender<Request>,
}

impl Predictor {
    /// Starts the thread; `live` says with every request who answers it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(live: impl Fn() -> Arc<dyn Scorer> + Send + 'static, limits: Limits) -> std::io::Result<Self> {
        let (requests, asked) = bounded::<Request>(WAITING);
        std::thread::Builder::new().name("predict".into()).spawn(move || {
            let stats = ScorerStats::default();
            for Request { texts, answer } in asked {
                // Nobody waits for it any more.
                if answer.is_closed() {
                    continue;
                }
                let answers = score_all(&*live(), &texts, limits, &stats);
                let _ = answer.send(answers.into_iter().map(predicted).collect());
            }
        })?;
        Ok(Predictor { requests })
    }

    /// Takes a request up, or not; waits for nothing.
    ///
    /// # Errors
    /// [`PredictRefusal::Busy`] if as many wait as may.
    pub fn ask(&self, texts: Vec<String>) -> Result<Predicting, PredictRefusal> {
        let (answer, predicting) = oneshot::channel();
        let texts = texts
            .into_iter()
            .map(|text| (TextKey::of(text.as_bytes()), Arc::from(text)));
        let request = Request {
            texts: texts.collect(),
            answer,
        };
        match self.requests.try_send(request) {
            Ok(()) => Ok(predicting),
            Err(TrySendError::Full(_)) => Err(PredictRefusal::Busy),
            Err(TrySendError::Disconnected(_)) => Err(PredictRefusal::Starting),
        }
    }
}

fn predicted(answer: Answer) -> Predicted {
    answer.result.map_err(|failure| PredictFailure {
        code: failure.code(),
        message: failure.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::id::ModelKey;
    use groundswell_models::{Batch, FixtureScorer, ScoreFailure};
    use parking_lot::Mutex;
    use std::time::{Duration, Instant};

    /// The fixture, which waits for the test.
    struct Held(FixtureScorer, Arc<Mutex<()>>);

    impl Scorer for Held {
        fn model(&self) -> ModelKey {
            self.0.model()
        }
        fn name(&self) -> &str {
            "held"
        }
        fn length_of(&self, text: &str) -> usize {
            self.0.length_of(text)
        }
        fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
            drop(self.1.lock());
            self.0.forward(texts)
        }
    }

    #[test]
    fn answers_come_in_order_and_a_full_queue_is_refused() {
        let held = Arc::new(Mutex::new(()));
        let guard = held.lock();
        let scorer = Held(FixtureScorer::default(), Arc::clone(&held));
        let live: Arc<Mutex<Arc<dyn Scorer>>> = Arc::new(Mutex::new(Arc::new(scorer)));
        let asked = Arc::clone(&live);
        let predictor = Predictor::start(move || Arc::clone(&asked.lock()), Limits::default()).expect("started");
        let texts = ["good", "bad", "good"];
        let asked = || texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let mut taken = vec![predictor.ask(asked()).expect("taken")];
        let end = Instant::now() + Duration::from_secs(20);
        // One is at the model, the others wait.
        while taken.len() < WAITING + 1 {
            assert!(Instant::now() < end, "taken up");
            taken.extend(predictor.ask(asked()).ok());
        }
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(predictor.ask(asked()).err(), Some(PredictRefusal::Busy));
        drop(guard);
        for predicting in taken {
            let answers = predicting.blocking_recv().expect("answered");
            let expected = texts.map(|text| Ok(FixtureScorer::default().answer(text)));
            assert_eq!(answers, expected);
        }
        *live.lock() = Arc::new(FixtureScorer::variant("b"));
        let answers = predictor.ask(vec!["good".into()]).expect("taken").blocking_recv();
        assert_eq!(
            answers.expect("answered"),
            [Ok(FixtureScorer::variant("b").answer("good"))]
        );
        assert!(
            predictor
                .ask(Vec::new())
                .expect("taken")
                .blocking_recv()
                .expect("answered")
                .is_empty()
        );
    }
}
