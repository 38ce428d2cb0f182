//! Every key of the pipeline file, as data: what the reader accepts, what the reference documents, and the one home of
//! defaults and limits. `*` in a path stands for a name the user chooses.

mod events;
mod extras;
mod feed;
mod link;
mod rules;
mod scoring;
mod serve;
mod webhook;
mod windows;

use Kind::*;
use std::sync::LazyLock;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A mapping with the keys below it in the table.
    Section,
    /// A mapping from names of the user's choice.
    Named,
    /// Free text, not empty.
    Text,
    /// A file or folder, relative to the pipeline file.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number within limits.
    Integer(i64, i64),
    /// A number within limits.
    Number(f64, f64),
    /// A duration within limits, given as they are written.
    Duration(&'static str, &'static str),
    /// A size within limits.
    Size(&'static str, &'static str),
    /// One word of several.
    Choice(&'static [&'static str]),
    /// A list of such words.
    Choices(&'static [&'static str]),
    /// A condition over measures.
    Condition,
    /// A formula over measures and numbers.
    Formula,
    /// A list of pairs of numbers.
    Pairs,
    /// A list of sections with the keys below it in the table.
    Sections,
    /// A list of names from elsewhere in the file.
    Names,
    /// A list of texts.
    Texts,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Where it stands.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Other words it takes in place of that.
    pub or: &'static [&'static str],
    /// Its value when it is absent.
    pub default: Option<&'static str>,
    /// Whether it must be there.
    pub required: bool,
    /// Only with this value of that sibling key, or with one of several (`a|b`).
    pub only: Option<(&'static str, &'static str)>,
    /// Planned values and what they will be.
    pub later_values: &'static [(&'static str, &'static str)],
    /// What it does.
    pub about: &'static str,
    /// A value.
    pub example: &'static str,
}

impl Key {
    /// The key without its section.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Whether it goes with this value of the sibling key.
    pub fn goes_with(&self, given: &str) -> bool {
        self.only
            .is_none_or(|(_, values)| values.split('|').any(|value| value == given))
    }

    const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn only(mut self, key: &'static str, value: &'static str) -> Self {
        self.only = Some((key, value));
        self
    }

    const fn or(mut self, words: &'static [&'static str]) -> Self {
        self.or = words;
        self
    }

    const fn later_values(mut self, values: &'static [(&'static str, &'static str)]) -> Self {
        self.later_values = values;
        self
    }

    const fn example(mut self, text: &'static str) -> Self {
        self.example = text;
        self
    }
}

const fn key(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        path,
        kind,
        or: &[],
        default: None,
        required: false,
        only: None,
        later_values: &[],
        about,
        example: "",
    }
}

/// Keys directly below a section's path (`""` is the top).
pub(super) fn below(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| match k.path.rsplit_once('.') {
        Some((parent, _)) => parent == section,
        None => section.is_empty(),
    })
}

/// The key of this name directly below a section's path.
pub(super) fn child(section: &str, name: &str) -> Option<&'static Key> {
    below(section).find(|k| k.name() == name)
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// All keys.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    [
        TABLE,
        events::KEYS,
        feed::KEYS,
        extras::KEYS,
        link::KEYS,
        rules::KEYS,
        scoring::KEYS,
        serve::KEYS,
        webhook::KEYS,
        windows::KEYS,
    ]
    .concat()
});

