//! Several models at once: which one is live, which ones answer beside it, and how one takes another's place.
//!
//! ```text
//!            wanted, by model             answers, as recorded facts of each model
//! graph ─▶ Wants ─▶ pool of the live model ───────────────┐
//!            └────▶ pools in the background ──────────────┴─▶ recorder ─▶ graph
//! API ─▶ Models ─▶ recorder: one tick with one record ─▶ graph: every post has another model's score from there on
//! ```
//! The pointer to the live model is in the record and nowhere else: what is shown of it here is what the last complete tick
//! says. State: counts by model that the graph puts out as differences ([`Board`]), and the pools.

mod board;
mod mute;
mod pointer;
mod pools;
mod wants;

pub(crate) use board::Board;
pub use board::{Compared, Comparison};
pub(crate) use mute::Mutes;
pub(crate) use pointer::Pointer;
pub(crate) use pools::{Pools, start as start_pools};

use super::EngineOptions;
use super::status::Status;
use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_core::id::ModelKey;
use groundswell_core::record::{Past, Record, TickBatch};
use groundswell_core::score::PPM;
use groundswell_core::time::Tick;
use groundswell_models::{Scorer, ScorerPool};
use groundswell_operators::event::Background;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How long a promotion waits for the model to answer what it has not answered yet, as soon as the live one.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How long the graph may take for the tick of a switch.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model that is asked beside the live one.
#[derive(Clone)]
pub struct Shadow {
    /// What users call it.
    pub name: String,
    /// What answers.
    pub scorer: Arc<dyn Scorer>,
    /// Authors whose posts it is asked about, ppm.
    pub share: u32,
}

/// Models beside the configured live one, and how they work.
#[derive(Clone)]
pub struct ModelOptions {
    /// What users call the model that the configuration names as live.
    pub live_name: String,
    /// The others.
    pub shadows: Vec<Shadow>,
    /// Authors whose posts the configured live model is asked about while another one is promoted, ppm.
    pub standby_share: u32,
    /// Most texts a second of each model that is not live.
    pub rescore_rate: Option<u32>,
    /// The configured model becomes live again, whatever was promoted.
    pub as_configured: bool,
    /// Alerts that a switch of models fires go to the sinks like others.
    pub deliver_alerts: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            live_name: "live".into(),
            shadows: Vec::new(),
            standby_share: 0,
            rescore_rate: None,
            as_configured: false,
            deliver_alerts: false,
        }
    }
}

/// The scorers of all models, the configured live one first.
pub(crate) fn scorers(options: &EngineOptions) -> Vec<Arc<dyn Scorer>> {
    let shadows = options.models.shadows.iter().map(|shadow| &shadow.scorer);
    options.scorer.iter().chain(shadows).map(Arc::clone).collect()
}

/// What is known of a model from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) key: ModelKey,
    pub(crate) share: u32,
}

impl ModelOptions {
    /// The configured models, the live one first.
    pub(crate) fn known(&self, live: Option<&Arc<dyn Scorer>>) -> Vec<Known> {
        let live = live.map(|scorer| Known {
            name: self.live_name.clone(),
            key: scorer.model(),
            share: self.standby_share,
        });
        let shadows = self.shadows.iter().map(|shadow| Known {
            name: shadow.name.clone(),
            key: shadow.scorer.model(),
            share: shadow.share,
        });
        live.into_iter().chain(shadows).collect()
    }

    /// What the graph is told of them: nothing where there is one model only.
    pub(crate) fn background(&self, known: &[Known]) -> Option<Arc<[Background]>> {
        let background = known.iter().map(|known| Background {
            model: known.key,
            share: known.share,
        });
        (known.len() > 1).then(|| background.collect())
    }
}

/// What a tick's records say about models, beside the graph.
#[derive(Debug, Default)]
pub(crate) struct ModelFacts {
    /// Another model is live.
    pub(crate) live: Option<(ModelKey, Past)>,
    /// Alerts that are muted or not any more, as of an earlier tick.
    pub(crate) muted: Vec<(u128, Tick, bool)>,
}

impl ModelFacts {
    pub(crate) fn of(batch: &TickBatch) -> Self {
        let mut facts = ModelFacts::default();
        for envelope in &batch.records {
            match &envelope.record {
                Record::LiveModel { model, past } => facts.live = Some((*model, past.clone())),
                Record::AlertMuted { id, muted } => facts.muted.push((*id, envelope.order, *muted)),
                _ => {}
            }
        }
        facts
    }

