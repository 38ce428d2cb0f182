//! `sources:`

use super::error::quoted;
use super::field::Field;
use super::pipeline::{
    Collection, DeletedBody, FeedConfig, FieldRef, FileFormat, Pace, SourceConfig, SourceKind, TimeUnit, is_time,
};
use super::read::Section;
use super::settings::is_name;
use groundswell_connectors::decode::{self, Decoder, DecoderSpec, FieldMap};
use groundswell_core::number::NumberSpec;
use std::collections::BTreeMap;
use std::path::Path;

/// Greatest speed of a replay; beyond it `full` is meant.
const MAX_PACE: f64 = 1e9;

/// Reads the sources; at least one.
pub(super) fn sources(root: &Section<'_>, numbers: &[NumberSpec]) -> Option<Vec<SourceConfig>> {
    let field = root.required("sources")?;
    let all = field.section()?.named();
    if all.is_empty() {
        field.key_error("a pipeline needs at least one source", None);
    }
    // Every entry is read before giving up, so that every mistake is seen.
    let read: Vec<Option<SourceConfig>> = all
        .iter()
        .map(|(name, field)| {
            let source = source(field, numbers);
            let name = checked_name(name, field);
            let (kind, platform) = source?;
            Some(SourceConfig {
                name: name?,
                kind,
                platform,
            })
        })
        .collect();
    read.into_iter().collect()
}

/// The user's name for a source, view, rule or sink.
pub(super) fn checked_name(name: &str, field: &Field<'_>) -> Option<String> {
    if !is_name(name, false) {
        let hint = "use a lower-case letter, then letters, digits or \"_\"; at most 63".to_owned();
        field.key_error(format!("{} is not a name", quoted(name)), Some(hint));
        return None;
    }
    Some(name.to_owned())
}

fn source(field: &Field<'_>, numbers: &[NumberSpec]) -> Option<(SourceKind, Option<String>)> {
    let (section, kind) = field.variant("type")?;
    let source = match kind {
        "generator" => return Some((generator(&section)?, None)),
        "kafka" => super::kafka::source(&section, numbers),
        "feed" => feed(&section),
        _ => file(&section, numbers),
    };
    let platform = section.given("platform").map_or(Some(None), |f| f.text().map(Some));
    let (source, platform) = (source?, platform?);
    let into = match &source {
        SourceKind::File { into, .. } => *into,
        SourceKind::Kafka(kafka) => kafka.into,
        SourceKind::Feed(_) | SourceKind::Generator { .. } => Collection::Posts,
    };
    if let Some(field) = section.given("platform").filter(|_| into != Collection::Posts) {
        field.key_error(format!("{} have no platform; leave it out", into.name()), None);
        return None;
    }
    Some((source, platform))
}

fn generator(section: &Section<'_>) -> Option<SourceKind> {
    let whole = |name: &str| {
        section
            .get(name)
            .and_then(|f| f.integer())
            .and_then(|v| u64::try_from(v).ok())
    };
    let (seed, posts_per_minute) = (whole("seed"), whole("posts_per_minute"));
    let garbage = section.get("garbage").and_then(|f| f.number());
    let limit = section.get("limit").and_then(|f| {
        if f.is("none") {
            Some(None)
        } else {
            whole("limit").map(Some)
        }
    });
    Some(SourceKind::Generator {
        seed: seed?,
        posts_per_minute: posts_per_minute?,
        garbage: garbage?,
        limit: limit?,
    })
}

