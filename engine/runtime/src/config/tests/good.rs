//! Files that are right.

use super::super::keys::{KEYS, Key, Kind};
use super::super::*;
use super::{folder, parse_in};
use groundswell_core::acc::UNIT;
use groundswell_core::spec::{GroupColumn, LinkSpec, Measure, WeightSpec, WindowSpec};
use std::collections::BTreeMap;

const LEAST: &str = "name: a\nsources: {g: {type: generator}}\nviews: {v: {group_by: [], window: {tumble: 1s}}}\n";

/// CONTRACT.md's example with files in place of Kafka and Postgres, and with a shadow.
const CONTRACT: &str = r#"
name: live-threads
state: {url: "file:./state"}            # or s3://bucket/prefix
sources:
  posts: {type: file, path: posts.jsonl.gz, into: posts, pace: "${SPEED}"}
  votes: {type: file, path: votes.ndjson, into: votes, map: {score: data.ups, observed_at: {field: at, unit: s}}}
  cast:  {type: file, path: cast.yaml, into: entities}
link:   {exact: {confidence: 0.95}, fuzzy: {min: 85}, inherit_from_parent: true}
models:
  live:   {path: models/social, device: auto}
  shadow: [{path: models/next}, {path: models/social, precision: int8, name: fast, share: 0.25}]
weight: {kind: log1p}                   # log1p | linear_clamped | uniform | table
views:
  cast_by_minute:
    group_by: [thread, entity]
    window: {tumble: 1m, on: created_at}      # tumble | hop | session | sliding | anchored
    measures: [posts, weight, sentiment, sentiment_ci, positive, neutral, negative, toxic, sarcastic, scored]
    keep: 30d
rules:
  backlash: {view: cast_by_minute, when: "sentiment < -0.3", min_posts: 20, clear: "sentiment > -0.1", for: 2m, cooldown: 10m}
sinks:
  alerts: {type: file, path: alerts.jsonl, from: rules}
serve: {http: "127.0.0.1:8080"}
"#;

/// Everything that the other one leaves at its default.
const OTHER: &str = r#"
name: other_2
state: {url: "file:///var/groundswell $${X}", fold_after: 1GiB}
time: {clock: event, tick: 20ms, max_future_skew: 90s, strict: true}
sources:
  made_up: {type: generator, seed: 42, posts_per_minute: 6000, garbage: 0.01, limit: 100000}
  tail: {type: file, path: "later \"on\".txt", into: posts, format: jsonl, pace: follow}
link: {exact: {confidence: 1}, fuzzy: false, inherit_from_parent: false, compat: seed}
models: {live: fixture, threads: 2, batch: {max: 64, age: 5ms}, shadow: [{fixture: b}], standby_share: 1, rescore_rate: 50}
alerts: {model_changes: deliver}
weight: {kind: table, table: [[-5, 0], [0, 1], [10, 2.3]]}
views:
  by_hour: {group_by: [source, author], window: {hop: {size: 2h, every: 30m}}, measures: [sentiment, posts]}
  now: {group_by: [entity], window: {sliding: {size: 1d, every: 5m}}, keep: forever}
  phases:
    group_by: [entity, thread]
    window: {anchored: {phases: {pre: {from: air_time - 24h, to: air_time}, live: {from: air_time, to: ends_at + 90m}}, lasts: 3h}}
  labels: {group_by: [label, emotion], window: {tumble: 1h}}
  bursts: {group_by: [thread, label, tag], window: {session: {gap: 30m}}, revisions: true}
rules:
  any: {view: now, when: 'posts > 1 and (negative / posts > 0.5)'}
sinks:
  hours: {type: file, path: hours.jsonl, from: by_hour, format: jsonl}
  dead_letters: {type: file, path: dead.jsonl, from: dead_letters}
serve: false
workers: 2
"#;