/// The table, but for what is in files of its own.
const TABLE: &[Key] = &[
    key("name", Text, "The pipeline's name: a lower-case letter, then letters, digits, `_` or `-`.")
        .required()
        .example("live-threads"),
    key("state", Section, "Where the record lives."),
    key("state.url", Text, "The state folder. `file:` paths are relative to the pipeline file.")
        .default("file:./state")
        .example("\"file:./state\""),
    key("state.fold_after", Size("1MiB", "1TiB"), "Fold the log into the snapshot when it has grown by this much, and to the snapshot's own size.")
        .default("256MiB")
        .example("1GiB"),
    key("time", Section, "How time passes."),
    key(
        "time.clock",
        Choice(&["wall", "event"]),
        "What ends windows and retention: the wall clock, or (for replays) the greatest event time seen.",
    )
    .default("wall")
    .example("event"),
    key("time.tick", Duration("1ms", "1m"), "Longest time that input waits before its tick is recorded.")
        .default("100ms")
        .example("20ms"),
    key(
        "time.max_future_skew",
        Duration("0ms", "365d"),
        "A post further ahead of the clock than this is kept and counted, but moves no clock.",
    )
    .default("5m")
    .example("1m"),
    key("time.strict", Bool, "Close a tick only when all its texts are scored; for tests and backtests.")
        .default("false")
        .example("true"),
    key("sources", Named, "Where records come from, by name. At least one.")
        .required()
        .example("{posts: {type: file, path: posts.jsonl.gz, into: posts}}"),
    key("sources.*.type", Choice(&["file", "kafka", "generator", "feed"]), "The kind of source.")
        .required()
        .later_values(&[("http", "HTTP sources"), ("websocket", "WebSocket sources")])
        .example("file"),
    key("sources.*.path", Path, "The file; `.gz` and `.zst` are unpacked. It must exist unless it is followed.")
        .required()
        .only("type", "file")
        .example("posts.jsonl.gz"),
    key("sources.*.into", Choice(&["posts", "votes", "threads", "entities", "rules", "keywords", "authors", "interactions", "follows", "erasures"]), "What the records are.")
        .required()
        .only("type", "file|kafka")
        .example("posts"),
    key(
        "sources.*.format",
        Choice(&["auto", "jsonl", "json", "yaml", "avro", "protobuf"]),
        "How records are written. In a file: one JSON object a line, one JSON document or one YAML document (a list of \
         records, or a map of id to record); `auto` goes by the name. In a topic: `json`, which `auto` is there, or `avro` or \
         `protobuf` with a `registry`.",
    )
    .default("auto")
    .only("type", "file|kafka")
    .example("jsonl"),
    key(
        "sources.*.registry",
        Section,
        "The schema registry of a topic in Avro or Protobuf: Confluent's or one that speaks its API. While it is away, \
         records of schemas not seen before wait.",
    )
    .only("type", "kafka")
    .example("{url: \"https://registry:8081\"}"),
    key("sources.*.registry.url", Text, "Where it is: what comes before `/schemas/ids/1`.")
        .required()
        .example("\"https://registry:8081\""),
    key("sources.*.registry.username", Text, "Who asks.").example("reader"),
    key("sources.*.registry.password", Text, "The password, as `${NAME}` or `file:PATH`.").example("\"${NAME:-x}\""),
    key("sources.*.registry.ca", Path, "A PEM file of the authorities that its certificate may come from; else those of the system.")
        .example("ca.pem"),
    key("sources.*.registry.timeout", Duration("100ms", "1m"), "How long a request waits for its answer.")
        .default("5s")
        .example("2s"),
    key(
        "sources.*.pace",
        Text,
        "`full`: as fast as it goes; `\"60x\"`: 60 times as fast as event time passed; `follow`: wait for more at the end.",
    )
    .default("full")
    .only("type", "file")
    .example("\"60x\""),
    key(
        "sources.*.map",
        Named,
        "Where the fields of a record are found when they are named differently: a field (`a.b` reaches inside), or a \
         field with its unit.",
    )
    .only("type", "file|kafka")
    .example("{text: body, created_at: {field: created_utc, unit: s}}"),
    key("sources.*.map.*", Section, "A field of the record, e.g. `text`: its name in the file, or a section as below.")
        .example("body"),
    key("sources.*.map.*.field", Text, "The field's name in the file.").required().example("created_utc"),
    key("sources.*.map.*.unit", Choice(&["s", "ms", "us"]), "Unit of a time given as a number.").example("s"),
    key(
        "sources.*.deleted_body",
        Choice(&["gone", "text"]),
        "What the text `[deleted]` or `[removed]` of a post means. `gone`: the post counts, but there is nothing left to link or \
         score; its replies inherit through it. `text`: words like others.",
    )
    .default("gone")
    .only("type", "file|kafka")
    .example("text"),
    key("sources.*.brokers", Text, "`host:port` of brokers, separated by commas.")
        .required()
        .only("type", "kafka")
        .example("\"localhost:9092\""),
    key("sources.*.topic", Text, "The topic; keys are ids, a null value deletes.")
        .required()
        .only("type", "kafka")
        .example("reddit.comments"),
    key(
        "sources.*.group",
        Text,
        "The group that shows how far the source is; offsets are committed to it once they are recorded. \
         `groundswell-PIPELINE-SOURCE` when absent.",
    )
    .only("type", "kafka")
    .example("sentiment"),
    key("sources.*.start", Section, "Where the very first start begins; later ones go on where the record ends.")
        .or(&["earliest", "latest"])
        .default("earliest")
        .only("type", "kafka")
        .example("latest"),
    key("sources.*.start.timestamp", Text, "With the first record of this time, as RFC 3339 or epoch milliseconds.")
        .example("2026-11-01T00:00:00Z"),
    key("sources.*.start.offsets", Named, "With these offsets, by partition; others with their first record.")
        .example("{0: 4711}"),
    key("sources.*.start.offsets.*", Integer(0, i64::MAX), "An offset.").example("4711"),
    key(
        "sources.*.on_gap",
        Choice(&["fail", "earliest"]),
        "What to do when retention removed records before they were read: stop, or go on with the first there is.",
    )
    .default("fail")
    .only("type", "kafka")
    .example("earliest"),
    key("sources.*.max_bytes", Size("1KiB", "64MiB"), "Longer records are dead letters; longer feeds are not read.")
        .default("1MiB")
        .only("type", "kafka|feed")
        .example("256KiB"),
    key("sources.*.max_in_flight", Size("1MiB", "1GiB"), "Bytes fetched ahead.")
        .default("64MiB")
        .only("type", "kafka")
        .example("16MiB"),
    key("sources.*.discover", Duration("1s", "1h"), "How often new partitions are looked for.")
        .default("30s")
        .only("type", "kafka")
        .example("5s"),
    key(
        "sources.*.timeout",
        Duration("1s", "1h"),
        "How long a start waits for brokers that do not answer; a feed, for the whole answer to a request.",
    )
        .default("30s")
        .only("type", "kafka|feed")
        .example("5s"),
    key(
        "sources.*.properties",
        Named,
        "Properties of librdkafka, passed on as they are: TLS, SASL, fetch sizes. Passwords come as `${NAME}` or `file:PATH`.",
    )
    .only("type", "kafka")
    .example("{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: me, sasl.password: \"${NAME:-x}\"}"),
    key("sources.*.properties.*", Text, "A property.").example("none"),
    key("sources.*.seed", Integer(0, i64::MAX), "The same seed gives the same records.")
        .default("1")
        .only("type", "generator")
        .example("42"),
    key("sources.*.posts_per_minute", Integer(1, 1_000_000_000), "New posts a minute; votes, edits and deletes follow.")
        .default("600")
        .only("type", "generator")
        .example("6000"),
    key("sources.*.garbage", Number(0.0, 1.0), "Malformed records made on purpose, as a share of the posts.")
        .default("0")
        .only("type", "generator")
        .example("0.01"),
    key("sources.*.limit", Integer(1, i64::MAX), "Ends after this many events.")
        .or(&["none"])
        .default("none")
        .only("type", "generator")
        .example("100000"),
    key("models", Section, "What scores texts."),
    key(
        "models.live",
        Section,
        "The model behind the views: a section as below; `given`: records bring their own sentiment and no model runs; \
         `fixture`: the word-list scorer of the tests, never chosen by itself.",
    )
    .or(&["given", "fixture"])
    .default("given")
    .example("{path: models/social}"),
    key("models.live.path", Path, "The model's folder.").required().example("models/social"),
    key(
        "models.live.device",
        Text,
        "Where it runs: `auto` (a GPU if LibTorch sees one), `cpu`, or `cuda:N`; one that is not there is an error.",
    )
    .default("auto")
    .example("cpu"),
    key(
        "models.live.precision",
        Choice(&["fp32", "bf16", "int8"]),
        "How exactly it computes: `bf16` and `int8` are faster on processors that have instructions for them, and `int8` \
         is for the CPU only. Another precision is another model: texts are scored anew.",
    )
    .default("fp32")
    .example("int8"),
    key("models.threads", Integer(1, 256), "Threads of the scorer; `auto` takes half of the cores.")
        .or(&["auto"])
        .default("auto")
        .example("2"),
    key("models.batch", Section, "How texts wait for each other."),
    key("models.batch.max", Integer(1, 4096), "Most texts in one forward pass.").default("32").example("64"),
    key("models.batch.age", Duration("0ms", "1m"), "Longest time a text waits for its batch to fill.")
        .default("20ms")
        .example("5ms"),
    key(
        "models.shadow",
        Sections,
        "Models that are asked as well, to be compared with the live one and promoted. No view ever shows their answers.",
    )
    .example("[{path: models/next}]"),
    key("models.shadow.name", Text, "What it is called; if it is not given, as its folder is.").example("candidate"),
    key("models.shadow.path", Path, "The model's folder.").example("models/next"),
    key("models.shadow.fixture", Text, "In place of a folder: a variant of the tests' word-list scorer.").example("b"),
    key("models.shadow.device", Text, "As `models.live.device`.")
        .default("auto")
        .example("cpu"),
    key("models.shadow.precision", Choice(&["fp32", "bf16", "int8"]), "As `models.live.precision`.")
        .default("fp32")
        .example("int8"),
    key(
        "models.shadow.share",
        Number(0.0, 1.0),
        "Share of the authors whose posts it is asked about, always the same ones: a canary.",
    )
    .default("1")
    .example("0.1"),
    key(
        "models.standby_share",
        Number(0.0, 1.0),
        "Share of the authors whose posts the model of `models.live` goes on scoring while another one is promoted; what it \
         has scored stays for a rollback in any case.",
    )
    .default("0")
    .example("1"),
    key(
        "models.rescore_rate",
        Integer(1, 1_000_000),
        "Most texts a second of each model that is not live.",
    )
    .or(&["unlimited"])
    .default("unlimited")
    .example("50"),
    key("alerts", Section, "Which alerts sinks are told of."),
    key(
        "alerts.model_changes",
        Choice(&["mute", "deliver"]),
        "`mute`: an alert that a switch of models fires is shown over HTTP, with `cause: model`, and no sink is told.",
    )
    .default("mute")
    .example("deliver"),
    key("weight", Section, "How votes become a post's weight."),
    key(
        "weight.kind",
        Choice(&["log1p", "linear_clamped", "uniform", "table"]),
        "`log1p`: 1 + ln(1 + votes), votes below 0 count as 0; `linear_clamped`: the votes, between 1 and `max`; `uniform`: 1; `table`: by steps. \
         Hidden votes weigh 1.",
    )
    .default("log1p")
    .example("uniform"),
    key("weight.max", Integer(1, 65_536), "Greatest weight.").required().only("kind", "linear_clamped").example("100"),
    key("weight.table", Pairs, "`[votes, weight]` in ascending order: the weight from that many votes on; 1 below the first.")
        .required()
        .only("kind", "table")
        .example("[[0, 1], [10, 2.5], [100, 5]]"),
    key("views", Named, "What is computed, by name. At least one.")
        .required()
        .example("{by_minute: {group_by: [thread, entity], window: {tumble: 1m}}}"),
    key(
        "views.*.group_by",
        Choices(&[
            "thread", "entity", "source", "author", "label", "emotion", "phase", "hour", "weekday", "hour_of_week", "tag",
            "mention",
        ]),
        "Columns that make a row, at most four; `[]` makes one row per window. `label` and `emotion` are those of the post's \
         answer, by the view's `sarcasm` policy; posts whose sentiment does not count, or not yet, have none. `phase` goes with \
         anchored windows. `hour` (`00` to `23`), `weekday` (`mon` to `sun`) and `hour_of_week` (`mon 00`) are when the post was \
         written, in the view's `time_zone`. A post has a row for every `entity` it mentions, `tag` it carries (`#nba`) and `mention` \
         of a name (`@ann`).",
    )
    .required()
    .example("[thread, entity]"),
    key("views.*.window", Section, "How time is cut: one of `tumble`, `hop`, `sliding`, `anchored`, `session`.")
        .required()
        .example("{tumble: 1m}"),
    key("views.*.window.tumble", Duration("1s", "3650d"), "Windows of this length side by side.").example("1m"),
    key("views.*.window.hop", Section, "Windows that overlap.").example("{size: 10m, every: 1m}"),
    key("views.*.window.hop.size", Duration("1s", "3650d"), "Length of a window.").required().example("10m"),
    key("views.*.window.hop.every", Duration("1s", "3650d"), "Distance between starts; divides `size`, at most 1000 times.")
        .required()
        .example("1m"),
    key("views.*.window.sliding", Section, "One row per group: the last while before now.")
        .example("{size: 24h, every: 1m}"),
    key("views.*.window.sliding.size", Duration("1s", "3650d"), "How far it looks back.").required().example("24h"),
    key("views.*.window.sliding.every", Duration("1s", "3650d"), "The step in which it moves; divides `size`.")
        .required()
        .example("1m"),
    key("views.*.window.on", Choice(&["created_at"]), "The time that counts.").default("created_at").example("created_at"),
    key(
        "views.*.measures",
        Choices(&[
            "posts", "weight", "sentiment", "sentiment_ci", "positive", "neutral", "negative", "toxic", "sarcastic", "scored", "authors",
        ]),
        "Columns that are shown; all but `authors`, which costs memory, when absent.",
    )
    .example("[posts, sentiment]"),
    key("views.*.keep", Duration("1s", "36500d"), "Windows that ended this long ago are dropped; not shorter than a window.")
        .or(&["forever"])
        .default("forever")
        .example("30d"),
    key(
        "sinks",
        Named,
        "Where results go, by name. Without a sink for dead letters, they go to `dead_letters.jsonl` in the state folder.",
    )
    .example("{alerts: {type: file, path: alerts.jsonl, from: rules}}"),
    key("sinks.*.type", Choice(&["file", "kafka", "postgres", "http"]), "The kind of sink.")
        .required()
        .example("file"),
    key("sinks.*.path", Path, "The file.").required().only("type", "file").example("alerts.jsonl"),
    key(
        "sinks.*.from",
        Text,
        "`rules` (their alerts), `events` (keyword events that are news), `dead_letters`, or the name of a view (its changes). \
         Files and topics need it; a webhook posts alerts unless told `events`.",
    )
    .only("type", "file|kafka|http")
    .example("rules"),
    key("sinks.*.format", Choice(&["jsonl"]), "One JSON object a line.")
        .default("jsonl")
        .only("type", "file")
        .example("jsonl"),
    key("sinks.*.brokers", Text, "`host:port` of brokers, separated by commas.")
        .required()
        .only("type", "kafka")
        .example("\"localhost:9092\""),
    key("sinks.*.topic", Text, "The topic. Those of views and events are made for compaction: the key is the row or event, null when it is gone.")
        .required()
        .only("type", "kafka")
        .example("sentiment.alerts"),
    key("sinks.*.create_topics", Bool, "Whether missing topics are made.")
        .default("true")
        .only("type", "kafka")
        .example("false"),
    key("sinks.*.partitions", Integer(1, 10_000), "Partitions of a topic that is made; the brokers' default when absent.")
        .only("type", "kafka")
        .example("6"),
    key("sinks.*.topic_config", Named, "Settings of a topic that is made.")
        .only("type", "kafka")
        .example("{retention.ms: -1}"),
    key("sinks.*.topic_config.*", Text, "A setting.").example("compact"),
    key(
        "sinks.*.transactional_id",
        Text,
        "Who writes; no other sink of any pipeline may have it. `groundswell-PIPELINE-SINK` when absent.",
    )
    .only("type", "kafka")
    .example("sentiment-alerts"),
    key(
        "sinks.*.progress_topic",
        Text,
        "Where the sink keeps how far it has written; a topic of its own. `groundswell-PIPELINE-SINK-progress` when absent.",
    )
    .only("type", "kafka")
    .example("sentiment.alerts.progress"),
    key("sinks.*.timeout", Duration("1s", "1h"), "How long a start waits for brokers that do not answer; a webhook, for the answer to a request.")
        .default("30s")
        .only("type", "kafka|http")
        .example("5s"),
    key("sinks.*.properties", Named, "As for sources.")
        .only("type", "kafka")
        .example("{compression.type: zstd}"),
    key("sinks.*.properties.*", Text, "A property.").example("none"),
    key(
        "sinks.*.url",
        Text,
        "The database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`; its tables are in the schema of the pipeline's \
         name. Of a webhook, the address that is posted to. A secret: give it as `${NAME}` or `file:PATH`.",
    )
    .required()
    .only("type", "postgres|http")
    .example("\"${DATABASE_URL}\""),
    key("sinks.*.views", Names, "Views that get a table.")
        .or(&["all"])
        .default("all")
        .only("type", "postgres")
        .example("[by_minute]"),
    key("sinks.*.alerts", Bool, "Whether alerts get one.")
        .default("true")
        .only("type", "postgres")
        .example("false"),
    key("sinks.*.events", Bool, "Whether keyword events get one, if there are any.")
        .default("true")
        .only("type", "postgres")
        .example("false"),
    key("sinks.*.dead_letters", Bool, "Whether dead letters get one; then they need no other sink.")
        .default("true")
        .only("type", "postgres")
        .example("false"),
    key("workers", Integer(1, 256), "Threads of the dataflow, in every process.").default("1").example("2"),
];

#[cfg(test)]
mod tests;
