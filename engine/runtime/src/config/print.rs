//! A validated pipeline → the pipeline file that says it in full: every key with its value, secrets masked.

mod news;
mod serve;

use super::fallback::FallbackConfig;
use super::kafka::{Brokers, Property, RegistryConfig};
use super::pipeline::{
    Collection, FieldRef, LiveModel, Pace, Pipeline, ShadowModel, SinkKind, SourceConfig, SourceKind, WebhookConfig,
};
use super::secret::mask_url;
use super::units::{show_duration, show_size};
use super::views::{show_edge, show_extras};
use groundswell_connectors::kafka::{OnGap, Start};
use groundswell_core::acc::UNIT;
use groundswell_core::expr::Baseline;
use groundswell_core::number::{NumberSpec, Of};
use groundswell_core::spec::{GroupColumn, Measure, Phases, RuleSpec, Sessions, ViewSpec, WeightSpec, WindowSpec};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

impl Pipeline {
    /// The effective configuration as a pipeline file; parsing it gives this pipeline again.
    pub fn effective_yaml(&self) -> String {
        let mut out = Yaml::default();
        out.line(0, "name", text(&self.graph.name));
        out.section(0, "state");
        out.line(1, "url", text(&self.state.url()));
        out.line(
            1,
            "fold_after",
            show_size(i64::try_from(self.state.fold_after).unwrap_or(i64::MAX)),
        );
        out.section(0, "time");
        out.line(1, "clock", self.time.clock.name());
        out.line(1, "tick", show_duration(self.time.tick_ms));
        out.line(1, "max_future_skew", show_duration(self.time.max_future_skew_ms));
        out.line(1, "strict", self.time.strict);
        out.section(0, "sources");
        self.sources.iter().for_each(|source| out.source(source));
        self.link(&mut out);
        self.models(&mut out);
        out.weight(&self.graph.weight);
        out.numbers(&self.graph.numbers);
        out.section(0, "views");
        for view in &self.graph.views {
            out.view(view);
            if let Some(policy) = self.graph.scoring.views.get(&view.name) {
                out.line(2, "sarcasm", policy.name());
            }
        }
        if !self.rules.is_empty() {
            out.section(0, "rules");
            self.rules.iter().for_each(|rule| out.rule(rule));
        }
        self.events(&mut out);
        out.section(0, "sinks");
        for sink in &self.sinks {
            out.section(1, &sink.name);
            match &sink.kind {
                SinkKind::File { path } => {
                    out.line(2, "type", "file");
                    out.line(2, "path", file(path));
                    out.line(2, "from", sink.from.name());
                    out.line(2, "format", "jsonl");
                }
                SinkKind::Kafka(kafka) => {
                    out.line(2, "type", "kafka");
                    out.brokers(&kafka.brokers);
                    out.line(2, "topic", text(&kafka.topic));
                    out.line(2, "from", sink.from.name());
                    out.line(2, "create_topics", kafka.create_topics);
                    if let Some(partitions) = kafka.partitions {
                        out.line(2, "partitions", partitions);
                    }
                    if !kafka.topic_config.is_empty() {
                        out.section(2, "topic_config");
                    }
                    for (name, value) in &kafka.topic_config {
                        out.line(3, &text(name), text(value));
                    }
                    for (key, value) in [
                        ("transactional_id", &kafka.transactional_id),
                        ("progress_topic", &kafka.progress_topic),
                    ] {
                        if let Some(value) = value {
                            out.line(2, key, text(value));
                        }
                    }
                }
                SinkKind::Webhook(webhook) => out.webhook(sink.from.name(), webhook),
                SinkKind::Postgres {
                    url,
                    views,
                    alerts,
                    events,
                    dead_letters,
                } => {
                    out.line(2, "type", "postgres");
                    out.line(2, "url", text(url.expose()));
                    out.line(2, "views", format!("[{}]", views.join(", ")));
                    out.line(2, "alerts", alerts);
                    out.line(2, "events", events);
                    out.line(2, "dead_letters", dead_letters);
                }
            }
        }
        match &self.serve {
            None => out.line(0, "serve", "false"),
            Some(serve) => serve::print_serve(serve, &mut out),
        }
        out.line(0, "workers", self.workers);
        out.section(0, "scoring");
        out.line(1, "sarcasm", self.graph.scoring.sarcasm.name());
        out.0
    }

    fn link(&self, out: &mut Yaml) {
        let link = &self.graph.link;
        out.section(0, "link");
        out.section(1, "exact");
        out.line(2, "confidence", f64::from(link.exact_confidence) / 1e6);
        match link.fuzzy_min {
            None => out.line(1, "fuzzy", "false"),
            Some(min) => {
                out.section(1, "fuzzy");
                out.line(2, "min", min);
            }
        }
        out.line(1, "inherit_from_parent", link.inherit_from_parent);
        out.line(1, "compat", if link.seed_compat { "seed" } else { "none" });
    }