#[test]
fn the_contract_example_parses() {
    let folder = folder();
    let pipeline = parse_in(folder.path(), CONTRACT).expect("parses");
    assert_eq!(pipeline.graph.name, "live-threads");
    let view = &pipeline.graph.views[0];
    assert_eq!(view.group_by, [GroupColumn::Thread, GroupColumn::Entity]);
    assert_eq!(
        (view.window, view.keep),
        (WindowSpec::Tumble { size: 60_000 }, Some(30 * 86_400_000))
    );
    assert_eq!(view.measures, Measure::SUMS);
    assert_eq!(pipeline.graph.link, LinkSpec::default());
    assert_eq!(pipeline.graph.weight, WeightSpec::Log1p);
    let rule = &pipeline.rules[0];
    assert_eq!(
        (rule.id.as_str(), rule.min_posts, rule.for_ms, rule.cooldown_ms),
        ("backlash", 20, 120_000, 600_000)
    );
    assert_eq!(rule.clear.as_ref().map(|c| c.text()), Some("sentiment > -0.1"));
    let names: Vec<&str> = pipeline.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["posts", "votes", "cast"]);
    let SourceKind::File { pace, format, .. } = &pipeline.sources[0].kind else {
        panic!("a file")
    };
    assert_eq!((*pace, *format), (Pace::Times(60.0), FileFormat::Jsonl));
    let SourceKind::File { map, into, .. } = &pipeline.sources[1].kind else {
        panic!("a file")
    };
    let expected = BTreeMap::from([
        (
            "score".to_owned(),
            FieldRef {
                path: "data.ups".into(),
                unit: None,
                prefix: None,
                with: Vec::new(),
            },
        ),
        (
            "observed_at".to_owned(),
            FieldRef {
                path: "at".into(),
                unit: Some(TimeUnit::Seconds),
                prefix: None,
                with: Vec::new(),
            },
        ),
    ]);
    assert_eq!((map, *into), (&expected, Collection::Votes));
    let bundle = LiveModel::Bundle {
        path: folder.path().join("models/social"),
        device: Device::Auto,
        precision: Precision::Fp32,
    };
    assert_eq!(
        pipeline.model,
        ModelConfig {
            live: bundle,
            threads: None,
            batch_max: 32,
            batch_age_ms: 20,
            fallback: None
        }
    );
    let named: Vec<_> = pipeline
        .lifecycle
        .shadows
        .iter()
        .map(|s| (s.name.as_str(), s.share))
        .collect();
    assert_eq!(named, [("next", 1_000_000), ("fast", 250_000)]);
    assert_eq!(pipeline.state.folder, folder.path().join("state"));
    let sinks: Vec<(&str, &SinkFrom)> = pipeline.sinks.iter().map(|s| (s.name.as_str(), &s.from)).collect();
    assert_eq!(
        sinks,
        [("alerts", &SinkFrom::Rules), ("dead_letters", &SinkFrom::DeadLetters)]
    );
    let SinkKind::File { path } = &pipeline.sinks[1].kind else {
        panic!("a file");
    };
    assert_eq!(*path, folder.path().join("state/dead_letters.jsonl"));
}

#[test]
fn defaults() {
    let folder = folder();
    let p = parse_in(folder.path(), LEAST).expect("parses");
    assert_eq!(
        p.time,
        TimeConfig {
            clock: Clock::Wall,
            tick_ms: 100,
            max_future_skew_ms: 300_000,
            strict: false
        }
    );
    assert_eq!(
        (p.state.folder, p.state.fold_after),
        (folder.path().join("state"), 256 << 20)
    );
    assert_eq!(
        p.model,
        ModelConfig {
            live: LiveModel::Given,
            threads: None,
            batch_max: 32,
            batch_age_ms: 20,
            fallback: None
        }
    );
    assert_eq!(
        (p.graph.link, p.graph.weight),
        (LinkSpec::default(), WeightSpec::default())
    );
    assert_eq!(p.serve.map(|s| s.http.to_string()).as_deref(), Some("127.0.0.1:8080"));
    assert_eq!((p.workers, p.rules.len(), p.graph.views[0].keep), (1, 0, None));
    let generator = SourceKind::Generator {
        seed: 1,
        posts_per_minute: 600,
        garbage: 0.0,
        limit: None,
    };
    assert_eq!(p.sources[0].kind, generator);
}

