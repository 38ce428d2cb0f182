//! A pipeline file after validation: the only form in which configuration reaches other code.

mod collection;
mod feed;
mod serve;
mod sink;

pub use feed::FeedConfig;
pub use serve::{
    AuthConfig, FeedModel, FeedRoutes, JwtConfig, JwtKeys, KeyConfig, RoutesConfig, SentimentRoutes, ServeConfig,
    ThreadRoutes,
};
pub use sink::SinkFrom;

use super::fallback::FallbackConfig;
use super::kafka::{KafkaSinkConfig, KafkaSourceConfig};
use super::secret::Secret;
use groundswell_connectors::webhook::Body;
use groundswell_core::keywords::Keyword;
use groundswell_core::spec::{GraphSpec, RuleSpec};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A validated pipeline. Paths are absolute, times are milliseconds, names refer to things that exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// What is computed: name, views, linking, weights.
    pub graph: GraphSpec,
    /// The rules of the file, in its order.
    pub rules: Vec<RuleSpec>,
    /// The keywords of the file, in its order.
    pub keywords: Vec<Keyword>,
    /// Where records come from, in the order of the file: the index is the source's id in the record.
    pub sources: Vec<SourceConfig>,
    /// Where results go. One of them takes the dead letters.
    pub sinks: Vec<SinkConfig>,
    /// Where the record lives.
    pub state: StateConfig,
    /// How time passes.
    pub time: TimeConfig,
    /// What scores texts.
    pub model: ModelConfig,
    /// The models beside the live one, and how one takes another's place.
    pub lifecycle: LifecycleConfig,
    /// HTTP, WebSocket and console; `None` serves nothing.
    pub serve: Option<ServeConfig>,
    /// Threads of the dataflow.
    pub workers: usize,
}

/// `state:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The state folder.
    pub folder: PathBuf,
    /// Fold the log into the snapshot when it has grown by this many bytes.
    pub fold_after: u64,
}

/// `time:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeConfig {
    /// What moves the recorded clock.
    pub clock: Clock,
    /// Longest time that input waits before its tick is recorded (ms).
    pub tick_ms: i64,
    /// Posts further ahead of the clock than this (ms) move no clock.
    pub max_future_skew_ms: i64,
    /// Close a tick only when all its texts are scored.
    pub strict: bool,
}

/// What ends windows and retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The wall clock.
    Wall,
    /// The greatest event time seen.
    Event,
}

/// One entry of `sources:`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The platform of posts that name none.
    pub platform: Option<String>,
}

/// The kinds of source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// A file of records.
    File {
        /// The file.
        path: PathBuf,
        /// What its records are.
        into: Collection,
        /// How fast it is read.
        pace: Pace,
        /// Where fields are found that are named differently: our name → theirs.
        map: BTreeMap<String, FieldRef>,
        /// How records are written.
        format: FileFormat,
        /// What a post's text is that only says it was taken away.
        deleted_body: DeletedBody,
    },
    /// A Kafka topic.
    Kafka(Box<KafkaSourceConfig>),
    /// RSS and Atom feeds.
    Feed(Box<FeedConfig>),
    /// Made-up threads full of everything that happens to posts and votes.
    Generator {
        /// The same seed gives the same records.
        seed: u64,
        /// New posts a minute.
        posts_per_minute: u64,
        /// Malformed records as a share of the posts, 0 to 1.
        garbage: f64,
        /// Ends after this many events.
        limit: Option<u64>,
    },
}

impl SourceConfig {
    /// What its records are; `None` where they are several things.
    pub fn collection(&self) -> Option<Collection> {
        match &self.kind {
            SourceKind::File { into, .. } => Some(*into),
            SourceKind::Kafka(kafka) => Some(kafka.into),
            SourceKind::Feed(_) => Some(Collection::Posts),
            SourceKind::Generator { .. } => None,
        }
    }
}

