//! `/api/v1/models`: the models there are, how their answers differ, and which of them is live.

use super::App;
use super::api::answers::{ErrorBody, Guarded};
use super::auth::{Principal, Role, forbidden};
use super::error::{ApiError, nearest};
use super::guard::BODY_BYTES;
use super::guard::own_pages_only;
use super::reply::{Plain, Received, plain};
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// Entities of a comparison, if nobody says how many.
const ENTITIES: usize = 100;
/// Most entities of a comparison.
const MOST_ENTITIES: usize = 10_000;

/// A model, as `/api/v1/models` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Labels {
    /// Most probably negative.
    pub negative: u64,
    /// Most probably neutral.
    pub neutral: u64,
    /// Most probably positive.
    pub positive: u64,
}

/// How a model's answers differ from the live one's.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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

/// Which model.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // described; the routes take it as a path
struct OfModel {
    /// Name of a model, or the first letters (at least 8) of its key.
    model: String,
}

/// Why a model is not found or not asked.
#[derive(IntoResponses)]
#[allow(dead_code)] // described; made of `ModelRefusal`
enum Refused {
    /// The letters fit several models, or the request is not understood.
    #[response(status = 400)]
    Ambiguous(ErrorBody),
    /// There is no such model.
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The engine is starting or stopping.
    #[response(status = 503)]
    NotNow(ErrorBody),
}

/// It is live already, has not scored everything, there is none to go back to, or another switch is under way.
#[derive(IntoResponses)]
#[response(status = 409)]
#[allow(dead_code)] // described; made of `ModelRefusal`
struct Conflict(ErrorBody);

/// The models: which is live, what each has scored, how they differ.
///
/// As of the last complete tick. `missing`: texts that the live model has answered and this one has not.
/// `agreement` and `drift` (population stability index of the labels) are over the posts that both have answered.
#[utoipa::path(
    get,
    path = "/api/v1/models",
    tag = "models",
    operation_id = "get_models",
    responses(
        (status = 200, description = "The models of the pipeline file, the one it names as live first, then those that only the record knows (`retired`).", body = Plain<Vec<ModelStatus>>),
        (status = 503, description = "The engine is starting or stopping.", body = ErrorBody), Guarded
    )
)]
pub async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let data = control(&app)?.list();
    plain(StatusCode::OK, data)
}

/// How a model's answers differ from the live one's, over all posts and by entity.
#[utoipa::path(
    get,
    path = "/api/v1/models/{model}/comparison",
    tag = "models",
    operation_id = "get_models_model_comparison",
    params(OfModel, ("limit" = Option<u32>, Query, description = "Most entities; those with most posts first.", minimum = 1, maximum = 10_000)),
    responses(
        (status = 200, description = "Counts over live posts that both models have answered; posts are not weighted by votes.", body = Plain<ModelComparison>),
        Refused, Guarded
    )
)]
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
    plain(StatusCode::OK, data)
}

/// How to promote.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Promotion {
    /// Even if it has not scored everything.
    #[serde(default)]
    force: bool,
}

/// Makes a model the live one, at one tick.
///
/// Recorded, and kept over restarts. For up to 5 seconds the model is asked first; if it then still lacks answers
/// that the live model has, the switch is refused (`MODEL_BEHIND`, with `missing`) unless `force` is set. Answers
/// when the views have switched. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = "/api/v1/models/{model}/promote",
    tag = "models",
    operation_id = "post_models_model_promote",
    params(OfModel),
    request_body = Option<Promotion>,
    responses(
        (status = 200, description = "It is live. `missing`: texts it has still to score.", body = Plain<ModelSwitch>),
        Refused, Conflict, Guarded
    )
)]
pub async fn promote(
    State(app): State<App>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Received,
) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let body = body.bytes(BODY_BYTES, "it is {\"force\": false}")?;
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

/// Goes back to the model that was live before the last promotion, at one tick.
///
/// Its scores are on record: nothing is scored again but what has come since. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = "/api/v1/models/rollback",
    tag = "models",
    operation_id = "post_models_rollback",
    responses(
        (status = 200, description = "It is live again.", body = Plain<ModelSwitch>),
        Conflict, (status = 503, description = "The engine is starting or stopping.", body = ErrorBody), Guarded
    )
)]
pub async fn roll_back(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let control = control(&app)?;
    switched(move || Ok(control.roll_back()?)).await
}

/// A switch waits for the graph: no work for the threads that answer everybody.
async fn switched(make: impl FnOnce() -> Result<ModelSwitch, ApiError> + Send + 'static) -> Result<Response, ApiError> {
    let made = tokio::task::spawn_blocking(make).await;
    let data = made.map_err(|error| ApiError::internal(&error))??;
    plain(StatusCode::OK, data)
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
