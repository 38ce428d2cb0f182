//! `sinks:`

use super::field::Field;
use super::pipeline::{SinkConfig, SinkFrom, SinkKind, SourceConfig, SourceKind, StateConfig, WebhookConfig};
use super::read::Section;
use super::secret::Secret;
use super::sources::checked_name;
use groundswell_connectors::webhook::{Body, check_url};
use std::path::{Path, PathBuf};

/// Name of the sink for dead letters that is there without being configured.
const DEAD_LETTERS: &str = "dead_letters";

/// What a sink can take besides alerts and dead letters.
#[derive(Clone, Copy)]
pub(super) struct Origins<'a> {
    /// The views.
    pub(super) views: &'a [String],
    /// Whether there can be keyword events.
    pub(super) events: bool,
}

/// Reads the sinks and adds the one for dead letters if there is none.
pub(super) fn sinks(
    root: &Section<'_>,
    origins: Origins<'_>,
    sources: Option<&[SourceConfig]>,
    state: Option<&StateConfig>,
) -> Option<Vec<SinkConfig>> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    let mut good = true;
    for (name, field) in root.section("sinks")?.named() {
        match sink(&name, &field, origins, sources, &sinks) {
            Some(sink) => sinks.push(sink),
            None => good = false,
        }
    }
    if !good {
        return None;
    }
    if !sinks.iter().any(SinkConfig::takes_dead_letters) {
        let kind = SinkKind::File {
            path: state?.folder.join("dead_letters.jsonl"),
        };
        sinks.push(SinkConfig {
            name: DEAD_LETTERS.to_owned(),
            from: SinkFrom::DeadLetters,
            kind,
        });
    }
    Some(sinks)
}

fn sink(
    name: &str,
    field: &Field<'_>,
    origins: Origins<'_>,
    sources: Option<&[SourceConfig]>,
    before: &[SinkConfig],
) -> Option<SinkConfig> {
    let checked = checked_name(name, field);
    let (section, kind) = field.variant("type")?;
    if kind == "postgres" {
        let url = section.required("url").and_then(|f| database(&f));
        let tables = section.get("views").and_then(|f| tables(&f, origins.views));
        let events = section.get("events").and_then(|f| f.bool());
        let (alerts, dead) = (section.get("alerts"), section.get("dead_letters"));
        let (alerts, dead) = (alerts.and_then(|f| f.bool()), dead.and_then(|f| f.bool()));
        if name == DEAD_LETTERS {
            kept(field);
            return None;
        }
        return Some(SinkConfig {
            name: checked?,
            from: SinkFrom::Tables,
            kind: SinkKind::Postgres {
                url: url?,
                views: tables?,
                alerts: alerts?,
                events: events?,
                dead_letters: dead?,
            },
        });
    }
    if kind == "http" {
        let from = match section.given("from") {
            Some(field) => posted(&field, origins),
            None => Some(SinkFrom::Rules),
        };
        let webhook = webhook(&section);
        if name == DEAD_LETTERS {
            kept(field);
            return None;
        }
        return Some(SinkConfig {
            name: checked?,
            from: from?,
            kind: SinkKind::Webhook(Box::new(webhook?)),
        });
    }
    if kind == "kafka" {
        let kafka = super::kafka::sink(&section, sources);
        let from = section.required("from").and_then(|f| from(&f, origins));
        if name == DEAD_LETTERS && from.as_ref().is_some_and(|f| *f != SinkFrom::DeadLetters) {
            kept(field);
            return None;
        }
        return Some(SinkConfig {
            name: checked?,
            from: from?,
            kind: SinkKind::Kafka(Box::new(kafka?)),
        });
    }
    if let Some(format) = section.get("format") {
        format.choice();
    }
    let path = section.required("path").and_then(|f| target(&f, sources, before));
    let from = section.required("from").and_then(|f| from(&f, origins));
    if name == DEAD_LETTERS && from.as_ref().is_some_and(|f| *f != SinkFrom::DeadLetters) {
        kept(field);
        return None;
    }
    Some(SinkConfig {
        name: checked?,
        from: from?,
        kind: SinkKind::File { path: path? },
    })
}

