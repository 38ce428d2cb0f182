//! The pipeline file: YAML text → a validated [`Pipeline`], or every mistake in it at once with its place.
//!
//! [`load`] and [`parse`] are the way in; nothing but [`Pipeline`] comes out. The stages, one file each:
//!
//! ```text
//! text ─ tree ─▶ nodes with line and column, aliases resolved, duplicate keys reported
//!      ─ read, field ─▶ sections and typed values, checked against the table of keys; ${ENV} resolved
//!      ─ settings, sources, views, sinks ─▶ the parts of a Pipeline, semantics checked
//! ```
//!
//! `keys` is the table of all keys: it decides what is known, names the defaults and limits, and is what
//! [`reference_markdown`] prints. Reading looks at the file system only to see whether named files and folders exist.

mod error;
mod events;
mod fallback;
mod field;
mod kafka;
mod keys;
mod models;
mod pipeline;
mod print;
mod read;
mod reference;
mod secret;
mod serve;
mod settings;
mod sinks;
mod sources;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod views;

pub use error::{ConfigError, ConfigErrors};
pub use fallback::{FallbackConfig, HttpConfig};
pub use kafka::{Brokers, KafkaSinkConfig, KafkaSourceConfig, Property, RegistryConfig};
pub use pipeline::{
    AuthConfig, Clock, Collection, DeletedBody, Device, FeedConfig, FeedModel, FeedRoutes, FieldRef, FileFormat,
    JwtConfig, JwtKeys, KeyConfig, LifecycleConfig, LiveModel, ModelConfig, Pace, Pipeline, Precision, RoutesConfig,
    Schemas, SentimentRoutes, ServeConfig, ShadowConfig, ShadowModel, SinkConfig, SinkFrom, SinkKind, SourceConfig,
    SourceKind, StateConfig, ThreadRoutes, TimeConfig, TimeUnit, WebhookConfig,
};
pub use reference::reference_markdown;
pub use secret::{Secret, mask_url};

use error::Pos;
use groundswell_core::spec::GraphSpec;
use read::Reader;
use std::cell::RefCell;
use std::io::Read;
use std::path::Path;

/// Longest pipeline file.
const MAX_BYTES: u64 = 1 << 20;

/// Reads and validates a pipeline file with the process's environment.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Pipeline, ConfigErrors> {
    let file = path.display().to_string();
    let whole = |message: String, hint: Option<&str>| {
        let error = ConfigError {
            file: file.clone(),
            line: 0,
            column: 0,
            path: String::new(),
            message,
            hint: hint.map(str::to_owned),
        };
        ConfigErrors::new(vec![error])
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| whole(format!("cannot read the pipeline file: {e}"), None))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(whole(
            format!("larger than {MAX_BYTES} bytes"),
            Some("a pipeline file is YAML text, not data"),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        whole(
            format!("not UTF-8 text (at byte {at})"),
            Some("a pipeline file is YAML text"),
        )
    })?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&text, &file, base, &|name| std::env::var(name).ok())
}

/// Validates the text of a pipeline file. `file` names it in messages, relative paths start from `base`, and `env`
/// answers `${NAME}`.
///
/// # Errors
/// Every mistake in it.
pub fn parse(
    text: &str,
    file: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Pipeline, ConfigErrors> {
    let reader = Reader {
        file,
        base,
        env,
        errors: RefCell::default(),
    };
    let start = Pos { line: 1, column: 1 };
    let (root, mistakes) = tree::parse(text);
    let parsed = root.is_some() || mistakes.is_empty();
    for (pos, path, message, hint) in mistakes {
        reader.report(pos, &path, message, hint);
    }
    let pipeline = match &root {
        Some(node) if !node.is_null() => pipeline(&reader, node),
        _ if parsed => {
            let hint = "a pipeline needs at least a name, sources and views".to_owned();
            reader.report(start, "", "the file is empty".to_owned(), Some(hint));
            None
        }
        _ => None,
    };
    if let Some(pipeline) = pipeline
        && reader.errors.borrow().is_empty()
    {
        return Ok(pipeline);
    }
    if reader.errors.borrow().is_empty() {
        // Every `None` has reported why; should one not have, this is still an error and says so.
        reader.report(
            start,
            "",
            "rejected without a reason; this is a fault of the program".to_owned(),
            None,
        );
    }
    Err(ConfigErrors::new(reader.errors.into_inner()))
}

/// Reads all sections before giving up on any.
fn pipeline<'a>(reader: &'a Reader<'a>, node: &tree::Node) -> Option<Pipeline> {
    let root = reader.root(node)?;
    let (name, state, time) = (settings::name(&root), settings::state(&root), settings::time(&root));
    let numbers = views::numbers(&root);
    let sources = sources::sources(&root, numbers.as_deref().unwrap_or_default());
    let keywords = events::keywords(&root);
    let events = events::events(&root, keywords.as_deref(), sources.as_deref());
    let (link, model, weight) = (settings::link(&root), settings::model(&root), settings::weight(&root));
    let lifecycle = models::lifecycle(&root, model.as_ref());
    let (views, names) = (views::views(&root, numbers.as_deref()), views::view_names(&root));
    let (views, policies) = views.map_or((None, None), |(views, policies)| (Some(views), Some(policies)));
    let below = model.as_ref().and_then(|model| model.fallback.as_ref());
    let scoring = fallback::scoring(&root, policies.unwrap_or_default(), below);
    if time.is_some_and(|time| time.strict) && below.is_some_and(|below| below.http.is_some()) {
        let hint = "leave `models.fallback.http` out, or `time.strict`".to_owned();
        root.error(
            "time.strict waits for a tick's scores, and an HTTP scorer is waited for by nobody",
            Some(hint),
        );
    }
    let rules = views::rules(&root, &names, views.as_deref());
    views::watchable(&root, views.as_deref(), rules.as_deref(), sources.as_deref());
    let origins = sinks::Origins {
        views: &names,
        // What is wrong with `events:` is said once.
        events: events.is_none_or(|events| events.is_some()),
    };
    let sinks = sinks::sinks(&root, origins, sources.as_deref(), state.as_ref());
    let known = serve::Known {
        names: &names,
        specs: views.as_deref(),
    };
    let (serve, workers) = (serve::serve(&root, known), settings::workers(&root));
    let has_ties = sources
        .as_deref()
        .is_some_and(|sources| sources.iter().any(SourceConfig::has_ties));
    let feeds = serve
        .iter()
        .flatten()
        .any(|serve| serve.routes.as_ref().is_some_and(|r| r.feeds.is_some()));
    if feeds && !has_ties && sources.is_some() {
        let hint =
            "add a source with `into: interactions` or `into: follows`, or leave `serve.routes.feeds` out".to_owned();
        root.error(
            "serve.routes.feeds has no source of what users do with posts and whom they follow",
            Some(hint),
        );
    }
    Some(Pipeline {
        graph: GraphSpec {
            name: name?,
            views: views?,
            link: link?,
            weight: weight?,
            scoring: scoring?,
            events: events?,
            numbers: numbers?,
            ties: has_ties,
        },
        keywords: keywords?,
        rules: rules?,
        sources: sources?,
        sinks: sinks?,
        state: state?,
        time: time?,
        model: model?,
        lifecycle: lifecycle?,
        serve: serve?,
        workers: workers?,
    })
}