fn feed(section: &Section<'_>) -> Option<SourceKind> {
    let feeds = section.required("feeds").and_then(|field| {
        let all = field.section()?.named();
        if all.is_empty() {
            field.key_error("there is no feed to read", None);
            return None;
        }
        let read: Vec<Option<(String, String, i64)>> = all
            .iter()
            .map(|(name, field)| {
                let name = checked_name(name, field);
                let section = field.section()?;
                let url = section.required("url").and_then(|f| address(&f));
                let interval = section.get("interval").and_then(|f| f.duration());
                Some((name?, url?, interval?))
            })
            .collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    let whole = |section: &Section<'_>, name: &str| {
        let number = section.get(name).and_then(|f| f.integer());
        number.and_then(|n| u32::try_from(n).ok())
    };
    let time = |section: &Section<'_>, name: &str| section.get(name).and_then(|f| f.duration());
    let (rate, retry) = (section.section("rate")?, section.section("retry")?);
    let breaker = section.section("breaker")?;
    let (requests, per_ms) = (whole(&rate, "requests"), time(&rate, "per"));
    let (attempts, base_ms, longest_ms) = (whole(&retry, "attempts"), time(&retry, "base"), time(&retry, "longest"));
    let (failures, open_ms) = (whole(&breaker, "failures"), time(&breaker, "open"));
    let max_bytes = section.get("max_bytes").and_then(|f| f.size());
    Some(SourceKind::Feed(Box::new(FeedConfig {
        feeds: feeds?,
        requests: requests?,
        per_ms: per_ms?,
        attempts: attempts?,
        base_ms: base_ms?,
        longest_ms: longest_ms?,
        failures: failures?,
        open_ms: open_ms?,
        timeout_ms: time(section, "timeout")?,
        max_bytes: max_bytes?,
    })))
}

/// The address of a feed.
fn address(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match groundswell_connectors::feed::check_url(&text) {
        Ok(()) => Some(text),
        Err(why) => {
            field.error(format!("{} is no address of a feed: {why}", quoted(&text)), None);
            None
        }
    }
}

fn file(section: &Section<'_>, numbers: &[NumberSpec]) -> Option<SourceKind> {
    let into = section
        .required("into")
        .and_then(|f| f.choice())
        .and_then(Collection::named);
    let pace = section.get("pace").and_then(|f| pace(&f));
    let path_field = section.required("path");
    let path = path_field
        .as_ref()
        .and_then(|f| f.path().filter(|path| readable(f, path, pace)));
    let format = section
        .get("format")
        .and_then(|f| f.choice())
        .and_then(|word| match word {
            "auto" => format_of(path_field.as_ref()?, path.as_deref()?, into),
            word => FileFormat::named(word).or_else(|| {
                let hint = "write jsonl, json or yaml".to_owned();
                section
                    .get("format")?
                    .error(format!("files are not read as {word}"), Some(hint));
                None
            }),
        });
    let deleted_body = deleted_body(section, into);
    let map = section
        .given("map")
        .map_or(Some(BTreeMap::new()), |f| map(&f, into, numbers));
    Some(SourceKind::File {
        path: path?,
        into: into?,
        pace: pace?,
        map: map?,
        format: format?,
        deleted_body: deleted_body?,
    })
}

/// What a post's text is that only says it was taken away.
pub(super) fn deleted_body(section: &Section<'_>, into: Option<Collection>) -> Option<DeletedBody> {
    let other = into.filter(|into| *into != Collection::Posts);
    if let (Some(field), Some(into)) = (section.given("deleted_body"), other) {
        let problem = format!("{} have no text that could be gone; leave it out", into.name());
        field.key_error(problem, None);
        return None;
    }
    section.get("deleted_body")?.choice().and_then(DeletedBody::named)
}

fn pace(field: &Field<'_>) -> Option<Pace> {
    let text = field.text()?;
    match text.as_str() {
        "full" => return Some(Pace::Full),
        "follow" => return Some(Pace::Follow),
        _ => {}
    }
    match text.strip_suffix('x').and_then(|n| n.trim().parse::<f64>().ok()) {
        Some(times) if times > 0.0 && times <= MAX_PACE => Some(Pace::Times(times)),
        _ => {
            let hint = "write full, follow, or a speed-up such as \"60x\"".to_owned();
            field.error(format!("{} is not a pace", quoted(&text)), Some(hint));
            None
        }
    }
}

/// Whether the file can be read now; a followed one may come later.
fn readable(field: &Field<'_>, path: &Path, pace: Option<Pace>) -> bool {
    let follow = pace == Some(Pace::Follow);
    let name = path.to_string_lossy();
    match std::fs::metadata(path) {
        _ if follow && uncompressed(&name) != name => {
            let hint = "unpack it, or leave out \"pace: follow\"".to_owned();
            field.error(format!("{name} is compressed, so it cannot be followed"), Some(hint));
        }
        Ok(meta) if meta.is_dir() => field.error(format!("{name} is a folder, not a file"), None),
        Ok(_) => return true,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && follow => return true,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let hint = "paths are relative to the pipeline file; with \"pace: follow\" it may come later".to_owned();
            field.error(format!("no file at {name}"), Some(hint));
        }
        Err(e) => field.error(format!("cannot read {name}: {e}"), None),
    }
    false
}