    /// Adds those of another piece of the same tick.
    pub(crate) fn merge(&mut self, more: ModelFacts) {
        self.live = more.live.or(self.live.take());
        self.muted.extend(more.muted);
    }
}

/// What a model is to the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The views use it.
    Live,
    /// It is asked beside the live one.
    Shadow,
    /// The configured live model, in whose place another one was promoted.
    Standby,
    /// No model of the configuration; its answers are on record.
    Retired,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Live => "live",
            Role::Shadow => "shadow",
            Role::Standby => "standby",
            Role::Retired => "retired",
        }
    }
}

/// A model as of the last complete tick.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReport {
    /// What users call it; unknown of a retired one.
    pub name: Option<String>,
    /// Its digest.
    pub key: ModelKey,
    /// What it is to the views.
    pub role: Role,
    /// Authors it is asked about, ppm.
    pub share: u32,
    /// Texts of live posts.
    pub texts: u64,
    /// Of these, how many it has answered.
    pub answered: u64,
    /// Of these, how many the live model has answered and it has not.
    pub behind: u64,
    /// Texts that wait for it now.
    pub waiting: usize,
    /// How its answers differ from the live model's; none for the live one, and where there is nothing to compare.
    pub comparison: Option<Comparison>,
}

/// A switch that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The model that is live now.
    pub live: ModelKey,
    /// The model that was.
    pub was: ModelKey,
    /// The first tick at which it is.
    pub tick: Tick,
    /// Texts that it has not answered yet: their posts are unscored until it has.
    pub missing: u64,
}

/// Why a model was not switched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// No model of the configuration is called so.
    #[error("there is no model \"{given}\" in the pipeline; it has {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        given: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The letters fit the keys of several models.
    #[error("\"{0}\" fits the keys of several models; give more letters, or the name")]
    Ambiguous(String),
    /// It is live already.
    #[error("the model \"{0}\" is live already")]
    AlreadyLive(String),
    /// It has not scored everything.
    #[error(
        "the model \"{name}\" has not answered {missing} of the {texts} texts yet that the live model has answered: their posts \
         would be unscored for a while. Wait, give it a share of 1 if it has less, or force it"
    )]
    Behind {
        /// Which.
        name: String,
        /// How many texts lack an answer.
        missing: u64,
        /// How many texts there are.
        texts: u64,
    },
    /// No model was live before.
    #[error("no model was promoted: there is nothing to roll back to")]
    NothingBefore,
    /// The model that was live before is not in the configuration any more.
    #[error(
        "the model that was live before, {0}, is none of the pipeline file any more: nobody could answer for it. Name it under \
         models.shadow and start again"
    )]
    Gone(ModelKey),
    /// The engine cannot take it now.
    #[error("{0}")]
    NotNow(String),
    /// Another switch is being made.
    #[error("another switch of models is being made; try again when it is done")]
    Busy,
}

/// What the recorder is asked.
pub(crate) enum Ask {
    Promote(ModelKey),
    Back,
}

/// A switch that is to have a tick of its own, and who waits for it.
pub(crate) struct Switch {
    pub(crate) ask: Ask,
    pub(crate) done: Sender<Result<(Tick, ModelKey), SwitchError>>,
}

/// See the module documentation.
pub struct Models {
    /// Emptied when the engine stops.
    pools: Mutex<Vec<Arc<ScorerPool>>>,
    board: Arc<Board>,
    status: Arc<Status>,
    recorder: Sender<Switch>,
    one: Mutex<()>,
}

impl Models {
    /// A handle on the models, and what the recorder has to look at.
    pub(crate) fn new(
        pools: Vec<Arc<ScorerPool>>,
        board: Arc<Board>,
        status: Arc<Status>,
    ) -> (Arc<Self>, Receiver<Switch>) {
        let (recorder, switches) = bounded(1);
        let models = Models {
            pools: Mutex::new(pools),
            board,
            status,
            recorder,
            one: Mutex::default(),
        };
        (Arc::new(models), switches)
    }

    /// All models that are configured, and those that only the record knows, as of the last complete tick.
    pub fn list(&self) -> Vec<ModelReport> {
        self.board.reports()
    }

