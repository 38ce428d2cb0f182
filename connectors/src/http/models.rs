//! `/api/v1/models`: the models there are, how their answers differ, and which of them is live.

use super::App;
use super::auth::{Principal, Role, forbidden};
use super::error::{ApiError, nearest};
use super::guard::own_pages_only;
use super::reply::{json, uncached};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entities of a comparison, if nobody says how many.
const ENTITIES: usize = 100;
/// Most entities of a comparison.
const MOST_ENTITIES: usize = 10_000;

/// A model, as `/api/v1/models` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelStatus {
    /// Its name in the pipeline; null for one that only the record knows.
    pub name: Option<String>,
    /// Its digest.
    pub key: String,
    /// `live`, `shadow`, `standby` (the pipeline's live model while another is promoted) or `retired`.
    pub role: &'static str,
    /// Share of the authors whose posts it is asked about.
    pub share: f64,
    /// Texts of live posts.
    pub texts: u64,
    /// Of these, how many it has answered.
    pub scored: u64,
    /// Of these, how many the live model has answered and it has not.
    pub missing: u64,
    /// Texts that wait for it.
    pub wanted: u64,
    /// Posts with answers of it and of the live model.
    pub compared: u64,
    /// Share of these with the same label.
    pub agreement: Option<f64>,
    /// Population stability index of the labels.
    pub drift: Option<f64>,
}

/// Two models over some posts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelDifference {
    /// The entity the posts mention; absent for all posts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Posts with answers of both.
    pub posts: u64,
    /// Share of them with the same label.
    pub agreement: f64,
    /// Mean sentiment by the live model; posts are not weighted.
    pub live_sentiment: f64,
    /// Mean sentiment by the other.
    pub sentiment: f64,
    /// The second less the first.
    pub difference: f64,
}

/// Posts by label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// Most probably negative.
    pub negative: u64,
    /// Most probably neutral.
    pub neutral: u64,
    /// Most probably positive.
    pub positive: u64,
}

/// How a model's answers differ from the live one's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelComparison {
    /// The model.
    pub model: ModelStatus,
    /// The live model's name, or its key.
    pub live: Option<String>,
    /// Over all posts.
    pub all: ModelDifference,
    /// Population stability index of the labels.
    pub drift: f64,
    /// Posts by the live model's label.
    pub live_labels: Labels,
    /// Posts by the other's label.
    pub labels: Labels,
    /// By entity, those with most posts first.
    pub entities: Vec<ModelDifference>,
}

/// A switch that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSwitch {
    /// Key of the model that is live now.
    pub live: String,
    /// Key of the model that was.
    pub was: String,
    /// The first tick at which it is.
    pub tick: u64,
    /// Texts it has still to score.
    pub missing: u64,
}

/// Why a model was not switched or compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRefusal {
    /// Of which kind.
    pub kind: ModelRefusalKind,
    /// For people.
    pub message: String,
    /// What is known about it.
    pub details: Value,
}

/// Kinds of [`ModelRefusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelRefusalKind {
    /// There is no such model.
    Unknown,
    /// The letters of a key fit several.
    Ambiguous,
    /// It is live already.
    AlreadyLive,
    /// It has not scored everything.
    Behind,
    /// There is no model to go back to.
    NothingBefore,
    /// Nobody can answer for it.
    Gone,
    /// Another switch is under way.
    Busy,
    /// The engine cannot take it now.
    NotNow,
}

impl From<ModelRefusal> for ApiError {
    fn from(refusal: ModelRefusal) -> Self {
        use ModelRefusalKind::*;
        let (status, code) = match refusal.kind {
            Unknown => (StatusCode::NOT_FOUND, "UNKNOWN_MODEL"),
            Ambiguous => (StatusCode::BAD_REQUEST, "AMBIGUOUS_MODEL"),
            AlreadyLive => (StatusCode::CONFLICT, "ALREADY_LIVE"),
            Behind => (StatusCode::CONFLICT, "MODEL_BEHIND"),
            NothingBefore => (StatusCode::CONFLICT, "NOTHING_TO_ROLL_BACK"),
            Gone => (StatusCode::CONFLICT, "MODEL_GONE"),
            Busy => (StatusCode::CONFLICT, "SWITCH_BUSY"),
            NotNow => (StatusCode::SERVICE_UNAVAILABLE, "NOT_READY"),
        };
        ApiError::new(status, code, refusal.message).with(refusal.details)
    }
}