    fn models(&self, out: &mut Yaml) {
        out.section(0, "models");
        match &self.model.live {
            LiveModel::Given => out.line(1, "live", "given"),
            LiveModel::Fixture => out.line(1, "live", "fixture"),
            LiveModel::Bundle {
                path,
                device,
                precision,
            } => {
                out.section(1, "live");
                out.line(2, "path", file(path));
                out.line(2, "device", device);
                out.line(2, "precision", precision.name());
            }
        }
        out.line(
            1,
            "threads",
            self.model.threads.map_or_else(|| "auto".to_owned(), |n| n.to_string()),
        );
        out.section(1, "batch");
        out.line(2, "max", self.model.batch_max);
        out.line(2, "age", show_duration(self.model.batch_age_ms));
        if let Some(fallback) = &self.model.fallback {
            out.fallback(fallback);
        }
        self.lifecycle(out);
    }
}

impl Pipeline {
    fn lifecycle(&self, out: &mut Yaml) {
        let share = |ppm: u32| f64::from(ppm) / 1e6;
        if !self.lifecycle.shadows.is_empty() {
            out.section(1, "shadow");
        }
        for shadow in &self.lifecycle.shadows {
            let model = match &shadow.model {
                ShadowModel::Bundle(LiveModel::Bundle {
                    path,
                    device,
                    precision,
                }) => {
                    let (device, precision) = (device, precision.name());
                    format!("path: {}, device: {device}, precision: {precision}", file(path))
                }
                ShadowModel::Fixture(variant) => format!("fixture: {}", text(variant)),
                ShadowModel::Bundle(other) => format!("fixture: {}", text(&other.name())),
            };
            let (name, share) = (text(&shadow.name), share(shadow.share));
            out.0
                .push_str(&format!("    - {{name: {name}, {model}, share: {share}}}\n"));
        }
        out.line(1, "standby_share", share(self.lifecycle.standby_share));
        let rate = self.lifecycle.rescore_rate;
        out.line(
            1,
            "rescore_rate",
            rate.map_or_else(|| "unlimited".to_owned(), |n| n.to_string()),
        );
        out.section(0, "alerts");
        let deliver = self.lifecycle.deliver_alerts;
        out.line(1, "model_changes", if deliver { "deliver" } else { "mute" });
    }
}