/// The format by the file's name, compression aside. A `.json` of posts or votes may be either of two things.
fn format_of(field: &Field<'_>, path: &Path, into: Option<Collection>) -> Option<FileFormat> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let bulk = matches!(
        into,
        Some(Collection::Posts | Collection::Votes | Collection::Interactions | Collection::Follows)
    );
    match uncompressed(&name).rsplit_once('.').map(|(_, extension)| extension) {
        Some("jsonl" | "ndjson") => Some(FileFormat::Jsonl),
        Some("json") if !bulk => Some(FileFormat::Json),
        Some("yaml" | "yml") => Some(FileFormat::Yaml),
        _ => {
            let hint = "add \"format: jsonl\" (one object a line), or json, or yaml".to_owned();
            field.error(
                format!("cannot tell the format of {} by its name", quoted(&name)),
                Some(hint),
            );
            None
        }
    }
}

fn uncompressed(name: &str) -> &str {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(".zst").unwrap_or(name)
}

pub(super) fn map(
    field: &Field<'_>,
    into: Option<Collection>,
    numbers: &[NumberSpec],
) -> Option<BTreeMap<String, FieldRef>> {
    let mut map = BTreeMap::new();
    let mut good = true;
    for (name, field) in field.section()?.named() {
        if let Some(into) = into
            && !into.fields().contains(&&*name)
            && !(matches!(into, Collection::Posts | Collection::Authors) && numbers.iter().any(|n| *n.name == *name))
        {
            field.key_unknown(&format!("field of {}", into.name()), &name, into.fields());
            good = false;
        }
        match field_ref(&name, &field) {
            Some(reference) => drop(map.insert(name.to_string(), reference)),
            None => good = false,
        }
    }
    if let (true, Some(into)) = (good, into) {
        for problem in conflicts(&map, into, numbers) {
            field.error(problem, None);
            good = false;
        }
    }
    good.then_some(map)
}

/// What is wrong with a map as a whole, by the decoder that will use it.
fn conflicts(map: &BTreeMap<String, FieldRef>, into: Collection, numbers: &[NumberSpec]) -> Vec<String> {
    let fields = map.iter().map(|(name, found)| {
        let reference = decode::FieldRef {
            prefix: found.prefix.clone(),
            with: found.with.clone(),
            ..decode::FieldRef::from(found.path.as_str())
        };
        (name.clone(), reference)
    });
    let spec = DecoderSpec::new(into.decoded())
        .with_map(FieldMap(fields.collect()))
        .with_numbers(numbers.to_vec());
    Decoder::new(spec).map_or_else(|error| error.problems, |_| Vec::new())
}

fn field_ref(name: &str, field: &Field<'_>) -> Option<FieldRef> {
    let dotted = |f: &Field<'_>| {
        let path = f.text()?;
        if path.split('.').any(str::is_empty) {
            f.error(
                format!("{} is neither a field's name nor a dotted path", quoted(&path)),
                None,
            );
            return None;
        }
        Some(path)
    };
    if !field.is_section() {
        return Some(FieldRef {
            path: dotted(field)?,
            unit: None,
            prefix: None,
            with: Vec::new(),
        });
    }
    let section = field.section()?;
    let path = section.required("field").and_then(|f| dotted(&f));
    let unit = match section.given("unit") {
        None => Some(None),
        Some(f) if !is_time(name) => {
            f.key_error(format!("\"{name}\" is no time, so it has no unit"), None);
            None
        }
        Some(f) => f.choice().and_then(TimeUnit::named).map(Some),
    };
    let optional = |key: &str| section.given(key).map_or(Some(None), |f| f.text().map(Some));
    let prefix = optional("prefix");
    let with = section.given("with").map_or(Some(Vec::new()), |f| {
        let items = f.list("a list of fields")?;
        items.iter().map(dotted).collect()
    });
    Some(FieldRef {
        path: path?,
        unit: unit?,
        prefix: prefix?,
        with: with?,
    })
}