/// Somebody who has the models. What lists returns at once; a switch waits for the engine, so it is not made where nothing
/// may wait.
pub trait ModelControl: Send + Sync + 'static {
    /// All models.
    fn list(&self) -> Vec<ModelStatus>;

    /// How a model's answers differ from the live one's, with at most so many entities.
    ///
    /// # Errors
    /// If there is no such model.
    fn comparison(&self, model: &str, entities: usize) -> Result<ModelComparison, ModelRefusal>;

    /// Makes a model the live one.
    ///
    /// # Errors
    /// [`ModelRefusal`].
    fn promote(&self, model: &str, force: bool) -> Result<ModelSwitch, ModelRefusal>;

    /// Goes back to the model that was live before.
    ///
    /// # Errors
    /// [`ModelRefusal`].
    fn roll_back(&self) -> Result<ModelSwitch, ModelRefusal>;
}

/// All models.
pub async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let data = control(&app)?.list();
    uncached(json(StatusCode::OK, &json!({ "data": data, "metadata": {} })))
}

/// `GET /api/v1/models/{model}/comparison`.
pub async fn comparison(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    Path(model): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    if app.hub.withholds() && who.role < Role::Operate {
        // An entity may be mentioned by few.
        return Err(forbidden(
            "This needs the role 'operate' where serve.k_anonymity is set",
        ));
    }
    let invalid = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", message);
    let mut entities = ENTITIES;
    for (name, value) in &query {
        if name != "limit" {
            return Err(invalid("The only parameter is 'limit'".to_owned()));
        }
        let limit = value.parse().ok().filter(|n| (1..=MOST_ENTITIES).contains(n));
        entities = limit.ok_or_else(|| invalid(format!("'limit' is a number from 1 to {MOST_ENTITIES}")))?;
    }
    let control = control(&app)?;
    let data = control
        .comparison(&model, entities)
        .map_err(|r| guess(r, &model, &*control))?;
    uncached(json(StatusCode::OK, &json!({ "data": data, "metadata": {} })))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promotion {
    #[serde(default)]
    force: bool,
}

/// `POST /api/v1/models/{model}/promote`.
pub async fn promote(
    State(app): State<App>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let promotion: Promotion = if body.is_empty() {
        Promotion::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("The body is not {{\"force\": false}}: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
        })?
    };
    let control = control(&app)?;
    switched(move || {
        let done = control.promote(&model, promotion.force);
        done.map_err(|refusal| guess(refusal, &model, &*control))
    })
    .await
}

/// `POST /api/v1/models/rollback`.
pub async fn roll_back(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let control = control(&app)?;
    switched(move || Ok(control.roll_back()?)).await
}

/// A switch waits for the graph: no work for the threads that answer everybody.
async fn switched(make: impl FnOnce() -> Result<ModelSwitch, ApiError> + Send + 'static) -> Result<Response, ApiError> {
    let made = tokio::task::spawn_blocking(make).await;
    let data = made.map_err(|error| ApiError::internal(&error))??;
    uncached(json(StatusCode::OK, &json!({ "data": data, "metadata": {} })))
}

fn control(app: &App) -> Result<Arc<dyn ModelControl>, ApiError> {
    app.health.models().ok_or_else(|| {
        let message = "The engine is starting; ask again in a while";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", message)
    })
}

/// A name nobody knows, with the nearest there is.
fn guess(mut refusal: ModelRefusal, given: &str, control: &dyn ModelControl) -> ApiError {
    if refusal.kind == ModelRefusalKind::Unknown {
        let names: Vec<String> = control.list().into_iter().filter_map(|model| model.name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some(near) = nearest(given, &names) {
            refusal.message.push_str(&format!("; did you mean \"{near}\"?"));
        }
        refusal.details = json!({ "available": names });
    }
    refusal.into()
}
