//! The models of a pipeline: opened, and shown and switched over HTTP.

use super::StartError;
use super::health::EngineHealth;
use crate::config::{Pipeline, ShadowModel};
use crate::engine::{Compared, EngineOptions, ModelReport, Models, Role, Shadow, SwitchError, Switched, share_of};
use groundswell_connectors::http::{
    Labels, ModelComparison, ModelControl, ModelDifference, ModelRefusal, ModelRefusalKind, ModelStatus, ModelSwitch,
};
use groundswell_core::id::Names;
use groundswell_models::{FixtureScorer, Scorer};
use serde_json::json;
use std::sync::Arc;

/// What is said of models without opening any.
pub(super) fn lifecycle(pipeline: &Pipeline, options: &mut EngineOptions) {
    let lifecycle = &pipeline.lifecycle;
    options.compare = !lifecycle.shadows.is_empty();
    options.models.live_name = pipeline.model.live.name();
    options.models.standby_share = lifecycle.standby_share;
    options.models.rescore_rate = lifecycle.rescore_rate;
    options.models.deliver_alerts = lifecycle.deliver_alerts;
}

/// Opens the models beside the live one.
pub(super) fn shadows(pipeline: &Pipeline, live: Option<&Arc<dyn Scorer>>) -> Result<Vec<Shadow>, StartError> {
    let mut all: Vec<Shadow> = Vec::new();
    for config in &pipeline.lifecycle.shadows {
        let scorer: Arc<dyn Scorer> = match &config.model {
            ShadowModel::Fixture(variant) => Arc::new(FixtureScorer::variant(variant)),
            ShadowModel::Bundle(model) => match super::open_model(pipeline, model) {
                Ok(Some(scorer)) => scorer,
                Ok(None) => continue,
                Err(StartError::Model(why)) => return Err(shadow(&config.name, why)),
                Err(other) => return Err(other),
            },
        };
        let key = scorer.model();
        let others = all.iter().map(|shadow| (shadow.name.clone(), shadow.scorer.model()));
        let live = live.map(|live| (pipeline.model.live.name(), live.model()));
        if let Some((name, _)) = others.chain(live).find(|(_, other)| *other == key) {
            let why =
                format!("it is the same model as \"{name}\": all files that decide an answer are equal (key {key})");
            return Err(shadow(&config.name, why));
        }
        all.push(Shadow {
            name: config.name.clone(),
            scorer,
            share: config.share,
        });
    }
    Ok(all)
}

fn shadow(name: &str, why: String) -> StartError {
    StartError::Shadow {
        name: name.to_owned(),
        why,
    }
}

/// The models as operators see them.
pub(super) struct Control {
    models: Arc<Models>,
    names: Arc<Names>,
}

impl Control {
    pub(super) fn new(models: &Arc<Models>, names: &Arc<Names>) -> Arc<Self> {
        Arc::new(Control {
            models: Arc::clone(models),
            names: Arc::clone(names),
        })
    }
}

impl EngineHealth {
    /// For [`groundswell_connectors::http::Health::models`].
    pub(super) fn model_control(&self) -> Option<Arc<dyn ModelControl>> {
        let control = self.models.get()?;
        Some(Arc::clone(control) as Arc<dyn ModelControl>)
    }
}

impl ModelControl for Control {
    fn list(&self) -> Vec<ModelStatus> {
        self.models.list().iter().map(status).collect()
    }

    fn comparison(&self, model: &str, entities: usize) -> Result<ModelComparison, ModelRefusal> {
        let report = self.models.find(model).map_err(refused)?;
        let comparison = self.models.comparison(report.key);
        let live = self.models.list().into_iter().find(|m| m.role == Role::Live);
        let [live_labels, labels] = comparison.labels.map(|[negative, neutral, positive]| Labels {
            negative,
            neutral,
            positive,
        });
        let named = comparison.entities.iter().take(entities).map(|(entity, compared)| {
            let name = self.names.get(*entity).map(|name| name.to_string());
            difference(name.or_else(|| Some(String::new())), compared)
        });
        Ok(ModelComparison {
            model: status(&report),
            live: live.map(|live| live.name.unwrap_or_else(|| live.key.to_string())),
            all: difference(None, &comparison.all),
            drift: comparison.drift,
            live_labels,
            labels,
            entities: named.collect(),
        })
    }

    fn promote(&self, model: &str, force: bool) -> Result<ModelSwitch, ModelRefusal> {
        self.models.promote(model, force).map(made).map_err(refused)
    }

    fn roll_back(&self) -> Result<ModelSwitch, ModelRefusal> {
        self.models.roll_back().map(made).map_err(refused)
    }
}

fn status(report: &ModelReport) -> ModelStatus {
    let comparison = report.comparison.as_ref();
    ModelStatus {
        name: report.name.clone(),
        key: report.key.to_string(),
        role: report.role.name(),
        share: share_of(report.share),
        texts: report.texts,
        scored: report.answered,
        missing: report.behind,
        wanted: report.waiting as u64,
        compared: comparison.map_or(0, |c| c.all.posts),
        agreement: comparison.map(|c| c.all.agreement),
        drift: comparison.map(|c| c.drift),
    }
}

fn difference(entity: Option<String>, compared: &Compared) -> ModelDifference {
    ModelDifference {
        entity,
        posts: compared.posts,
        agreement: compared.agreement,
        live_sentiment: compared.live_sentiment,
        sentiment: compared.sentiment,
        difference: compared.sentiment - compared.live_sentiment,
    }
}

fn made(switched: Switched) -> ModelSwitch {
    ModelSwitch {
        live: switched.live.to_string(),
        was: switched.was.to_string(),
        tick: switched.tick,
        missing: switched.missing,
    }
}

fn refused(error: SwitchError) -> ModelRefusal {
    use ModelRefusalKind::*;
    let (kind, details) = match &error {
        SwitchError::Unknown { known, .. } => (Unknown, json!({ "available": known })),
        SwitchError::Ambiguous(_) => (Ambiguous, json!({})),
        SwitchError::AlreadyLive(_) => (AlreadyLive, json!({})),
        SwitchError::Behind { missing, texts, .. } => (Behind, json!({ "missing": missing, "texts": texts })),
        SwitchError::NothingBefore => (NothingBefore, json!({})),
        SwitchError::Gone(_) => (Gone, json!({})),
        SwitchError::NotNow(_) => (NotNow, json!({})),
        SwitchError::Busy => (Busy, json!({})),
    };
    ModelRefusal {
        kind,
        message: error.to_string(),
        details,
    }
}