/// The text so far.
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn line(&mut self, depth: usize, key: &str, value: impl Display) {
        self.0.push_str(&format!("{}{key}: {value}\n", "  ".repeat(depth)));
    }

    fn section(&mut self, depth: usize, key: &str) {
        self.0.push_str(&format!("{}{key}:\n", "  ".repeat(depth)));
    }

    fn source(&mut self, source: &SourceConfig) {
        self.section(1, &source.name);
        if let Some(platform) = &source.platform {
            self.line(2, "platform", text(platform));
        }
        match &source.kind {
            SourceKind::File {
                path,
                into,
                pace,
                map,
                format,
                deleted_body,
            } => {
                self.line(2, "type", "file");
                self.line(2, "path", file(path));
                self.line(2, "into", into.name());
                self.line(2, "format", format.name());
                if *into == Collection::Posts {
                    self.line(2, "deleted_body", deleted_body.name());
                }
                match pace {
                    Pace::Full => self.line(2, "pace", "full"),
                    Pace::Follow => self.line(2, "pace", "follow"),
                    Pace::Times(times) => self.line(2, "pace", text(&format!("{times}x"))),
                }
                self.map(map);
            }
            SourceKind::Kafka(kafka) => {
                self.line(2, "type", "kafka");
                self.brokers(&kafka.brokers);
                self.line(2, "topic", text(&kafka.topic));
                self.line(2, "into", kafka.into.name());
                self.registry(kafka.registry.as_ref());
                if kafka.into == Collection::Posts {
                    self.line(2, "deleted_body", kafka.deleted_body.name());
                }
                if let Some(group) = &kafka.group {
                    self.line(2, "group", text(group));
                }
                match &kafka.start {
                    Start::Earliest => self.line(2, "start", "earliest"),
                    Start::Latest => self.line(2, "start", "latest"),
                    Start::Timestamp(at) => self.line(2, "start", format!("{{timestamp: {at}}}")),
                    Start::Offsets(offsets) => {
                        self.section(2, "start");
                        self.section(3, "offsets");
                        for (partition, offset) in offsets {
                            self.line(4, &partition.to_string(), offset);
                        }
                    }
                }
                let on_gap = match kafka.on_gap {
                    OnGap::Fail => "fail",
                    OnGap::Earliest => "earliest",
                };
                self.line(2, "on_gap", on_gap);
                self.line(2, "max_bytes", show_size(kafka.max_bytes));
                self.line(2, "max_in_flight", show_size(kafka.max_in_flight));
                self.line(2, "discover", show_duration(kafka.discover_ms));
                self.map(&kafka.map);
            }
            SourceKind::Feed(feed) => self.feed(feed),
            SourceKind::Generator {
                seed,
                posts_per_minute,
                garbage,
                limit,
            } => {
                self.line(2, "type", "generator");
                self.line(2, "seed", seed);
                self.line(2, "posts_per_minute", posts_per_minute);
                self.line(2, "garbage", garbage);
                self.line(2, "limit", limit.map_or_else(|| "none".to_owned(), |n| n.to_string()));
            }
        }
    }

    fn map(&mut self, map: &BTreeMap<String, FieldRef>) {
        if !map.is_empty() {
            self.section(2, "map");
        }
        for (name, found) in map {
            let mut more: Vec<String> = Vec::new();
            more.extend(found.unit.map(|unit| format!("unit: {}", unit.name())));
            more.extend(found.prefix.as_ref().map(|prefix| format!("prefix: {}", text(prefix))));
            if !found.with.is_empty() {
                let with: Vec<String> = found.with.iter().map(|with| text(with)).collect();
                more.push(format!("with: [{}]", with.join(", ")));
            }
            match more.is_empty() {
                true => self.line(3, name, text(&found.path)),
                false => self.line(
                    3,
                    name,
                    format!("{{field: {}, {}}}", text(&found.path), more.join(", ")),
                ),
            }
        }
    }

    fn numbers(&mut self, numbers: &[NumberSpec]) {
        let of = |kind: fn(&NumberSpec) -> bool| {
            let names: Vec<&str> = numbers.iter().filter(|n| kind(n)).map(|n| n.name.as_str()).collect();
            format!("[{}]", names.join(", "))
        };
        if numbers.len() > 1 {
            self.section(0, "numbers");
            self.line(1, "posts", of(|n| matches!(n.of, Of::Post(_)) && !n.decimal));
            self.line(1, "decimals", of(|n| matches!(n.of, Of::Post(_)) && n.decimal));
            self.line(1, "authors", of(|n| matches!(n.of, Of::Author(_))));
        }
    }

    fn registry(&mut self, registry: Option<&RegistryConfig>) {
        let Some(registry) = registry else {
            return self.line(2, "format", "json");
        };
        self.line(2, "format", registry.schemas.name());
        self.section(2, "registry");
        self.line(3, "url", text(&registry.url));
        if let Some((user, password)) = &registry.credentials {
            self.line(3, "username", text(user));
            self.line(3, "password", text(&password.to_string()));
        }
        if let Some(ca) = &registry.ca {
            self.line(3, "ca", file(ca));
        }
        self.line(3, "timeout", show_duration(registry.timeout_ms));
    }

    fn brokers(&mut self, brokers: &Brokers) {
        self.line(2, "brokers", text(&brokers.addresses));
        self.line(2, "timeout", show_duration(brokers.timeout_ms));
        if !brokers.properties.is_empty() {
            self.section(2, "properties");
        }
        for (name, property) in &brokers.properties {
            match property {
                Property::Plain(value) => self.line(3, &text(name), text(value)),
                Property::Secret(secret) => self.line(3, &text(name), text(&secret.to_string())),
            }
        }
    }

    #[allow(clippy::cast_precision_loss)] // weights are far below 2^53
    fn weight(&mut self, weight: &WeightSpec) {
        self.section(0, "weight");
        match weight {
            WeightSpec::Log1p => self.line(1, "kind", "log1p"),
            WeightSpec::Uniform => self.line(1, "kind", "uniform"),
            WeightSpec::LinearClamped { max } => {
                self.line(1, "kind", "linear_clamped");
                self.line(1, "max", max);
            }
            WeightSpec::Table { steps } => {
                let steps: Vec<String> = steps
                    .iter()
                    .map(|(votes, weight)| format!("[{votes}, {}]", *weight as f64 / UNIT as f64))
                    .collect();
                self.line(1, "kind", "table");
                self.line(1, "table", format!("[{}]", steps.join(", ")));
            }
        }
    }

    fn fallback(&mut self, fallback: &FallbackConfig) {
        self.section(1, "fallback");
        if let Some(http) = &fallback.http {
            self.section(2, "http");
            self.line(3, "url", text(&http.url));
            self.line(3, "model", text(&http.model));
            if let Some(token) = &http.token {
                self.line(3, "token", text(&token.to_string()));
            }
            if let Some(prompt) = &http.prompt {
                self.line(3, "prompt", text(prompt));
            }
            if let Some((path, _)) = &http.schema {
                self.line(3, "schema", file(path));
            }
            self.line(3, "timeout", show_duration(http.timeout_ms));
            self.line(3, "retries", http.retries);
            self.section(3, "breaker");
            self.line(4, "failures", http.failures);
            self.line(4, "open", show_duration(http.open_ms));
            let budget = http.budget_per_minute.map(|n| n.to_string());
            self.line(3, "budget_per_minute", budget.unwrap_or_else(|| "none".to_owned()));
            let after = http.after_ms.map(show_duration);
            self.line(3, "after", after.unwrap_or_else(|| "never".to_owned()));
            self.line(3, "plain_http", http.plain);
        }
        self.line(2, "neutral", fallback.neutral);
        self.line(2, "count_neutral", fallback.count_neutral);
    }

    fn webhook(&mut self, from: &str, webhook: &WebhookConfig) {
        self.line(2, "type", "http");
        self.line(2, "from", from);
        self.line(2, "url", text(&webhook.url.to_string()));
        if let Some(secret) = &webhook.secret {
            self.line(2, "secret", text(&secret.to_string()));
        }
        self.line(2, "body", webhook.body.name());
        self.line(2, "timeout", show_duration(webhook.timeout_ms));
        self.line(2, "longest_pause", show_duration(webhook.longest_pause_ms));
        self.line(2, "past", if webhook.past { "send" } else { "skip" });
    }

    fn view(&mut self, view: &ViewSpec) {
        let words = |words: Vec<&str>| format!("[{}]", words.join(", "));
        self.section(1, &view.name);
        self.line(
            2,
            "group_by",
            words(view.group_by.iter().copied().map(GroupColumn::name).collect()),
        );
        self.section(2, "window");
        let stepped = |size, every| format!("{{size: {}, every: {}}}", show_duration(size), show_duration(every));
        match view.window {
            WindowSpec::Tumble { size } => self.line(3, "tumble", show_duration(size)),
            WindowSpec::Hop { size, every } => self.line(3, "hop", stepped(size, every)),
            WindowSpec::Sliding { size, every } => self.line(3, "sliding", stepped(size, every)),
            WindowSpec::Anchored(phases) => self.anchored(&phases),
            WindowSpec::Session(Sessions { gap, max }) => {
                let lengths = format!("{{gap: {}, max: {}}}", show_duration(gap), show_duration(max));
                self.line(3, "session", lengths);
            }
        }
        self.line(3, "on", "created_at");
        self.line(
            2,
            "measures",
            words(view.measures.iter().copied().map(Measure::name).collect()),
        );
        self.line(2, "keep", view.keep.map_or_else(|| "forever".to_owned(), show_duration));
        for (key, value) in show_extras(view, text) {
            self.line(2, key, value);
        }
    }

    fn anchored(&mut self, phases: &Phases) {
        self.section(3, "anchored");
        self.section(4, "phases");
        for phase in phases.iter() {
            let (from, to) = (show_edge(phase.from), show_edge(phase.to));
            self.line(5, &text(phase.name.as_str()), format!("{{from: {from}, to: {to}}}"));
        }
        if let Some(lasts) = phases.lasts {
            self.line(4, "lasts", show_duration(lasts));
        }
        self.line(4, "longest", show_duration(phases.longest));
    }

    fn rule(&mut self, rule: &RuleSpec) {
        self.section(1, &rule.id);
        self.line(2, "view", &rule.view);
        self.line(2, "when", text(rule.when.text()));
        if let Some(clear) = &rule.clear {
            self.line(2, "clear", text(clear.text()));
        }
        self.line(2, "min_posts", rule.min_posts);
        for (key, n) in [("min_authors", rule.min_authors), ("min_n_eff", rule.min_n_eff)] {
            if n > 0 {
                self.line(2, key, n);
            }
        }
        if rule.has_baseline() {
            let Baseline { weeks, min } = rule.baseline;
            self.line(2, "baseline", format!("{{weeks: {weeks}, min: {min}}}"));
        }
        self.line(2, "for", show_duration(rule.for_ms));
        self.line(2, "cooldown", show_duration(rule.cooldown_ms));
    }
}

/// A double-quoted scalar that reads as this text, `${` and all.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for c in mask_url(value).replace("${", "$${").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || c == '\u{feff}' => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn file(path: &Path) -> String {
    text(&path.display().to_string())
}
