//! `type: kafka`, as source and as sink.

mod registry;

use super::error::quoted;
use super::field::Field;
use super::pipeline::{Collection, DeletedBody, FieldRef, SourceConfig, SourceKind};
use super::read::Section;
use super::secret::Secret;
use super::sources;
use super::tree::Value;
use groundswell_connectors::kafka::{OnGap, Start, check_properties};
use groundswell_core::number::NumberSpec;
use std::collections::BTreeMap;

pub use registry::RegistryConfig;

/// A cluster and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// `host:port`, separated by commas.
    pub addresses: String,
    /// How long a start waits for them (ms).
    pub timeout_ms: i64,
    /// Properties of librdkafka.
    pub properties: BTreeMap<String, Property>,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// Shown as it is.
    Plain(String),
    /// Never shown.
    Secret(Secret),
}

impl Property {
    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        match self {
            Property::Plain(value) => value,
            Property::Secret(secret) => secret.expose(),
        }
    }
}

/// A topic to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSourceConfig {
    /// Where it is.
    pub brokers: Brokers,
    /// The topic.
    pub topic: String,
    /// What its records are.
    pub into: Collection,
    /// How they are written, if not in JSON.
    pub registry: Option<RegistryConfig>,
    /// The group for lag tools; `None` is named after pipeline and source.
    pub group: Option<String>,
    /// Where the first start begins.
    pub start: Start,
    /// What to do about a retention gap.
    pub on_gap: OnGap,
    /// Longer records are dead letters.
    pub max_bytes: i64,
    /// Bytes fetched ahead.
    pub max_in_flight: i64,
    /// How often new partitions are looked for (ms).
    pub discover_ms: i64,
    /// Where fields are found that are named differently: our name → theirs.
    pub map: BTreeMap<String, FieldRef>,
    /// What a post's text is that only says it was taken away.
    pub deleted_body: DeletedBody,
}

/// A topic to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSinkConfig {
    /// Where it is.
    pub brokers: Brokers,
    /// The topic.
    pub topic: String,
    /// Whether missing topics are made.
    pub create_topics: bool,
    /// Partitions of a topic that is made; `None` leaves it to the brokers.
    pub partitions: Option<i32>,
    /// Settings of a topic that is made.
    pub topic_config: BTreeMap<String, String>,
    /// Who writes; `None` is named after pipeline and sink.
    pub transactional_id: Option<String>,
    /// Where progress is kept; `None` is named after pipeline and sink.
    pub progress_topic: Option<String>,
}

/// Reads a source's keys; every mistake is reported before giving up.
pub(super) fn source(section: &Section<'_>, numbers: &[NumberSpec]) -> Option<SourceKind> {
    let (brokers, topic) = (brokers(section), topic(section, "topic"));
    let into = section.required("into").and_then(|f| f.choice());
    let into = into.and_then(Collection::named);
    let registry = registry::registry(section);
    let group = optional(section, "group");
    let start = section.get("start").and_then(|f| start(&f));
    let on_gap = section.get("on_gap").and_then(|f| f.choice()).map(|word| match word {
        "earliest" => OnGap::Earliest,
        _ => OnGap::Fail,
    });
    let max_bytes = section.get("max_bytes").and_then(|f| f.size());
    let max_in_flight = section.get("max_in_flight").and_then(|f| f.size());
    let discover_ms = section.get("discover").and_then(|f| f.duration());
    let deleted_body = sources::deleted_body(section, into);
    let map = section
        .given("map")
        .map_or(Some(BTreeMap::new()), |f| sources::map(&f, into, numbers));
    Some(SourceKind::Kafka(Box::new(KafkaSourceConfig {
        brokers: brokers?,
        topic: topic?,
        into: into?,
        registry: registry?,
        group: group?,
        start: start?,
        on_gap: on_gap?,
        max_bytes: max_bytes?,
        max_in_flight: max_in_flight?,
        discover_ms: discover_ms?,
        map: map?,
        deleted_body: deleted_body?,
    })))
}

/// Reads a sink's keys; every mistake is reported before giving up.
pub(super) fn sink(section: &Section<'_>, sources: Option<&[SourceConfig]>) -> Option<KafkaSinkConfig> {
    let (brokers, topic) = (brokers(section), topic(section, "topic"));
    let topic = topic.filter(|topic| not_read(section, topic, brokers.as_ref(), sources));
    let create_topics = section.get("create_topics").and_then(|f| f.bool());
    let partitions = section.given("partitions").map_or(Some(None), |f| {
        let count = f.integer()?;
        Some(i32::try_from(count).ok())
    });
    let topic_config = section.given("topic_config").map_or(Some(BTreeMap::new()), |f| {
        let settings = f.section()?.named();
        settings
            .into_iter()
            .map(|(name, f)| Some((name.to_string(), f.text()?)))
            .collect()
    });
    let transactional_id = optional(section, "transactional_id");
    let progress_topic = match section.given("progress_topic") {
        None => Some(None),
        Some(_) => self::topic(section, "progress_topic").map(Some),
    };
    Some(KafkaSinkConfig {
        brokers: brokers?,
        topic: topic?,
        create_topics: create_topics?,
        partitions: partitions?,
        topic_config: topic_config?,
        transactional_id: transactional_id?,
        progress_topic: progress_topic?,
    })
}