#[test]
fn everything_else_parses() {
    let folder = folder();
    let p = parse_in(folder.path(), OTHER).expect("parses");
    assert_eq!(p.state.folder.to_str(), Some("/var/groundswell ${X}"));
    let WeightSpec::Table { steps } = &p.graph.weight else {
        panic!("a table")
    };
    #[allow(clippy::cast_possible_truncation)]
    let odd = (2.3 * UNIT as f64).round() as i64;
    assert_eq!(*steps, [(-5, 0), (0, UNIT), (10, odd)]);
    let hour = 3_600_000;
    assert_eq!(
        p.graph.views[0].window,
        WindowSpec::Hop {
            size: 2 * hour,
            every: hour / 2
        }
    );
    assert_eq!(p.graph.views[0].measures, [Measure::Sentiment, Measure::Posts]);
    assert_eq!(
        p.graph.views[1].window,
        WindowSpec::Sliding {
            size: 24 * hour,
            every: 300_000
        }
    );
    assert_eq!(
        p.lifecycle,
        LifecycleConfig {
            shadows: vec![ShadowConfig {
                name: "b".into(),
                model: ShadowModel::Fixture("b".into()),
                share: 1_000_000,
            }],
            standby_share: 1_000_000,
            rescore_rate: Some(50),
            deliver_alerts: true,
        }
    );
    assert_eq!((p.serve, p.graph.link.fuzzy_min, p.sinks.len()), (None, None, 2));
    assert_eq!(
        p.graph.views[2].group_by,
        [GroupColumn::Entity, GroupColumn::Thread, GroupColumn::Phase],
        "the phase comes by itself"
    );
    let WindowSpec::Anchored(phases) = p.graph.views[2].window else {
        panic!("anchored")
    };
    let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["pre", "live"]);
    assert_eq!((phases.lasts, phases.longest), (Some(3 * hour), 7 * 24 * hour));
}

/// Views for the routes of the first systems, and the routes.
const ROUTED: &str = r#"
name: routed
sources: {g: {type: generator}}
views:
  by_hour: {group_by: [label], window: {tumble: 1h}}
  by_day: {group_by: [source, label], window: {tumble: 1d}}
  last_day: {group_by: [label], window: {sliding: {size: 24h, every: 1m}}}
  by_thread: {group_by: [thread], window: {tumble: 1d}}
  cast_by_phase: {group_by: [thread, entity], window: {anchored: {phases: {live: {from: air_time, to: ends_at}}}}}
  cast_by_minute: {group_by: [thread, entity], window: {tumble: 1m}}
serve:
  routes:
    sentiment: {hour: by_hour, day: by_day, distribution: [last_day]}
    threads: {list: by_thread, cast: cast_by_phase, timeline: cast_by_minute}
"#;

#[test]
fn routes_name_their_views() {
    let folder = folder();
    let p = parse_in(folder.path(), ROUTED).expect("parses");
    let routes = p.serve.clone().and_then(|serve| serve.routes).expect("routes");
    let sentiment = routes.sentiment.expect("sentiment");
    assert_eq!(
        (sentiment.hour.as_deref(), sentiment.distribution.len()),
        (Some("by_hour"), 1)
    );
    assert_eq!(routes.threads.expect("threads").list, "by_thread");
}

#[test]
fn the_effective_file_gives_the_same_pipeline() {
    let folder = folder();
    let linear = LEAST.to_owned() + "weight: {kind: linear_clamped, max: 100}\n";
    for text in [CONTRACT, OTHER, LEAST, ROUTED, &linear] {
        let pipeline = parse_in(folder.path(), text).expect("parses");
        let effective = pipeline.effective_yaml();
        let again = parse_in(std::path::Path::new("elsewhere"), &effective).expect(&effective);
        assert_eq!(again, pipeline, "{effective}");
        assert_eq!(again.effective_yaml(), effective);
    }
}

