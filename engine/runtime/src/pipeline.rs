//! From a validated pipeline to a running one: connectors, model, engine, hub and server, wired together.

mod cluster;
mod feed;
mod health;
mod kafka;
mod letters;
mod models;
mod registry;
mod rungs;
mod serve;
mod sinks;

pub use cluster::{follow, member};
pub use letters::{NoLetters, letters};

use crate::config::{
    Clock, Collection, DeletedBody, FieldRef, FileFormat, LiveModel, Pace, Pipeline, SourceKind, TimeUnit,
};
use crate::engine::{
    ClockMode, Connections, Engine, EngineError, EngineOptions, FullState, Predictor, Shared, State, TickOptions,
};
use feed::Feeds;
use groundswell_connectors::decode::{self, DecoderSpec, FieldMap, MapError};
use groundswell_connectors::file::{self, FileSource, FileSpec};
use groundswell_connectors::generator::{Generator, GeneratorSpec};
use groundswell_connectors::http::{self, Health, ServeError, ServerHandle};
use groundswell_connectors::hub::{Hub, HubLimits, HubOptions};
use groundswell_connectors::kafka::KafkaError;
use groundswell_connectors::postgres::PostgresError;
use groundswell_connectors::registry::RegistryError;
use groundswell_connectors::sink_file::FileError;
use groundswell_connectors::webhook::WebhookError;
use groundswell_core::source::Source;
use groundswell_core::spec::WindowSpec;
use groundswell_core::time::HOUR;
use groundswell_models::fallback::LadderError;
use groundswell_models::{FixtureScorer, Limits, PoolOptions, Scorer};
use health::EngineHealth;
use registry::Registries;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A field map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A file sink.
    #[error(transparent)]
    Sink(#[from] FileError),
    /// A Postgres sink.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A webhook.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// A Kafka source or sink.
    #[error("{place}: {}", .source.with_hint())]
    Kafka {
        /// `sources.NAME` or `sinks.NAME`.
        place: String,
        /// Why.
        source: KafkaError,
    },
    /// A schema registry.
    #[error("{place}: {}", .source.with_hint())]
    Registry {
        /// `sources.NAME.registry`.
        place: String,
        /// Why.
        source: RegistryError,
    },
    /// What a table's numbers depend on cannot be written down.
    #[error("the settings of weights and links cannot be written down: {0}; this is a bug")]
    Basis(String),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The sources are not those the state knows, in its order.
    #[error(
        "the state in \"{folder}\" was recorded with the sources {recorded}, the pipeline has {configured}: positions are kept \
         by place in the list, so keep the recorded sources first and in that order and add new ones at the end"
    )]
    Sources {
        /// The state folder.
        folder: String,
        /// Names in the state.
        recorded: String,
        /// Names in the pipeline.
        configured: String,
    },
    /// The list of sources cannot be kept.
    #[error("cannot keep the list of sources in \"{path}\": {source}")]
    SourceList {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What was told of alerts cannot be kept.
    #[error("cannot keep what is told of alerts in \"{path}\": {source}")]
    Journal {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What is below the model.
    #[error("models.fallback.http: {0}")]
    Fallback(#[from] LadderError),
    /// The model.
    #[error("the live model cannot be used: {0}")]
    Model(String),
    /// A model beside it.
    #[error("the shadow model \"{name}\" cannot be used: {why}")]
    Shadow {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
}

/// A running pipeline.
pub struct Running {
    /// The engine.
    pub engine: Engine,
    /// What it shares.
    pub shared: Shared,
    /// The serving state.
    pub hub: Arc<Hub>,
    server: Option<ServerHandle>,
}

impl Running {
    /// Where HTTP and the console are served.
    pub fn addr(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().map(ServerHandle::addr)
    }

    /// Stops everything: drains, commits, closes.
    ///
    /// # Errors
    /// If the engine had stopped by itself before.
    pub fn stop(self) -> Result<(), EngineError> {
        let stopped = self.engine.stop();
        if let Some(server) = self.server {
            server.shutdown();
        }
        stopped
    }
}

/// Starts a pipeline; `extra` is what a program connects besides what the file names.
///
/// # Errors
/// [`StartError`], naming what could not be opened.
pub fn start(pipeline: &Pipeline, extra: Connections) -> Result<Running, StartError> {
    start_with(pipeline, |_| extra)
}

/// The same, for connections that need what the engine shares: names, texts, metrics.
///
/// # Errors
/// [`StartError`], naming what could not be opened.
pub fn start_with(pipeline: &Pipeline, extra: impl FnOnce(&Shared) -> Connections) -> Result<Running, StartError> {
    let state = State::Folder {
        path: pipeline.state.folder.clone(),
        fold_after: pipeline.state.fold_after,
    };
    let state = state.open().map_err(EngineError::from)?;
    let shared = Shared::create(&pipeline.state.folder.join("cache"))?;
    let extra = extra(&shared);
    let registries = Registries::of(pipeline)?;
    let feeds = Feeds::default();
    let mut sources = sources(pipeline, &shared, &registries, &feeds)?;
    sources.extend(extra.sources);
    check_sources(pipeline, &sources)?;
    let mut sinks = sinks::open(pipeline, &shared, state.id())?;
    sinks.extend(extra.sinks);
    let lookup = shared.clone();
    let hub = Arc::new(Hub::new(HubOptions {
        views: pipeline.graph.views.clone(),
        names: Arc::clone(&shared.names),
        texts: Arc::clone(&shared.texts),
        post_ids: Arc::new(move |key| lookup.post_id(key)),
        limits: HubLimits::default(),
        k_anonymity: pipeline.serve.as_ref().and_then(|serve| serve.k_anonymity),
        feeds: pipeline.serve.as_ref().and_then(serve::feeds),
        events: pipeline.graph.events.is_some(),
    }));
    if pipeline.serve.is_some() {
        let path = pipeline.state.folder.join("alerts.journal");
        let unkept = |source| StartError::Journal {
            path: path.display().to_string(),
            source,
        };
        hub.remember_alerts(&path).map_err(unkept)?;
    }
    // A port that is taken is found out before a model is loaded or anything is read.
    let health = Arc::new(EngineHealth::new(registries, feeds));
    let server = match &pipeline.serve {
        None => None,
        Some(serve) => {
            let options = serve::options(serve, &pipeline.graph.views);
            let (hub, metrics) = (Arc::clone(&hub), Arc::clone(&shared.metrics));
            Some(http::serve(
                options,
                hub,
                metrics,
                Arc::clone(&health) as Arc<dyn Health>,
            )?)
        }
    };
    let mut options = engine_options(pipeline);
    let model = open_model(pipeline, &pipeline.model.live)?;
    let (configured, limits) = (model.clone().filter(|_| pipeline.serve.is_some()), options.pool.limits);
    options.rungs = rungs::rungs(pipeline)?;
    options.scorer = model.or_else(|| rungs::in_its_place(pipeline));
    options.models.shadows = models::shadows(pipeline, options.scorer.as_ref())?;
    options.models.as_configured = extra.live_as_configured;
    options.collect_posts |= !extra.observers.is_empty() && !extra.without_posts;
    let mut observers = extra.observers;
    if pipeline.serve.is_some() {
        let (serving, metrics) = (Arc::clone(&hub), Arc::clone(&shared.metrics));
        observers.push(Box::new(move |changes| {
            serving.apply(changes);
            metrics.hub_bytes(serving.history_bytes());
        }));
    }
    let full_state = pipeline.serve.is_some().then(|| {
        let hub = Arc::clone(&hub);
        Arc::new(move || hub.full()) as FullState
    });
    let engine = Engine::start(
        options,
        state,
        &shared,
        Connections {
            sources,
            sinks,
            observers,
            full_state: extra.full_state.or(full_state),
            without_posts: extra.without_posts,
            cluster: extra.cluster,
            ..Connections::default()
        },
    )?;
    // Nobody else sets them.
    let predictor = configured.map(|configured| predictor(configured, &engine, limits));
    let _ = health.predictor.set(predictor.transpose()?);
    let _ = health.status.set(Arc::clone(engine.status()));
    let _ = health.replayer.set(Arc::clone(engine.replayer()));
    let _ = health.eraser.set(Arc::clone(engine.eraser()));
    let _ = health.models.set(models::Control::new(engine.models(), &shared.names));
    Ok(Running {
        engine,
        shared,
        hub,
        server,
    })
}

/// A source's positions are recorded under its place in the list. The list lies beside the record, so that a pipeline whose
/// sources moved is refused instead of reading each from another one's position.
fn check_sources(pipeline: &Pipeline, sources: &[Box<dyn Source>]) -> Result<(), StartError> {
    let path = source_list(pipeline);
    let failed = |source| unkept(&path, source);
    let names: Vec<String> = sources.iter().map(|s| s.name().to_owned()).collect();
    let recorded = recorded_sources(pipeline)?;
    if !names.starts_with(&recorded) {
        return Err(StartError::Sources {
            folder: pipeline.state.folder.display().to_string(),
            recorded: recorded.join(", "),
            configured: names.join(", "),
        });
    }
    if names != recorded {
        // Written whole beside it and renamed: a crash leaves the old list or the new one.
        let fresh = path.with_extension("json.new");
        let text = serde_json::to_vec(&names).map_err(|e| failed(e.into()))?;
        std::fs::write(&fresh, text)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(failed)?;
    }
    Ok(())
}

fn source_list(pipeline: &Pipeline) -> PathBuf {
    pipeline.state.folder.join("sources.json")
}

fn unkept(path: &Path, source: std::io::Error) -> StartError {
    let path = path.display().to_string();
    StartError::SourceList { path, source }
}

/// The names of the sources that the state knows, in its order.
fn recorded_sources(pipeline: &Pipeline) -> Result<Vec<String>, StartError> {
    let path = source_list(pipeline);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| unkept(&path, e.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unkept(&path, error)),
    }
}

/// What is computed and how; the model is not opened.
fn engine_options(pipeline: &Pipeline) -> EngineOptions {
    let mut options = EngineOptions::new(pipeline.graph.clone());
    options.rules = pipeline.rules.clone();
    options.keywords = pipeline.keywords.clone();
    options.rules_may_come = pipeline
        .sources
        .iter()
        .any(|s| s.collection() == Some(Collection::Rules));
    options.workers = pipeline.workers;
    let timed = |view: &groundswell_core::spec::ViewSpec| match view.window {
        WindowSpec::Sliding { every, .. } => Some(every),
        // Phases and sessions end at any moment, and may last for days.
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => view.keep.map(|_| HOUR),
        window => view.keep.map(|_| window.size()),
    };
    let watched = |view: &groundswell_core::spec::ViewSpec| {
        pipeline
            .rules
            .iter()
            .any(|rule| rule.view == view.name)
            .then(|| view.window.step())
    };
    let steps = pipeline
        .graph
        .views
        .iter()
        .flat_map(|view| [timed(view), watched(view)])
        .flatten();
    let events = pipeline.graph.events.and_then(|events| events.keep).map(|_| HOUR);
    options.ticks = TickOptions {
        every: Duration::from_millis(u64::try_from(pipeline.time.tick_ms).unwrap_or(100)),
        clock: match pipeline.time.clock {
            Clock::Wall => ClockMode::Wall,
            Clock::Event => ClockMode::Event,
        },
        max_future_skew: pipeline.time.max_future_skew_ms,
        idle_every: steps.chain(events).min(),
        ..TickOptions::default()
    };
    options.strict = pipeline.time.strict;
    options.pool = PoolOptions {
        limits: Limits {
            texts: pipeline.model.batch_max,
            ..Limits::default()
        },
        age: Duration::from_millis(u64::try_from(pipeline.model.batch_age_ms).unwrap_or(20)),
        ..PoolOptions::default()
    };
    let k = pipeline.serve.as_ref().and_then(|serve| serve.k_anonymity);
    options.count_authors = k.is_some();
    options.collect_posts = pipeline.serve.is_some();
    models::lifecycle(pipeline, &mut options);
    options
}

/// Who asks the model for those who ask the server.
fn predictor(configured: Arc<dyn Scorer>, engine: &Engine, limits: Limits) -> Result<Predictor, StartError> {
    let models = Arc::clone(engine.models());
    let live = move || models.live_scorer().unwrap_or_else(|| Arc::clone(&configured));
    Ok(Predictor::start(live, limits).map_err(EngineError::from)?)
}

/// The scorer a pipeline asks for; `None` if its records bring their sentiment.
#[cfg_attr(not(feature = "torch"), allow(unused_variables))] // then nothing has threads to be set
fn open_model(pipeline: &Pipeline, model: &LiveModel) -> Result<Option<Arc<dyn Scorer>>, StartError> {
    match model {
        LiveModel::Given => Ok(None),
        LiveModel::Fixture => Ok(Some(Arc::new(FixtureScorer::default()))),
        #[cfg(feature = "torch")]
        LiveModel::Bundle {
            path,
            device,
            precision,
        } => {
            use groundswell_models::torch::{DeviceChoice, Precision};
            use groundswell_models::{TorchOptions, TorchScorer};
            let device = match device {
                crate::config::Device::Auto => DeviceChoice::Auto,
                crate::config::Device::Cpu => DeviceChoice::Cpu,
                crate::config::Device::Cuda(n) => DeviceChoice::Cuda(*n),
            };
            let threads = pipeline.model.threads.unwrap_or(TorchOptions::default().threads);
            let precision = match precision {
                crate::config::Precision::Fp32 => Precision::Fp32,
                crate::config::Precision::Bf16 => Precision::Bf16,
                crate::config::Precision::Int8 => Precision::Int8,
            };
            let options = TorchOptions {
                device,
                threads,
                precision,
            };
            let scorer = TorchScorer::open(path, options).map_err(|e| StartError::Model(e.to_string()))?;
            Ok(Some(Arc::new(scorer)))
        }
        #[cfg(not(feature = "torch"))]
        LiveModel::Bundle { path, .. } => Err(StartError::Model(format!(
            "\"{}\" needs LibTorch, and this build was made without the feature \"torch\"",
            path.display()
        ))),
    }
}

fn sources(
    pipeline: &Pipeline,
    shared: &Shared,
    registries: &Registries,
    feeds: &Feeds,
) -> Result<Vec<Box<dyn Source>>, StartError> {
    all_at_once(&pipeline.sources, |source| {
        one_source(&source.name, &source.kind, pipeline, shared, registries, feeds)
    })
    .into_iter()
    .collect()
}

/// Does something that waits for others with every item, on a thread each.
fn all_at_once<T: Sync, R: Send>(items: &[T], open: impl Fn(&T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| open(item))).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// How a source's records are read.
fn decoder(
    (pipeline, name): (&Pipeline, &str),
    into: Collection,
    map: &BTreeMap<String, FieldRef>,
    deleted_body: DeletedBody,
) -> DecoderSpec {
    let fields = map.iter().map(|(field, at)| {
        let unit = at.unit.map(|unit| match unit {
            TimeUnit::Seconds => decode::TimeUnit::Seconds,
            TimeUnit::Millis => decode::TimeUnit::Milliseconds,
            TimeUnit::Micros => decode::TimeUnit::Microseconds,
        });
        let field_ref = decode::FieldRef {
            field: at.path.clone(),
            unit,
            prefix: at.prefix.clone(),
            with: at.with.clone(),
        };
        (field.clone(), field_ref)
    });
    // Rules follow windows side by side.
    let watchable = pipeline
        .graph
        .views
        .iter()
        .filter(|v| v.window.is_regular() && !v.extras.unwatched);
    let views = watchable.map(|v| v.name.clone());
    let spec = DecoderSpec::new(into.decoded())
        .with_map(FieldMap(fields.collect()))
        .with_views(views.collect())
        .with_source(
            pipeline
                .sources
                .iter()
                .find(|s| s.name == name)
                .and_then(|s| s.platform.clone()),
        )
        .with_numbers(pipeline.graph.numbers.clone());
    match deleted_body {
        DeletedBody::Gone => spec,
        DeletedBody::Text => spec.with_gone(Vec::new()),
    }
}

fn one_source(
    name: &str,
    kind: &SourceKind,
    pipeline: &Pipeline,
    shared: &Shared,
    registries: &Registries,
    feeds: &Feeds,
) -> Result<Box<dyn Source>, StartError> {
    Ok(match kind {
        SourceKind::Kafka(config) => kafka::source(name, config, pipeline, shared, registries)?,
        SourceKind::Feed(config) => feeds.source(name, config, pipeline, shared)?,
        SourceKind::File {
            path,
            into,
            pace,
            map,
            format,
            deleted_body,
        } => {
            let decoder = decoder((pipeline, name), *into, map, *deleted_body);
            Box::new(FileSource::new(FileSpec {
                name: name.to_owned(),
                path: path.clone(),
                decoder,
                format: match format {
                    FileFormat::Jsonl => file::Format::Lines,
                    FileFormat::Json | FileFormat::Yaml => file::Format::Document,
                },
                pace: match pace {
                    Pace::Full => file::Pace::Full,
                    Pace::Times(n) => file::Pace::Times(*n),
                    Pace::Follow => file::Pace::Follow,
                },
                max_future_skew_ms: pipeline.time.max_future_skew_ms,
            })?)
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share, checked to lie in [0, 1]
        SourceKind::Generator {
            seed,
            posts_per_minute,
            garbage,
            limit,
        } => Box::new(Generator::new(
            name,
            GeneratorSpec {
                seed: *seed,
                posts_per_minute: u32::try_from(*posts_per_minute).unwrap_or(u32::MAX),
                garbage_ppm: (garbage * 1e6).round() as u32,
                limit: *limit,
                ..GeneratorSpec::default()
            },
        )),
    })
}
