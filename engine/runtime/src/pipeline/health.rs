//! How the engine and its sinks are, for `/health` and `/api/v1/sinks`, and what operators tell sinks.

use super::feed::Feeds;
use super::models::Control;
use super::registry::Registries;
use crate::engine::{Eraser, Predictor, Replayer, RuleReport, SinkCondition, SinkError, SinkReport, Status};
use groundswell_connectors::dlq::{Letter, Refusal, Replayed, Replays};
use groundswell_connectors::http::{
    EraseRefusal, Health, HealthReport, ModelControl, PredictRefusal, Predicting, RuleInForce, Service, SinkAction,
    SinkRefusal, SinkStatus,
};
use groundswell_core::erasure::Erasure;
use groundswell_core::time::{Tick, wall_now};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// How the engine is, once there is one.
pub(super) struct EngineHealth {
    registries: Registries,
    feeds: Feeds,
    pub(super) status: OnceLock<Arc<Status>>,
    pub(super) replayer: OnceLock<Arc<Replayer>>,
    pub(super) eraser: OnceLock<Arc<Eraser>>,
    pub(super) models: OnceLock<Arc<Control>>,
    /// Who asks the model for others; none if there is no model.
    pub(super) predictor: OnceLock<Option<Predictor>>,
}

impl Health for EngineHealth {
    fn report(&self) -> HealthReport {
        let mut reasons = Vec::new();
        let status = self.status.get();
        match status {
            None => reasons.push("the engine is starting".to_owned()),
            Some(status) if status.fatal().is_some() => {
                let why = status.fatal().unwrap_or_default();
                reasons.push(format!("the engine stopped: {why}"));
            }
            Some(status) if !status.is_replayed() => {
                reasons.push("the recorded past is still being restored".to_owned());
            }
            Some(_) => {}
        }
        let healthy = status.is_none_or(|status| status.fatal().is_none());
        let said = match status {
            None => "starting".to_owned(),
            Some(status) if healthy => format!("complete up to tick {}", status.complete()),
            Some(_) => "stopped".to_owned(),
        };
        let mut services: BTreeMap<String, Service> = [("engine".to_owned(), Service { healthy, status: said })].into();
        // The views can be relied on whatever a sink does: it makes the whole degraded, not unready.
        for sink in self.reports() {
            services.insert(format!("sink {}", sink.name), service(&sink));
        }
        // What is there is right; what waits for a schema is not there yet.
        for (source, trouble) in self.registries.troubles() {
            let (healthy, status) = match trouble {
                None => (true, "running".to_owned()),
                Some(why) => (false, format!("waits for schemas: {why}")),
            };
            services.insert(format!("source {source}"), Service { healthy, status });
        }
        // So is what a feed would say.
        services.extend(self.feeds.services());
        HealthReport {
            ready: reasons.is_empty(),
            reasons,
            services,
        }
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        self.reports().iter().map(sink_status).collect()
    }

    fn rules(&self) -> Vec<RuleInForce> {
        let reports = self.status.get().map(|status| status.rules()).unwrap_or_default();
        let of = |known: RuleReport| RuleInForce {
            rule: known.rule,
            ready: known.ready,
            lacking: known.lacking,
        };
        reports.into_iter().map(of).collect()
    }

    fn models(&self) -> Option<Arc<dyn ModelControl>> {
        self.model_control()
    }

    fn replay(&self, letters: &[Letter], dry_run: bool) -> Result<Replayed, Refusal> {
        let replayer = self.replayer.get().ok_or_else(Self::starting)?;
        replayer.replay(letters, dry_run)
    }

    fn erase(&self, erasure: Erasure) -> Result<Tick, EraseRefusal> {
        let starting = || EraseRefusal("the engine is starting; ask again in a while".to_owned());
        let eraser = self.eraser.get().ok_or_else(starting)?;
        eraser.erase(erasure).map_err(|why| EraseRefusal(why.to_string()))
    }

    fn predict(&self, texts: Vec<String>) -> Result<Predicting, PredictRefusal> {
        let predictor = self.predictor.get().ok_or(PredictRefusal::Starting)?;
        predictor.as_ref().ok_or(PredictRefusal::NoModel)?.ask(texts)
    }

    fn tell_sink(&self, sink: &str, action: SinkAction) -> Result<(), SinkRefusal> {
        let status = self.status.get().ok_or(SinkRefusal::Unknown)?;
        let sink = status.sink(sink).map_err(|_| SinkRefusal::Unknown)?;
        match action {
            SinkAction::Pause => sink.pause(),
            SinkAction::Resume => sink.resume(),
            SinkAction::Resync => sink
                .ask_resync()
                .map_err(|why: SinkError| SinkRefusal::Cannot(why.to_string()))?,
        }
        Ok(())
    }
}

impl EngineHealth {
    /// Of a pipeline whose engine comes later.
    pub(super) fn new(registries: Registries, feeds: Feeds) -> Self {
        EngineHealth {
            registries,
            feeds,
            status: OnceLock::new(),
            replayer: OnceLock::new(),
            eraser: OnceLock::new(),
            models: OnceLock::new(),
            predictor: OnceLock::new(),
        }
    }

    fn starting() -> Refusal {
        Refusal::NotNow("the engine is starting; replay again in a while".to_owned())
    }

    fn reports(&self) -> Vec<SinkReport> {
        let sinks = self.status.get().map(|status| status.sinks()).unwrap_or_default();
        sinks.iter().map(|sink| sink.report()).collect()
    }
}

fn seconds_behind(sink: &SinkReport) -> f64 {
    let oldest = sink.oldest.and_then(|at| i64::try_from(at).ok());
    #[allow(clippy::cast_precision_loss)] // milliseconds of an age
    oldest.map_or(0.0, |at| wall_now().saturating_sub(at).max(0) as f64 / 1000.0)
}

fn service(sink: &SinkReport) -> Service {
    let behind = match sink.behind {
        0 => String::new(),
        n => format!(", {n} ticks behind"),
    };
    let why = sink.trouble.as_deref().unwrap_or("failed");
    let (healthy, status) = match sink.condition {
        SinkCondition::Running => (true, format!("running{behind}")),
        SinkCondition::Paused => (false, format!("paused{behind}")),
        SinkCondition::Retrying(n) => (false, format!("failed {n} times, tried again soon{behind}: {why}")),
        SinkCondition::Broken(n) => (false, format!("failed {n} times, tried once a minute{behind}: {why}")),
    };
    Service { healthy, status }
}

fn sink_status(sink: &SinkReport) -> SinkStatus {
    let (state, failures) = match sink.condition {
        SinkCondition::Running => ("running", 0),
        SinkCondition::Paused => ("paused", 0),
        SinkCondition::Retrying(n) => ("retrying", n),
        SinkCondition::Broken(n) => ("broken", n),
    };
    SinkStatus {
        name: sink.name.clone(),
        state,
        committed: sink.committed,
        ticks_behind: sink.behind,
        seconds_behind: seconds_behind(sink),
        failures,
        error: sink.trouble.clone(),
        resync: sink.resync.clone(),
    }
}