#[test]
fn news_goes_to_topics_files_and_addresses() {
    let folder = folder();
    let text = LEAST.to_owned()
        + r#"
keywords: {launches: {phrases: [TGE]}}
sinks:
  topic: {type: kafka, brokers: "h:9092", topic: news, from: events}
  file: {type: file, path: news.jsonl, from: events}
  chat: {type: http, url: "${NAME:-https://h/x}", from: events, body: slack}
  alerts: {type: http, url: "${NAME:-https://h/x}"}
"#;
    let pipeline = parse_in(folder.path(), &text).unwrap_or_else(|e| panic!("{e}"));
    let from: Vec<&str> = pipeline.sinks.iter().map(|s| s.from.name()).collect();
    assert_eq!(from, ["events", "events", "events", "rules", "dead_letters"]);
    let effective = pipeline.effective_yaml();
    let shown = |from: &str| effective.matches(&format!("from: {from}\n")).count();
    assert_eq!((shown("events"), shown("rules")), (3, 1), "{effective}");
}

#[test]
fn the_effective_file_shows_all_keys() {
    let folder = folder();
    let effective = parse_in(folder.path(), LEAST).expect("parses").effective_yaml();
    let expected = r#"name: "a"
state:
  url: "file:FOLDER/state"
  fold_after: 256MiB
time:
  clock: wall
  tick: 100ms
  max_future_skew: 5m
  strict: false
sources:
  g:
    type: generator
    seed: 1
    posts_per_minute: 600
    garbage: 0
    limit: none
link:
  exact:
    confidence: 0.95
  fuzzy:
    min: 85
  inherit_from_parent: true
  compat: none
models:
  live: given
  threads: auto
  batch:
    max: 32
    age: 20ms
  standby_share: 0
  rescore_rate: unlimited
alerts:
  model_changes: mute
weight:
  kind: log1p
views:
  v:
    group_by: []
    window:
      tumble: 1s
      on: created_at
    measures: [posts, weight, sentiment, sentiment_ci, positive, neutral, negative, toxic, sarcastic, scored]
    keep: forever
sinks:
  dead_letters:
    type: file
    path: "FOLDER/state/dead_letters.jsonl"
    from: dead_letters
    format: jsonl
serve:
  http: "127.0.0.1:8080"
workers: 1
scoring:
  sarcasm: keep
"#;
    assert_eq!(
        effective,
        expected.replace("FOLDER", &folder.path().display().to_string())
    );
}

#[test]
fn a_secret_in_a_value_is_masked() {
    let folder = folder();
    let text = LEAST.to_owned()
        + "sinks: {a: {type: file, path: \"${PASSWORD_URL}\", from: rules}}\nworkers: ${PASSWORD_URL}\n";
    let errors = parse_in(folder.path(), &text).expect_err("not a number").to_string();
    assert!(
        !errors.contains("hunter2") && errors.contains("postgres://me:***@db/x"),
        "{errors}"
    );
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let folder = folder();
    let text = "name: a\nsources: {g: {type: generator}}\nviews:\n  one: &one {group_by: &by [thread], window: {tumble: 1m}, keep: 1d}\n  \
                two: {<<: *one, keep: 2d}\n  three: {<<: [*one], group_by: *by, measures: [posts]}\n";
    let p = parse_in(folder.path(), text).expect("parses");
    let [one, two, three] = p.graph.views.as_slice() else {
        panic!("three views")
    };
    assert_eq!((two.window, two.keep), (one.window, Some(2 * 86_400_000)));
    assert_eq!(
        (&three.group_by, three.keep, three.measures.len()),
        (&one.group_by, one.keep, 1)
    );
}