/// What the records of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// Posts.
    Posts,
    /// Vote observations.
    Votes,
    /// Threads.
    Threads,
    /// Entities.
    Entities,
    /// Rules.
    Rules,
    /// Keywords.
    Keywords,
    /// What is known of authors.
    Authors,
    /// What users did with posts.
    Interactions,
    /// Whom users follow.
    Follows,
    /// What is to be forgotten.
    Erasures,
}

/// How fast a file is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it goes.
    Full,
    /// This many times as fast as event time passed.
    Times(f64),
    /// As fast as it goes, then as the file grows.
    Follow,
}

/// What `[deleted]` and `[removed]` are in place of a post's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedBody {
    /// The post is there, its text is gone.
    Gone,
    /// A text like any other.
    Text,
}

/// How records are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// One JSON object a line.
    Jsonl,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// How records of a topic are written that is not in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemas {
    /// Avro.
    Avro,
    /// Protocol Buffers.
    Protobuf,
}

/// Where a field is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRef {
    /// The field's name; `a.b` reaches inside.
    pub path: String,
    /// Unit of a time given as a number; `None` means milliseconds.
    pub unit: Option<TimeUnit>,
    /// What is put before an id.
    pub prefix: Option<String>,
    /// Other fields that belong to the id.
    pub with: Vec<String>,
}

/// Unit of a time given as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
}

/// `models:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// What the views use.
    pub live: LiveModel,
    /// Threads of the scorer; `None` takes half of the cores.
    pub threads: Option<usize>,
    /// Most texts in one forward pass.
    pub batch_max: usize,
    /// Longest time a text waits for its batch to fill (ms).
    pub batch_age_ms: i64,
    /// What answers texts that it cannot.
    pub fallback: Option<FallbackConfig>,
}

/// Where a post's sentiment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveModel {
    /// Records bring it along.
    Given,
    /// The word-list scorer of the tests; only where the file asks for it.
    Fixture,
    /// A model bundle.
    Bundle {
        /// Its folder.
        path: PathBuf,
        /// Where it runs.
        device: Device,
        /// How exactly.
        precision: Precision,
    },
}

impl LiveModel {
    /// What users call it: as its folder is called.
    pub fn name(&self) -> String {
        match self {
            LiveModel::Given => "given".to_owned(),
            LiveModel::Fixture => "fixture".to_owned(),
            LiveModel::Bundle { path, .. } => {
                let folder = path.file_name().unwrap_or(path.as_os_str());
                folder.to_string_lossy().into_owned()
            }
        }
    }
}

/// Models beside the live one: `models.shadow`, `models.standby_share`, `models.rescore_rate`, `alerts`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LifecycleConfig {
    /// `models.shadow`
    pub shadows: Vec<ShadowConfig>,
    /// Authors whose posts the live model of the file is asked about while another is promoted, ppm.
    pub standby_share: u32,
    /// Most texts a second of each model that is not live.
    pub rescore_rate: Option<u32>,
    /// Sinks are told of alerts that a switch of models fires.
    pub deliver_alerts: bool,
}

/// One of `models.shadow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowConfig {
    /// What users call it.
    pub name: String,
    /// What answers.
    pub model: ShadowModel,
    /// Authors whose posts it is asked about, ppm.
    pub share: u32,
}

/// What answers for a shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowModel {
    /// A variant of the tests' word-list scorer.
    Fixture(String),
    /// As a live model.
    Bundle(LiveModel),
}