    /// A model by its name or the first letters of its key.
    ///
    /// # Errors
    /// [`SwitchError::Unknown`] or [`SwitchError::Ambiguous`].
    pub fn find(&self, given: &str) -> Result<ModelReport, SwitchError> {
        let all = self.list();
        if let Some(named) = all.iter().find(|m| m.name.as_deref() == Some(given)) {
            return Ok(named.clone());
        }
        let is_key = given.len() >= KEY_LETTERS && given.bytes().all(|b| b.is_ascii_hexdigit());
        let letters = given.to_ascii_lowercase();
        let fits = |m: &&ModelReport| is_key && m.key.to_string().starts_with(&letters);
        let mut fitting = all.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(_), Some(_)) => Err(SwitchError::Ambiguous(given.to_owned())),
            (None, _) => Err(SwitchError::Unknown {
                given: given.chars().take(120).collect(),
                known: self.board.known().iter().map(|known| known.name.clone()).collect(),
            }),
        }
    }

    /// Makes a model the live one, at one tick. Unless `force`, only if it has answered everything that the live one has:
    /// for some seconds it is asked first, so that under load it can.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub fn promote(&self, given: &str, force: bool) -> Result<Switched, SwitchError> {
        let _one = self.one.try_lock().ok_or(SwitchError::Busy)?;
        self.ready()?;
        let model = self.find(given)?;
        let name = model.name.clone().unwrap_or_else(|| model.key.to_string());
        if model.role == Role::Live {
            return Err(SwitchError::AlreadyLive(name));
        }
        let Some(pool) = self.pool(model.key) else {
            return Err(SwitchError::Gone(model.key));
        };
        if !force {
            pool.set_background(false);
            let behind = || self.board.behind(model.key);
            if !self.status.wait(CATCH_UP, |_| behind() == 0) {
                pool.set_background(true);
                let (missing, texts) = (behind(), self.board.texts());
                return Err(SwitchError::Behind { name, missing, texts });
            }
        }
        let switched = self.switch(Ask::Promote(model.key), model.key);
        if switched.is_err() {
            pool.set_background(true);
        }
        switched
    }

    /// Makes the model live again that was before the last promotion.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub fn roll_back(&self) -> Result<Switched, SwitchError> {
        let _one = self.one.try_lock().ok_or(SwitchError::Busy)?;
        self.ready()?;
        let before = self.board.before().ok_or(SwitchError::NothingBefore)?;
        if self.pool(before).is_none() {
            return Err(SwitchError::Gone(before));
        }
        self.switch(Ask::Back, before)
    }

    /// What the model whose answers are compared says of entities, those with most posts first.
    pub fn comparison(&self, key: ModelKey) -> Comparison {
        self.board.comparison(key)
    }

    fn ready(&self) -> Result<(), SwitchError> {
        if self.status.is_replayed() {
            return Ok(());
        }
        let why = "the recorded past is still being restored; try again in a while";
        Err(SwitchError::NotNow(why.into()))
    }

    fn pool(&self, key: ModelKey) -> Option<Arc<ScorerPool>> {
        let pools = self.pools.lock();
        pools.iter().find(|pool| pool.scorer().model() == key).cloned()
    }

    /// What answers as the live model does, if it is loaded.
    pub fn live_scorer(&self) -> Option<Arc<dyn Scorer>> {
        self.pool(self.board.live()?).map(|pool| Arc::clone(pool.scorer()))
    }

    /// Lets go of the pools: they end when nobody else has them.
    pub(crate) fn stop(&self) {
        self.pools.lock().clear();
    }

    fn switch(&self, ask: Ask, to: ModelKey) -> Result<Switched, SwitchError> {
        let stopping = || SwitchError::NotNow("the engine is stopping; try again when it runs".to_owned());
        let (done, answer) = bounded(1);
        self.recorder.send(Switch { ask, done }).map_err(|_| stopping())?;
        let (tick, was) = answer.recv().map_err(|_| stopping())??;
        let complete = self.status.wait(PATIENCE, |status| status.complete() >= tick);
        if let Some(why) = self.status.fatal() {
            return Err(SwitchError::NotNow(format!("the engine stopped: {why}")));
        }
        if !complete {
            return Err(SwitchError::NotNow(format!(
                "the switch is recorded at tick {tick}, but the graph has not come to it in {} s; it will",
                PATIENCE.as_secs()
            )));
        }
        let missing = self.board.unanswered(to);
        Ok(Switched {
            live: to,
            was,
            tick,
            missing,
        })
    }
}

/// Fewest letters of a key that name a model.
const KEY_LETTERS: usize = 8;

/// A share as parts of one.
pub fn share_of(ppm: u32) -> f64 {
    f64::from(ppm) / f64::from(PPM)
}
