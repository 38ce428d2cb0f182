//! The keys of what is below the model, and of how answers count.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "models.fallback",
        Section,
        "What answers texts that the model cannot: an HTTP scorer, and below it neutral. Absent: such a text has no score.",
    )
    .example("{neutral: true}"),
    key(
        "models.fallback.http",
        Section,
        "A scorer that is asked for such texts, one by one: a server with OpenAI's chat completions. With `live: given` it \
         answers all texts whose records bring no sentiment. Texts leave this machine.",
    )
    .example("{url: \"http://127.0.0.1:8000/v1\", model: small}"),
    key(
        "models.fallback.http.url",
        Text,
        "What comes before `/chat/completions`; `https`, or `http` to this machine.",
    )
    .required()
    .example("\"http://127.0.0.1:8000/v1\""),
    key("models.fallback.http.model", Text, "The model's name there.").required().example("small"),
    key("models.fallback.http.token", Text, "Goes with every request, as a bearer token. A secret: `${NAME}` or `file:PATH`.")
        .example("\"${SCORER_TOKEN:-none}\""),
    key("models.fallback.http.prompt", Text, "What is asked; the text follows in a message of its own.")
        .example("\"Classify the sentiment of the message as JSON: label and confidence.\""),
    key(
        "models.fallback.http.schema",
        Path,
        "A file with the JSON schema that answers have to follow. They need `positive`, `neutral` and `negative`, or `label` \
         and `confidence`; they may have `toxic`, `sarcastic` and `emotion`.",
    )
    .example("schema.json"),
    key("models.fallback.http.timeout", Duration("100ms", "10m"), "How long a request may take.")
        .default("30s")
        .example("5s"),
    key("models.fallback.http.retries", Integer(0, 20), "How often a request that failed is made again, with growing pauses.")
        .default("3")
        .example("1"),
    key("models.fallback.http.breaker", Section, "When nobody is asked for a while."),
    key("models.fallback.http.breaker.failures", Integer(1, 1_000), "Failures in a row that open the breaker.")
        .default("5")
        .example("10"),
    key("models.fallback.http.breaker.open", Duration("1s", "1d"), "How long it stays open; then one request is the probe.")
        .default("60s")
        .example("5m"),
    key(
        "models.fallback.http.budget_per_minute",
        Integer(1, 1_000_000),
        "Most requests a minute, retries included. Texts beyond it are asked for later, the newest first.",
    )
    .or(&["none"])
    .default("60")
    .example("600"),
    key(
        "models.fallback.http.after",
        Duration("1s", "1d"),
        "Texts that have waited for the model so long are asked for too; the model's answer replaces this one when it comes.",
    )
    .or(&["never"])
    .default("never")
    .example("1m"),
    key("models.fallback.http.plain_http", Bool, "Whether `http` may lead to other machines: texts and token can be read on the way.")
        .default("false")
        .example("true"),
    key(
        "models.fallback.neutral",
        Bool,
        "Whether a text that nobody answers is neutral with a confidence of 0.5; it is asked for again, with growing pauses.",
    )
    .default("true")
    .example("false"),
    key(
        "models.fallback.count_neutral",
        Bool,
        "Whether views count such texts like answers; otherwise they are among `posts` and not among `scored`.",
    )
    .default("false")
    .example("true"),
    key("scoring", Section, "How answers count in views. A change sums anew; no model is asked."),
    key(
        "scoring.sarcasm",
        Choice(&["keep", "flip", "discount", "exclude"]),
        "What becomes of sarcasm. `keep`: nothing; `flip`: in a sarcastic post positive and negative change places; `discount`: \
         every sentiment is multiplied by 1 − P(sarcastic); `exclude`: a sarcastic post is among `posts`, `toxic` and \
         `sarcastic`, not among `scored`, and has no weight.",
    )
    .default("keep")
    .example("flip"),
    key("views.*.sarcasm", Choice(&["keep", "flip", "discount", "exclude"]), "As `scoring.sarcasm`, for this view.")
        .example("exclude"),
];