impl ShadowModel {
    /// What it is called if it has no other name.
    pub fn name(&self) -> String {
        match self {
            ShadowModel::Fixture(variant) => variant.clone(),
            ShadowModel::Bundle(bundle) => bundle.name(),
        }
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The best there is.
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl Device {
    /// The one with this word: `auto`, `cpu`, `cuda:N`, or `cuda` for the first.
    pub fn named(word: &str) -> Option<Device> {
        match word {
            "auto" => Some(Device::Auto),
            "cpu" => Some(Device::Cpu),
            "cuda" => Some(Device::Cuda(0)),
            _ => word.strip_prefix("cuda:")?.parse().ok().map(Device::Cuda),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// How exactly a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats.
    Bf16,
    /// 8-bit integers.
    Int8,
}

/// One entry of `sinks:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub from: SinkFrom,
    /// What it is.
    pub kind: SinkKind,
}

/// The kinds of sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// A file of JSON Lines.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A Kafka topic.
    Kafka(Box<KafkaSinkConfig>),
    /// Tables in a database.
    Postgres {
        /// Where, with credentials.
        url: Secret,
        /// Views that get a table.
        views: Vec<String>,
        /// Whether alerts get one.
        alerts: bool,
        /// Whether keyword events get one.
        events: bool,
        /// Whether dead letters get one.
        dead_letters: bool,
    },
    /// An address that alerts are posted to.
    Webhook(Box<WebhookConfig>),
}

/// A sink of the type `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where to post.
    pub url: Secret,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// What is posted.
    pub body: Body,
    /// How long a request waits for its answer (ms).
    pub timeout_ms: i64,
    /// Longest pause between attempts (ms).
    pub longest_pause_ms: i64,
    /// Whether alerts from before the sink was there are posted.
    pub past: bool,
}

impl SinkConfig {
    /// Whether dead letters go there.
    pub fn takes_dead_letters(&self) -> bool {
        match &self.kind {
            SinkKind::File { .. } | SinkKind::Kafka(_) => self.from == SinkFrom::DeadLetters,
            SinkKind::Postgres { dead_letters, .. } => *dead_letters,
            SinkKind::Webhook(_) => false,
        }
    }
}

/// Defines `ALL` and `name()`: the enum's words in the pipeline file, in one place for reading and printing.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &[$type] = &[$($type::$variant),+];

            /// The word for it in the pipeline file.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $word),+
                }
            }

            /// The one with this word.
            pub(super) fn named(word: &str) -> Option<$type> {
                Self::ALL.iter().copied().find(|v| v.name() == word)
            }
        }
    };
}

words!(Clock { Wall = "wall", Event = "event" });
words!(Collection { Posts = "posts", Votes = "votes", Threads = "threads", Entities = "entities", Rules = "rules",
    Keywords = "keywords", Authors = "authors", Interactions = "interactions", Follows = "follows",
    Erasures = "erasures" });
words!(DeletedBody { Gone = "gone", Text = "text" });
words!(FileFormat { Jsonl = "jsonl", Json = "json", Yaml = "yaml" });
words!(Schemas { Avro = "avro", Protobuf = "protobuf" });
words!(TimeUnit { Seconds = "s", Millis = "ms", Micros = "us" });
words!(FeedModel { Civility = "civility", Sentiment = "sentiment" });
words!(Precision { Fp32 = "fp32", Bf16 = "bf16", Int8 = "int8" });

/// Whether a field of a record may be given as a time, so that it has a unit.
pub(super) fn is_time(field: &str) -> bool {
    matches!(
        field,
        "created_at" | "observed_at" | "air_time" | "ends_at" | "at" | "version"
    )
}

impl SourceConfig {
    /// What its records are; a generator's are of several kinds.
    pub fn into(&self) -> Option<Collection> {
        match &self.kind {
            SourceKind::File { into, .. } => Some(*into),
            SourceKind::Kafka(kafka) => Some(kafka.into),
            SourceKind::Feed(_) => Some(Collection::Posts),
            SourceKind::Generator { .. } => None,
        }
    }

    /// Whether its records are interactions or follows.
    pub fn has_ties(&self) -> bool {
        matches!(self.collection(), Some(Collection::Interactions | Collection::Follows))
    }
}

impl StateConfig {
    /// The state folder as the URL of the pipeline file.
    pub fn url(&self) -> String {
        format!("file:{}", self.folder.display())
    }
}