fn webhook(section: &Section<'_>) -> Option<WebhookConfig> {
    let url = section.required("url").and_then(|f| {
        let url = f.secret()?;
        match check_url(url.expose()) {
            Ok(()) => Some(url),
            Err(why) => {
                f.error(format!("the url cannot be used: {why}"), None);
                None
            }
        }
    });
    let secret = match section.given("secret") {
        Some(field) => field.secret().map(Some),
        None => Some(None),
    };
    let body = section.get("body").and_then(|f| f.choice());
    let duration = |key| section.get(key).and_then(|f| f.duration());
    let (timeout, pause) = (duration("timeout"), duration("longest_pause"));
    let past = section.get("past").and_then(|f| f.choice());
    Some(WebhookConfig {
        url: url?,
        secret: secret?,
        body: body.and_then(|word| Body::ALL.into_iter().find(|b| b.name() == word))?,
        timeout_ms: timeout?,
        longest_pause_ms: pause?,
        past: past? == "send",
    })
}

fn kept(field: &Field<'_>) {
    field.key_error(
        "this name is kept for the sink of the dead letters; choose another",
        None,
    );
}

fn database(field: &Field<'_>) -> Option<Secret> {
    let url = field.secret()?;
    if ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.expose().starts_with(scheme))
    {
        return Some(url);
    }
    let hint = "as in postgres://user:password@host:5432/database".to_owned();
    field.error("the url does not begin with postgres://", Some(hint));
    None
}

/// The views named, each once; or all.
fn tables(field: &Field<'_>, views: &[String]) -> Option<Vec<String>> {
    if field.is("all") {
        return Some(views.to_vec());
    }
    let mut named: Vec<String> = Vec::new();
    let mut good = true;
    for item in field.list("a list of views, or all")? {
        match item.text() {
            Some(name) if named.contains(&name) => {
                item.error(format!("\"{name}\" stands here twice"), None);
                good = false;
            }
            Some(name) if views.contains(&name) => named.push(name),
            Some(name) => {
                let known: Vec<&str> = views.iter().map(String::as_str).collect();
                item.unknown("view", &name, &known);
                good = false;
            }
            None => good = false,
        }
    }
    good.then_some(named)
}

/// What a webhook posts.
fn posted(field: &Field<'_>, origins: Origins<'_>) -> Option<SinkFrom> {
    match from(field, origins)? {
        from @ (SinkFrom::Rules | SinkFrom::Events) => Some(from),
        _ => {
            let hint = "`from: rules` or `from: events`; the others go to files, topics and tables".to_owned();
            field.error("a webhook posts alerts or keyword events", Some(hint));
            None
        }
    }
}

fn from(field: &Field<'_>, Origins { views, events }: Origins<'_>) -> Option<SinkFrom> {
    let word = field.text()?;
    match word.as_str() {
        "rules" => Some(SinkFrom::Rules),
        "events" if events => Some(SinkFrom::Events),
        "events" => {
            let hint = "add `keywords:`, or a source with `into: keywords`".to_owned();
            field.error("there are no keywords that could make events", Some(hint));
            None
        }
        "dead_letters" => Some(SinkFrom::DeadLetters),
        _ if views.contains(&word) => Some(SinkFrom::View(word)),
        _ => {
            let known: Vec<&str> = ["rules", "events", "dead_letters"]
                .into_iter()
                .chain(views.iter().map(String::as_str))
                .collect();
            field.unknown("origin", &word, &known);
            None
        }
    }
}

/// A file that can be written and that nothing else reads or writes.
fn target(field: &Field<'_>, sources: Option<&[SourceConfig]>, before: &[SinkConfig]) -> Option<PathBuf> {
    let path = field.path()?;
    let reader = sources.unwrap_or_default().iter().find(|s| reads(s, &path));
    let writer = before
        .iter()
        .find(|s| matches!(&s.kind, SinkKind::File { path: p } if *p == path));
    if path.is_dir() {
        field.error(format!("{} is a folder, not a file", path.display()), None);
    } else if let Some(source) = reader {
        field.error(
            format!("{} is what sources.{} reads", path.display(), source.name),
            None,
        );
    } else if let Some(sink) = writer {
        field.error(format!("{} is what sinks.{} writes", path.display(), sink.name), None);
    } else {
        return Some(path);
    }
    None
}

fn reads(source: &SourceConfig, file: &Path) -> bool {
    matches!(&source.kind, SourceKind::File { path, .. } if path == file)
}