fn optional(section: &Section<'_>, name: &str) -> Option<Option<String>> {
    section.given(name).map_or(Some(None), |f| f.text().map(Some))
}

fn brokers(section: &Section<'_>) -> Option<Brokers> {
    let addresses = section.required("brokers").and_then(|f| {
        let text = f.text()?;
        let good = |address: &str| {
            let port = address
                .trim()
                .rsplit_once(':')
                .map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
            matches!(port, Some((true, Ok(1..))))
        };
        if let Some(wrong) = text.split(',').find(|address| !good(address)) {
            let hint = "write host:port, several separated by commas".to_owned();
            f.error(
                format!("{} is not the address of a broker", quoted(wrong.trim())),
                Some(hint),
            );
            return None;
        }
        Some(text)
    });
    let timeout_ms = section.get("timeout").and_then(|f| f.duration());
    let properties = section.given("properties").map_or(Some(BTreeMap::new()), |f| {
        let all = f.section()?.named();
        // Every entry is read before giving up, so that every mistake is seen.
        let read: Vec<_> = all
            .iter()
            .map(|(name, f)| Some((name.to_string(), property(name, f)?)))
            .collect();
        read.into_iter().collect()
    });
    Some(Brokers {
        addresses: addresses?,
        timeout_ms: timeout_ms?,
        properties: properties?,
    })
}

/// Properties whose values are secrets, by what their names contain.
const SECRETS: [&str; 5] = ["password", "secret", "key.pem", "oauthbearer.config", "ssl_key"];

fn property(name: &str, field: &Field<'_>) -> Option<Property> {
    let text = field.text()?;
    let property = if SECRETS.iter().any(|part| name.contains(part)) {
        if let Value::Scalar { text: written, .. } = &field.node.value
            && !written.contains("${")
            && !written.starts_with("file:")
        {
            let hint = format!("write {name}: \"${{NAME}}\", or file:PATH");
            field.error("a password does not belong into this file", Some(hint));
            return None;
        }
        match Secret::read(&text, field.reader.base) {
            Ok(secret) => Property::Secret(secret),
            Err(why) => {
                field.error(why, None);
                return None;
            }
        }
    } else {
        Property::Plain(text)
    };
    match check_properties(&[(name.to_owned(), property.expose().to_owned())].into()) {
        Ok(()) => Some(property),
        Err(error) => {
            field.error(error.to_string(), error.hint().map(str::to_owned));
            None
        }
    }
}

/// A name that Kafka takes for a topic.
fn topic(section: &Section<'_>, name: &str) -> Option<String> {
    let field = section.required(name)?;
    let text = field.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 249 || !text.chars().all(legal) || text == "." || text == ".." {
        let hint = "Kafka takes letters, digits, \".\", \"_\" and \"-\", at most 249".to_owned();
        field.error(format!("{} is not the name of a topic", quoted(&text)), Some(hint));
        return None;
    }
    Some(text)
}

/// Whether no source reads what a sink is to write: that would go in circles.
fn not_read(section: &Section<'_>, topic: &str, brokers: Option<&Brokers>, sources: Option<&[SourceConfig]>) -> bool {
    let reads = |source: &&SourceConfig| match &source.kind {
        SourceKind::Kafka(kafka) => {
            kafka.topic == topic && brokers.is_some_and(|b| b.addresses == kafka.brokers.addresses)
        }
        _ => false,
    };
    let Some(source) = sources.unwrap_or_default().iter().find(reads) else {
        return true;
    };
    if let Some(field) = section.given("topic") {
        field.error(format!("{topic} is what sources.{} reads", source.name), None);
    }
    false
}

fn start(field: &Field<'_>) -> Option<Start> {
    if field.is("earliest") {
        return Some(Start::Earliest);
    }
    if field.is("latest") {
        return Some(Start::Latest);
    }
    let section = field.section()?;
    match (section.given("timestamp"), section.given("offsets")) {
        (Some(at), None) => timestamp(&at).map(Start::Timestamp),
        (None, Some(offsets)) => {
            let all = offsets.section()?.named();
            let entry = |(name, field): &(std::rc::Rc<str>, Field<'_>)| {
                let Ok(partition) = name.parse::<u32>() else {
                    field.key_error(format!("{} is not the number of a partition", quoted(name)), None);
                    return None;
                };
                Some((partition, u64::try_from(field.integer()?).ok()?))
            };
            let read: Vec<_> = all.iter().map(entry).collect();
            read.into_iter().collect::<Option<_>>().map(Start::Offsets)
        }
        _ => {
            let hint = "write earliest, latest, {timestamp: …} or {offsets: {…}}".to_owned();
            field.error("a start is one of several", Some(hint));
            None
        }
    }
}

fn timestamp(field: &Field<'_>) -> Option<i64> {
    let text = field.text()?;
    let parsed = text.parse::<i64>().ok().filter(|at| *at >= 0);
    let parsed = parsed.or_else(|| text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond()));
    if parsed.is_none() {
        let hint = "as in 2026-11-01T00:00:00Z, or epoch milliseconds".to_owned();
        field.error(format!("{} is not a time", quoted(&text)), Some(hint));
    }
    parsed
}
