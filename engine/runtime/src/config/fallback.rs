//! `models.fallback:` and `scoring:`.

use super::error::quoted;
use super::field::Field;
use super::read::Section;
use super::secret::{Secret, mask_url};
use super::tree::Value as Written;
use groundswell_core::scoring::{Sarcasm, ScoringSpec};
use groundswell_models::fallback::HttpSetup;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What answers where the model cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackConfig {
    /// An HTTP scorer.
    pub http: Option<HttpConfig>,
    /// Whether texts that nobody answers are neutral.
    pub neutral: bool,
    /// Whether those count in views.
    pub count_neutral: bool,
}

/// An HTTP scorer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// What comes before `/chat/completions`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Goes with every request.
    pub token: Option<Secret>,
    /// What is asked, if not the usual.
    pub prompt: Option<String>,
    /// The file with the schema of answers and what is in it, if not the usual.
    pub schema: Option<(PathBuf, Value)>,
    /// How long a request may take (ms).
    pub timeout_ms: i64,
    /// How often a request is made again.
    pub retries: u32,
    /// Failures in a row that open the breaker.
    pub failures: u32,
    /// How long it stays open (ms).
    pub open_ms: i64,
    /// Most requests a minute.
    pub budget_per_minute: Option<u32>,
    /// Texts that have waited for the model so long (ms) are asked for too.
    pub after_ms: Option<i64>,
    /// Whether `http` may lead to other machines.
    pub plain: bool,
}

impl HttpConfig {
    /// What the scorer is made of.
    pub(crate) fn setup(&self) -> HttpSetup {
        let usual = HttpSetup::new(&self.url, &self.model);
        let ms = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or(0));
        HttpSetup {
            token: self.token.as_ref().map(|token| token.expose().to_owned()),
            prompt: self.prompt.clone().unwrap_or(usual.prompt),
            schema: self.schema.as_ref().map_or(usual.schema, |(_, schema)| schema.clone()),
            timeout: ms(self.timeout_ms),
            retries: self.retries,
            failures: self.failures,
            open: ms(self.open_ms),
            budget_per_minute: self.budget_per_minute,
            plain: self.plain,
            ..HttpSetup::new(&self.url, &self.model)
        }
    }
}

/// `models.fallback:`; `Some(None)` is that there is none.
pub(super) fn fallback(models: &Section<'_>) -> Option<Option<FallbackConfig>> {
    let Some(field) = models.given("fallback") else {
        return Some(None);
    };
    let section = field.section()?;
    let http = section
        .given("http")
        .map_or(Some(None), |f| http(&f.section()?).map(Some));
    let neutral = section.get("neutral").and_then(|f| f.bool());
    let count_neutral = section.get("count_neutral").and_then(|f| f.bool());
    let config = FallbackConfig {
        http: http?,
        neutral: neutral?,
        count_neutral: count_neutral?,
    };
    if config.http.is_none() && models.given("live").is_none_or(|f| f.is("given")) {
        let hint = "name a model (`models.live`), or a scorer (`http`)".to_owned();
        field.key_error("there is no model that could fail, and nothing below it", Some(hint));
        return None;
    }
    Some(Some(config))
}

fn http(section: &Section<'_>) -> Option<HttpConfig> {
    let count = |name: &str| section.get(name)?.integer().and_then(|n| u32::try_from(n).ok());
    let url = section.required("url").and_then(|f| f.text());
    let model = section.required("model").and_then(|f| f.text());
    let token = section.given("token").map_or(Some(None), |f| token(&f).map(Some));
    let prompt = section.given("prompt").map_or(Some(None), |f| f.text().map(Some));
    let schema = section.given("schema").map_or(Some(None), |f| schema(&f).map(Some));
    let timeout_ms = section.get("timeout").and_then(|f| f.duration());
    let retries = count("retries");
    let breaker = section.section("breaker");
    let failures = breaker
        .as_ref()
        .and_then(|b| b.get("failures")?.integer())
        .and_then(|n| u32::try_from(n).ok());
    let open_ms = breaker.as_ref().and_then(|b| b.get("open")?.duration());
    let budget = section.get("budget_per_minute").and_then(|f| {
        if f.is("none") {
            Some(None)
        } else {
            f.integer().and_then(|n| u32::try_from(n).ok()).map(Some)
        }
    });
    let after = section.get("after").and_then(|f| {
        if f.is("never") {
            Some(None)
        } else {
            f.duration().map(Some)
        }
    });
    let plain = section.get("plain_http").and_then(|f| f.bool());
    let config = HttpConfig {
        url: url?,
        model: model?,
        token: token?,
        prompt: prompt?,
        schema: schema?,
        timeout_ms: timeout_ms?,
        retries: retries?,
        failures: failures?,
        open_ms: open_ms?,
        budget_per_minute: budget?,
        after_ms: after?,
        plain: plain?,
    };
    if let Err(why) = config.setup().endpoint() {
        let shown = quoted(&mask_url(&config.url));
        let hint = "write what comes before /chat/completions, as in https://api.example.com/v1".to_owned();
        let message = format!("{shown} is not the address of a scorer: {why}");
        match section.given("url") {
            Some(field) => field.error(message, Some(hint)),
            None => section.error(message, Some(hint)),
        }
        return None;
    }
    Some(config)
}

fn token(field: &Field<'_>) -> Option<Secret> {
    if let Written::Scalar { text: written, .. } = &field.node.value
        && !written.contains("${")
        && !written.starts_with("file:")
    {
        let hint = "write token: \"${NAME}\", or file:PATH".to_owned();
        field.error("a token does not belong into this file", Some(hint));
        return None;
    }
    let text = field.text()?;
    let read = Secret::read(&text, field.reader.base);
    read.map_err(|why| field.error(why, None)).ok()
}

fn schema(field: &Field<'_>) -> Option<(PathBuf, Value)> {
    let path = field.path()?;
    let read = std::fs::read(&path).map_err(|e| e.to_string());
    let parsed = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
    match parsed {
        Ok(schema) if schema.is_object() => Some((path, schema)),
        Ok(_) => {
            field.error(
                format!("{} is not a JSON schema: it is no object", path.display()),
                None,
            );
            None
        }
        Err(why) => {
            field.error(
                format!("cannot read the JSON schema in {}: {why}", path.display()),
                None,
            );
            None
        }
    }
}

/// A policy's word.
pub(super) fn sarcasm(field: &Field<'_>) -> Option<Sarcasm> {
    let word = field.choice()?;
    Sarcasm::ALL.into_iter().find(|policy| policy.name() == word)
}

/// `scoring:`, with the policies of single views.
pub(super) fn scoring(
    root: &Section<'_>,
    views: BTreeMap<String, Sarcasm>,
    fallback: Option<&FallbackConfig>,
) -> Option<ScoringSpec> {
    Some(ScoringSpec {
        sarcasm: root.section("scoring")?.get("sarcasm").and_then(|f| sarcasm(&f))?,
        views,
        count_neutral: fallback.is_some_and(|f| f.count_neutral),
        ladder: fallback.is_some_and(|f| f.http.is_some()),
    })
}