/// The names that `map` may use are those that the decoder knows.
#[test]
fn the_fields_of_maps_are_those_of_the_decoder() {
    let folder = folder();
    let units = ["created_at", "observed_at", "air_time", "ends_at", "at", "version"];
    for into in Collection::ALL {
        for field in into.fields() {
            let found = if units.contains(field) {
                "{field: renamed, unit: s}"
            } else {
                "renamed"
            };
            let (into, views) = (into.name(), "{v: {group_by: [], window: {tumble: 1s}}}");
            let source = format!("{{type: file, path: cast.yaml, into: {into}, map: {{{field}: {found}}}}}");
            parse_in(
                folder.path(),
                &format!("name: a\nsources:\n  s: {source}\nviews: {views}\n"),
            )
            .unwrap_or_else(|errors| panic!("{into}.{field}: {errors}"));
        }
    }
}

#[test]
fn sections_without_content_are_empty() {
    let folder = folder();
    assert!(
        parse_in(
            folder.path(),
            &(LEAST.to_owned() + "rules:\nsinks:\n  # none yet\ntime:\n")
        )
        .is_ok()
    );
}

/// What a section of this pattern needs to be right, for a key inside it.
fn base(section: &str, key: &Key) -> String {
    match (section, key.only) {
        ("", _) if key.path.starts_with("serve.routes.feeds") => {
            "{name: a, sources: {g: {type: generator}, t: {type: file, path: posts.jsonl.gz, into: interactions}}, views: {by_minute: {group_by: [], window: {tumble: 1m}}}}"
        }
        ("", _) if key.path.starts_with("serve.routes") => {
            "{name: a, sources: {g: {type: generator}}, views: {
              by_hour: {group_by: [label], window: {tumble: 1h}}, by_day: {group_by: [label], window: {tumble: 1d}},
              last_day: {group_by: [label], window: {sliding: {size: 24h, every: 1m}}},
              by_thread: {group_by: [thread], window: {tumble: 1d}},
              cast_by_phase: {group_by: [thread, entity], window: {tumble: 1d}},
              cast_by_minute: {group_by: [thread, entity], window: {tumble: 1m}}}}"
        }
        ("", _) if key.path.starts_with("events") => {
            "{name: a, sources: {g: {type: generator}}, views: {by_minute: {group_by: [], window: {tumble: 1m}}}, keywords: {k: {phrases: [TGE]}}}"
        }
        ("views.*.top", _) => "{by: votes}",
        ("keywords.*", _) => "{phrases: [TGE]}",
        ("", _) => {
            "{name: a, sources: {g: {type: generator}}, views: {by_minute: {group_by: [], window: {tumble: 1m}}}}"
        }
        ("sources.*", Some((_, "generator"))) => "{type: generator}",
        ("sources.*", _) if key.path.contains(".registry") => {
            "{type: kafka, brokers: h:9092, topic: t, into: posts, format: avro}"
        }
        ("sources.*.registry", _) => "{url: \"http://h\", username: u, password: \"${NAME:-x}\"}",
        ("sources.*", _) if [".feeds", ".rate", ".retry", ".breaker"].iter().any(|s| key.path.contains(s)) => {
            "{type: feed, feeds: {outlet: {url: \"https://h/rss\"}}}"
        }
        ("sources.*.feeds.*", _) => "{url: \"https://h/rss\"}",
        ("sources.*", Some((_, "kafka" | "kafka|feed"))) => "{type: kafka, brokers: h:9092, topic: t, into: posts}",
        ("sources.*", _)
            if matches!(key.name(), "offsets" | "timestamp")
                || key.path.contains(".properties.")
                || key.path.contains(".start.") =>
        {
            "{type: kafka, brokers: h:9092, topic: t, into: posts}"
        }
        ("sources.*", _) => "{type: file, path: posts.jsonl.gz, into: posts}",
        ("sources.*.map.*", _) => "{field: f}",
        ("models", _) => "{live: fixture}",
        ("models.shadow", _) if key.name() != "fixture" => "{path: models/next}",
        ("serve.auth", _) if key.path == "serve.auth.tenant" || key.path == "serve.auth.jwt" => {
            return format!("{{keys: {{me: {{sha256: {}}}}}}}", "0f".repeat(32));
        }
        ("serve.auth.keys.*", _) if key.name() == "sha256" => "{}",
        ("serve.auth.keys.*", _) => return format!("{{sha256: {}}}", "0f".repeat(32)),
        ("serve.auth", _) if key.path.ends_with(".tenant") && key.path.contains("keys") => "{tenant: source}",
        ("serve.auth.jwt", _) if matches!(key.name(), "secret" | "jwks") => "{audience: a}",
        ("serve.auth.jwt", _) => {
            return format!("{{secret: {}, audience: a}}", "s".repeat(32));
        }
        ("serve.quota", _) => "{per_second: 1}",
        ("serve.tls", _) => "{cert: cert.pem, key: key.pem}",
        ("models.fallback.http", _) => "{url: \"http://127.0.0.1:1/v1\", model: m}",
        ("models.live", _) => "{path: models/social}",
        ("weight", Some((_, kind))) => return format!("{{kind: {kind}}}"),
        ("views.*", _) if key.path.contains(".anchored") => "{group_by: [thread], window: {tumble: 1m}}",
        ("views.*", _) => "{group_by: [], window: {tumble: 1m}}",
        ("views.*.window", _) if key.name() == "on" => "{tumble: 1m}",
        ("views.*.window.session", _) => "{gap: 30m}",
        ("views.*.window.anchored", _) => "{phases: {live: {from: air_time, to: ends_at}}}",
        ("views.*.window.anchored.phases.*", _) => "{from: air_time - 1h, to: ends_at + 1h}",
        ("serve.routes.threads", _) => "{list: by_thread}",
        ("views.*.window.hop" | "views.*.window.sliding", _) => "{size: 1h, every: 1m}",
        ("rules.*", _) => "{view: by_minute, when: posts > 1}",
        ("sinks.*", Some((_, "http"))) => "{type: http, url: \"${NAME:-https://h/x}\"}",
        ("sinks.*", Some((_, "kafka" | "kafka|http"))) => "{type: kafka, brokers: h:9092, topic: t, from: rules}",
        ("sinks.*", _) if key.path.ends_with(".*") => "{type: kafka, brokers: h:9092, topic: t, from: rules}",
        ("sinks.*", Some((_, "postgres" | "postgres|http"))) => "{type: postgres, url: postgres://me@h/db}",
        ("sinks.*", _) => "{type: file, path: out.jsonl, from: rules}",
        _ => "{}",
    }
    .to_owned()
}

/// Each key's example, put in its place in an otherwise right file, is right: documentation and reader agree.
#[test]
fn the_examples_of_the_reference_are_accepted() {
    let folder = folder();
    assert!(KEYS.iter().all(|k| !k.example.is_empty() || k.kind == Kind::Section));
    let mut refused = Vec::new();
    for key in KEYS.iter().filter(|k| !k.example.is_empty()) {
        let (mut text, mut path) = (key.example.to_owned(), key.path);
        while !path.is_empty() {
            let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
            let name = match (section, name) {
                ("views", "*") => "by_minute",
                ("sources.*.map", "*") if matches!(key.name(), "prefix" | "with") => "id",
                ("sources.*.map", "*") => "created_at",
                ("sources.*.start.offsets", "*") => "0",
                ("sources.*.properties" | "sinks.*.properties", "*") => "compression.type",
                (_, "*") => "x",
                (_, name) => name,
            };
            if path == "models.shadow" && path != key.path {
                text = format!("[{text}]");
            }
            text = format!("{{<<: {}, {name}: {text}}}", base(section, key));
            path = section;
        }
        if let Err(errors) = parse_in(folder.path(), &text) {
            refused.push(format!("{}: {text}\n{errors}", key.path));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
