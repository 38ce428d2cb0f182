//! Mistakes people make, with the exact words they get.

use super::{folder, parse_in};

const LEAST: &str = "name: a\nsources: {g: {type: generator}}\nviews: {v: {group_by: [], window: {tumble: 1s}}}\n";

/// What the reader says about a text; the folder's name is replaced by FOLDER.
fn said(text: &str) -> String {
    let folder = folder();
    let errors = parse_in(folder.path(), text).expect_err(text).to_string();
    errors
        .replace(&folder.path().display().to_string(), "FOLDER")
        .replace("pipeline.yaml:", "")
}

/// Compares what is said about `text(case)` with the expectation of each case, and shows all differences at once.
fn compare(cases: &[(&str, &str)], text: impl Fn(&str) -> String) {
    let differences: Vec<String> = cases
        .iter()
        .map(|(case, expected)| (case, expected, said(&text(case))))
        .filter(|(_, expected, said)| said != *expected)
        .map(|(case, expected, said)| format!("for      {case}\nexpected {expected}\nsaid     {said}\n"))
        .collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Lines added to the least pipeline, which has three.
pub(super) fn table(cases: &[(&str, &str)]) {
    compare(cases, |lines| format!("{LEAST}{lines}\n"));
}

/// The view `v` on line 4.
fn views(cases: &[(&str, &str)]) {
    compare(cases, |view| {
        format!("name: a\nsources: {{g: {{type: generator}}}}\nviews:\n  v: {view}\n")
    });
}

/// The source `s` on line 4.
fn sources(cases: &[(&str, &str)]) {
    let views = "views: {v: {group_by: [], window: {tumble: 1s}}}";
    compare(cases, |source| format!("name: a\n{views}\nsources:\n  s: {source}\n"));
}

#[test]
fn the_line_names_file_place_and_key() {
    let text = "name: a\nsources: {g: {type: generator}}\nviews:\n  cast_by_minute:\n    group_by: []\n    window: {tumbel: 1m}\n";
    let errors = parse_in(folder().path(), text).expect_err("misspelt");
    assert_eq!(
        errors.to_string(),
        "pipeline.yaml:6:14: views.cast_by_minute.window: unknown key \"tumbel\"; did you mean \"tumble\"?"
    );
    let error = &errors.errors()[0];
    assert_eq!(
        (error.line, error.column, error.path.as_str()),
        (6, 14, "views.cast_by_minute.window")
    );
    assert_eq!(
        (error.message.as_str(), error.hint.as_deref()),
        ("unknown key \"tumbel\"", Some("did you mean \"tumble\"?"))
    );
}

#[test]
fn keys() {
    table(&[
        ("vews: {}", "4:1: unknown key \"vews\"; did you mean \"views\"?"),
        (
            "zzz: 1",
            "4:1: unknown key \"zzz\"; known: name, state, time, sources, models, alerts, weight, views, sinks, workers, keywords, events, numbers, link, rules, scoring, serve",
        ),
        (
            "state.url: x",
            "4:1: unknown key \"state.url\"; known: name, state, time, sources, models, alerts, weight, views, sinks, workers, keywords, events, numbers, link, rules, scoring, serve",
        ),
        (
            "\"*\": x",
            "4:1: unknown key \"*\"; known: name, state, time, sources, models, alerts, weight, views, sinks, workers, keywords, events, numbers, link, rules, scoring, serve",
        ),
        (
            "time: {tik: 1s}",
            "4:8: time: unknown key \"tik\"; did you mean \"tick\"?",
        ),
        ("name: b", "4:1: duplicate key \"name\" (first on line 1)"),
        (
            "time: {tick: 1s, clock: wall, tick: 2s}",
            "4:31: time: duplicate key \"tick\" (first on line 4)",
        ),
        ("? [a]\n: b", "4:3: a key must be a word, not a list or a mapping"),
    ]);
}

#[test]
fn values() {
    table(&[
        ("time: [1]", "4:7: time: expected a section, found a list"),
        (
            "time: {tick: [1s]}",
            "4:14: time.tick: expected a duration, found a list; for example tick: 20ms",
        ),
        (
            "time: {tick: }",
            "4:12: time.tick: expected a duration, found nothing; for example tick: 20ms",
        ),
        (
            "time: {tick: 1 minute}",
            "4:14: time.tick: \"1 minute\" is not a duration; write a whole number and a unit, as in 500ms, 10s, 1m, 2h, 30d",
        ),
        (
            "time: {tick: 5}",
            "4:14: time.tick: \"5\" is not a duration; write a whole number and a unit, as in 500ms, 10s, 1m, 2h, 30d",
        ),
        (
            "time: {tick: 2h}",
            "4:14: time.tick: must be between 1ms and 1m, not 2h",
        ),
        (
            "time: {clock: evnt}",
            "4:15: time.clock: unknown value \"evnt\"; did you mean \"event\"?",
        ),
        (
            "time: {clock: sun}",
            "4:15: time.clock: unknown value \"sun\"; known: wall, event",
        ),
        (
            "time: {strict: yes}",
            "4:16: time.strict: \"yes\" is neither true nor false",
        ),
        ("workers: 0", "4:10: workers: must be between 1 and 256, not 0"),
        ("workers: 1.5", "4:10: workers: \"1.5\" is not a whole number"),
        (
            "workers: 99999999999999999999",
            "4:10: workers: \"99999999999999999999\" is not a whole number",
        ),
        (
            "models: {threads: all}",
            "4:19: models.threads: \"all\" is not a whole number; or auto",
        ),
        (
            "link: {exact: {confidence: NaN}}",
            "4:28: link.exact.confidence: \"NaN\" is not a number",
        ),
        (
            "link: {exact: {confidence: .inf}}",
            "4:28: link.exact.confidence: \".inf\" is not a number",
        ),
        (
            "link: {exact: {confidence: 95}}",
            "4:28: link.exact.confidence: must be between 0 and 1, not 95",
        ),
        (
            "link: {fuzzy: true}",
            "4:15: link.fuzzy: expected \"false\" or a section, found \"true\"; for example fuzzy: {min: 90}",
        ),
        (
            "state: {fold_after: 64MB}",
            "4:21: state.fold_after: \"64MB\" is not a size; write a whole number and a unit, as in 512KiB, 64MiB, 1GiB",
        ),
        (
            "state: {url: ./state}",
            "4:14: state.url: \"./state\" is not a URL; write \"file:./state\"",
        ),
        (
            "state: {url: \"s3://k:pw@b/p\"}",
            "4:14: state.url: not supported in this build: state in \"s3://…\"; use a folder, as in \"file:./state\"",
        ),
        (
            "state: {url: \"file:cast.yaml\"}",
            "4:14: state.url: FOLDER/cast.yaml is a file, not a folder",
        ),
        (
            "state: {url: \"file://host/x\"}",
            "4:14: state.url: \"file://host/x\" names a host; write \"file:./state\" or \"file:/var/state\"",
        ),
        (
            "serve: {http: \"0.0.0.0:8080\"}",
            "4:15: serve.http: beyond the loopback it has to be said who may ask; add serve.auth with keys or jwt (`groundswell key` makes a key), or say `auth: false` if a proxy in front decides",
        ),
        (
            "serve: {auth: {tenant: source}}",
            "4:9: serve.auth: nobody could ever ask; give `keys`, `jwt` or both",
        ),
        (
            "serve: {auth: {keys: {me: {sha256: gsk_secret}}}}",
            "4:36: serve.auth.keys.me.sha256: expected the SHA-256 of a key, 64 hex digits; `groundswell key` prints a new key and what to write here",
        ),
        (
            "serve: {auth: {jwt: {audience: a, secret: short}}}",
            "4:43: serve.auth.jwt.secret: has less than 32 bytes, which can be guessed",
        ),
        (
            "serve: {auth: {jwt: {audience: a}}}",
            "4:16: serve.auth.jwt: has no key to check tokens with; give `secret` (HS256) or `jwks` (RS256)",
        ),
        (
            "serve: {auth: {jwt: {audience: a, jwks: \"http://id.example/jwks\"}}}",
            "4:41: serve.auth.jwt.jwks: \"http://id.example/jwks\" is not an https address; whoever can change the keys on their way can sign tokens",
        ),
        (
            "serve: {quota: {per_second: 0}}",
            "4:29: serve.quota.per_second: must be between 1 and 1000000, not 0",
        ),
        (
            "serve: {k_anonymity: 1}",
            "4:22: serve.k_anonymity: must be between 2 and 1000000, not 1",
        ),
        (
            "serve: {origins: [\"*\"]}",
            "4:19: serve.origins[0]: \"*\" is not an origin; scheme, name and perhaps port, as in \"https://dashboard.example.com\"",
        ),
        (
            "serve: {http: 8080}",
            "4:15: serve.http: \"8080\" is not an address; for example \"127.0.0.1:8080\"",
        ),
        (
            "models: {live: {path: models/none}}",
            "4:23: models.live.path: no model folder at FOLDER/models/none",
        ),
        (
            "models: {live: {device: cpu}}",
            "4:10: models.live: missing key \"path\"; for example path: models/social",
        ),
        (
            "models: {live: fixtures}",
            "4:16: models.live: expected \"given\" or \"fixture\" or a section, found \"fixtures\"; for example live: {path: models/social}",
        ),
        (
            "models: {live: {path: models/social, device: gpu}}",
            "4:46: models.live.device: \"gpu\" is not a device; write auto, cpu, or cuda:N with the number of a GPU",
        ),
        (
            "models: {fallback: {neutral: true}}",
            "4:10: models.fallback: there is no model that could fail, and nothing below it; name a model (`models.live`), or a \
             scorer (`http`)",
        ),
        (
            "models: {live: fixture, fallback: {http: {url: \"http://me:pw@h/v1\", model: m}}}",
            "4:48: models.fallback.http.url: \"http://me:***@h/v1\" is not the address of a scorer: credentials do not belong \
             into it: use `token`; write what comes before /chat/completions, as in https://api.example.com/v1",
        ),
        (
            "models: {live: fixture, fallback: {http: {url: \"http://h/v1\", model: m, token: hush}}}",
            "4:80: models.fallback.http.token: a token does not belong into this file; write token: \"${NAME}\", or file:PATH",
        ),
        (
            "models: {live: fixture, fallback: {http: {url: \"http://h/v1\", model: m}}}",
            "4:48: models.fallback.http.url: \"http://h/v1\" is not the address of a scorer: texts and token would go to h \
             unencrypted: use https, or say `plain_http: true`; write what comes before /chat/completions, as in \
             https://api.example.com/v1",
        ),
        (
            "scoring: {sarcasm: flap}",
            "4:20: scoring.sarcasm: unknown value \"flap\"; did you mean \"flip\"?",
        ),
        (
            "weight: {kind: linear_clamped}",
            "4:1: weight: missing key \"max\"; for example max: 100",
        ),
        (
            "weight: {kind: uniform, max: 3}",
            "4:25: weight: \"max\" goes with \"kind: linear_clamped\", and this is \"kind: uniform\"",
        ),
        (
            "weight: {kind: table, table: [[0, 1], [0, 2]]}",
            "4:40: weight.table[1][0]: thresholds must ascend, and 0 follows 0",
        ),
        (
            "weight: {kind: table, table: [[0, NaN], [1]]}",
            "4:35: weight.table[0][1]: \"NaN\" is not a number\n4:41: weight.table[1]: expected a pair [votes, weight], found 1 values",
        ),
        (
            "weight: {kind: table, table: [[0, -1]]}",
            "4:35: weight.table[0][1]: must be between 0 and 65536, not -1",
        ),
        ("weight: {kind: table, table: []}", "4:30: weight.table: has no steps"),
    ]);
}

#[test]
fn references() {
    table(&[
        (
            "workers: ${CORES}",
            "4:10: workers: environment variable CORES is not set; set it, or give a default: ${CORES:-value}",
        ),
        (
            "workers: ${CORES:-many}",
            "4:10: workers: \"many\" is not a whole number",
        ),
        (
            "workers: ${1}",
            "4:10: workers: \"1\" is not the name of an environment variable; write ${NAME} or ${NAME:-default}; $${ stands for a literal ${",
        ),
        (
            "workers: \"${CORES\"",
            "4:10: workers: environment reference without its closing \"}\"; write ${NAME} or ${NAME:-default}; $${ stands for a literal ${",
        ),
        (
            "sinks: {a: {type: file, path: \"${NOTHING}\", from: rules}}",
            "4:31: sinks.a.path: \"\" is not a path",
        ),
    ]);
}

#[test]
fn source_mistakes() {
    sources(&[
        (
            "{type: kafka, brokers: \"${KAFKA}\", topic: t, into: posts}",
            "4:29: sources.s.brokers: environment variable KAFKA is not set; set it, or give a default: ${KAFKA:-value}",
        ),
        (
            "{type: kafka, brokers: here, topic: a/b, into: posts, star: latest}",
            "4:29: sources.s.brokers: \"here\" is not the address of a broker; write host:port, several separated by commas\n4:42: sources.s.topic: \"a/b\" is not the name of a topic; Kafka takes letters, digits, \".\", \"_\" and \"-\", at most 249\n4:60: sources.s: unknown key \"star\"; did you mean \"start\"?",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, start: {timestamp: noon}, properties: {sasl.password: hush, fetch.max.bytes: lots, isolation.level: x}}",
            "4:76: sources.s.start.timestamp: \"noon\" is not a time; as in 2026-11-01T00:00:00Z, or epoch milliseconds\n4:111: sources.s.properties.sasl.password: a password does not belong into this file; write sasl.password: \"${NAME}\", or file:PATH\n4:134: sources.s.properties.fetch.max.bytes: property \"fetch.max.bytes\": Invalid value for configuration property \"fetch.max.bytes\"; see librdkafka's CONFIGURATION.md for names and values\n4:157: sources.s.properties.isolation.level: property \"isolation.level\": it is set by the engine: only committed records are read; see librdkafka's CONFIGURATION.md for names and values",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, start: {}, pace: full}",
            "4:64: sources.s.start: a start is one of several; write earliest, latest, {timestamp: …} or {offsets: {…}}\n4:68: sources.s: \"pace\" goes with \"type: file\", and this is \"type: kafka\"",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, format: jsonl}",
            "4:65: sources.s.format: topics are not read as jsonl; write json, avro or protobuf",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, registry: {url: http://h}}",
            "4:57: sources.s.registry: JSON needs no schema registry; add \"format: avro\" or \"format: protobuf\", or leave it out",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, format: avro}",
            "4:65: sources.s.format: avro needs the topic's schema registry; add registry: {url: \"https://HOST:PORT\"}",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, format: avro, registry: {url: http://me:hush@h, username: me}}",
            "4:81: sources.s.registry: `username` and `password` go together: one is missing\n4:87: sources.s.registry.url: \"http://me:***@h\" is not the address of a registry: credentials do not belong into it: use `username` and `password`; write what comes before /schemas/ids/1, as in https://registry:8081",
        ),
        (
            "{type: kafka, brokers: h:1, topic: t, into: posts, format: avro, registry: {url: http://h, ca: cast.yaml}}",
            "4:101: sources.s.registry.ca: the authorities in FOLDER/cast.yaml: there is no certificate in it",
        ),
        (
            "{type: file, path: posts.jsonl.gz, into: posts, format: avro}",
            "4:62: sources.s.format: files are not read as avro; write jsonl, json or yaml",
        ),
        (
            "{path: posts.jsonl.gz}",
            "4:3: sources.s: missing key \"type\"; for example type: file",
        ),
        (
            "{type: flie, paht: x}",
            "4:13: sources.s.type: unknown value \"flie\"; did you mean \"file\"?\n4:19: sources.s: unknown key \"paht\"; did you mean \"path\"?",
        ),
        (
            "{type: file}",
            "4:3: sources.s: missing key \"into\"; for example into: posts\n4:3: sources.s: missing key \"path\"; for example path: posts.jsonl.gz",
        ),
        (
            "{type: file, path: gone.jsonl, into: posts}",
            "4:25: sources.s.path: no file at FOLDER/gone.jsonl; paths are relative to the pipeline file; with \"pace: follow\" it may come later",
        ),
        (
            "{type: file, path: models, into: posts}",
            "4:25: sources.s.path: FOLDER/models is a folder, not a file",
        ),
        (
            "{type: file, path: posts.dat, into: posts}",
            "4:25: sources.s.path: cannot tell the format of \"posts.dat\" by its name; add \"format: jsonl\" (one object a line), or json, or yaml",
        ),
        (
            "{type: file, path: cast.yaml, into: post}",
            "4:42: sources.s.into: unknown value \"post\"; did you mean \"posts\"?",
        ),
        (
            "{type: file, path: cast.yaml, into: erasures, map: {undoo: back}}",
            "4:58: sources.s.map.undoo: unknown field of erasures \"undoo\"; did you mean \"undo\"?",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, pace: -1x}",
            "4:55: sources.s.pace: \"-1x\" is not a pace; write full, follow, or a speed-up such as \"60x\"",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, pace: NaNx}",
            "4:55: sources.s.pace: \"NaNx\" is not a pace; write full, follow, or a speed-up such as \"60x\"",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, seed: 1}",
            "4:49: sources.s: \"seed\" goes with \"type: generator\", and this is \"type: file\"",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, map: {txet: body}}",
            "4:55: sources.s.map.txet: unknown field of posts \"txet\"; did you mean \"text\"?",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, map: {text: {field: a, unit: s}}}",
            "4:72: sources.s.map.text.unit: \"text\" is no time, so it has no unit",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, map: {created_at: {field: a, unit: sec}}}",
            "4:84: sources.s.map.created_at.unit: unknown value \"sec\"; known: s, ms, us",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, map: {text: a..b}}",
            "4:61: sources.s.map.text: \"a..b\" is neither a field's name nor a dotted path",
        ),
        (
            "{type: generator, garbage: 2}",
            "4:33: sources.s.garbage: must be between 0 and 1, not 2",
        ),
        (
            "{type: file, path: posts.jsonl.gz, into: posts, pace: follow}",
            "4:25: sources.s.path: FOLDER/posts.jsonl.gz is compressed, so it cannot be followed; unpack it, or leave out \"pace: follow\"",
        ),
        (
            "{type: file, path: posts.json, into: posts}",
            "4:25: sources.s.path: cannot tell the format of \"posts.json\" by its name; add \"format: jsonl\" (one object a line), or json, or yaml",
        ),
        (
            "{type: file, path: cast.yaml, into: posts, map: {id: text.id}}",
            "4:54: sources.s.map: \"text\" is used both as a value and as an object",
        ),
    ]);
}

#[test]
fn anchored_mistakes() {
    let anchored = |rest: &str| format!("{{group_by: [thread], window: {{anchored: {{phases: {rest}}}}}}}");
    let edges = |from: &str, to: &str| anchored(&format!("{{live: {{from: {from}, to: {to}}}}}"));
    let seven: Vec<String> = (0..7)
        .map(|n| format!("p{n}: {{from: air_time, to: ends_at}}"))
        .collect();
    let cases = [
        (
            "{group_by: [phase], window: {tumble: 1m}}".to_owned(),
            "4:17: views.v.group_by: only anchored windows have phases; give `window: {anchored: …}`, or leave `phase` out",
        ),
        (
            "{group_by: [entity], window: {anchored: {phases: {live: {from: air_time, to: ends_at}}}}}".to_owned(),
            "4:17: views.v.group_by: phases are those of a thread, and the view does not group by it; add `thread`",
        ),
        (
            "{group_by: [thread, entity, source], window: {anchored: {phases: {live: {from: air_time, to: ends_at}}}}}"
                .to_owned(),
            "4:17: views.v.group_by: an anchored view groups by `thread`, `phase` and at most one column more",
        ),
        (
            anchored("{}"),
            "4:55: views.v.window.anchored.phases: give one to 6 phases, not 0",
        ),
        (
            anchored(&format!("{{{}}}", seven.join(", "))),
            "4:55: views.v.window.anchored.phases: give one to 6 phases, not 7",
        ),
        (
            anchored("{Live: {from: air_time, to: ends_at}}"),
            "4:56: views.v.window.anchored.phases.Live: a phase is named by 1 to 16 lower-case letters, digits or `_`",
        ),
        (
            edges("airtime", "ends_at"),
            "4:69: views.v.window.anchored.phases.live.from: \"airtime\" is no time of a thread; write air_time or ends_at, and perhaps + or - and a duration, as in air_time - 24h",
        ),
        (
            edges("air_time", "air_time - 1h"),
            "4:83: views.v.window.anchored.phases.live.to: air_time - 1h is not after air_time",
        ),
        (
            anchored("{live: {from: air_time}}"),
            "4:56: views.v.window.anchored.phases.live: missing key \"to\"; for example to: ends_at + 12h",
        ),
        (
            "{group_by: [label, emotion, source, author, entity], window: {tumble: 1m}}".to_owned(),
            "4:17: views.v.group_by: a view groups by at most four columns",
        ),
    ];
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(text, expected)| (text.as_str(), *expected))
        .collect();
    views(&cases);
    let text = "name: a\nsources: {g: {type: generator}}\nviews: {p: {group_by: [thread], window: {anchored: {phases: {live: {from: air_time, to: ends_at}}}}}}\n";
    assert_eq!(
        said(&format!("{text}rules: {{r: {{view: p, when: posts > 1}}}}\n")),
        "4:19: rules.r.view: rules follow windows side by side, and this view's are anchored; watch a view with `tumble`, `hop` or `sliding`"
    );
    let text = text.replace(
        "{anchored: {phases: {live: {from: air_time, to: ends_at}}}}",
        "{session: {gap: 5m}}",
    );
    assert_eq!(
        said(&format!("{text}rules: {{r: {{view: p, when: posts > 1}}}}\n")),
        "4:19: rules.r.view: rules follow windows side by side, and this view's are sessions; watch a view with `tumble`, `hop` or `sliding`"
    );
}

#[test]
fn route_mistakes() {
    let text = "name: a\nsources: {g: {type: generator}}\nviews: {hour: {group_by: [label], window: {tumble: 1h}}, minute: {group_by: [thread], window: {tumble: 1m}}, cast: {group_by: [thread, entity, label], window: {tumble: 1d}, measures: [sentiment]}, by_cast: {group_by: [entity, label], window: {tumble: 1h}}, last: {group_by: [label], window: {sliding: {size: 24h, every: 1m}}}, again: {group_by: [label], window: {sliding: {size: 1d, every: 1h}}}, odd: {group_by: [label], window: {sliding: {size: 90m, every: 1m}}}}\n";
    let whole = |routes: &&str| said(&format!("{text}serve: {{routes: {{{routes}}}}}\n"));
    let does_not_fit = "does not fit: for this it";
    let cases = [
        (
            "sentiment: {hour: hours}",
            "4:36: serve.routes.sentiment.hour: unknown view \"hours\"; did you mean \"hour\"?".to_owned(),
        ),
        (
            "sentiment: {day: hour}",
            format!("4:35: serve.routes.sentiment.day: the view \"hour\" {does_not_fit} needs window: {{tumble: 1d}}"),
        ),
        (
            "sentiment: {day: cast}",
            format!(
                "4:35: serve.routes.sentiment.day: the view \"cast\" {does_not_fit} groups by \"entity\", which counts a post once for every mention"
            ),
        ),
        (
            "sentiment: {hour: by_cast}",
            format!(
                "4:36: serve.routes.sentiment.hour: the view \"by_cast\" {does_not_fit} groups by \"entity\", which counts a post once for every mention"
            ),
        ),
        (
            "sentiment: {distribution: [odd]}",
            format!(
                "4:45: serve.routes.sentiment.distribution[0]: the view \"odd\" {does_not_fit} needs window: {{sliding: …}} of whole hours"
            ),
        ),
        (
            "sentiment: {distribution: [last, again]}",
            "4:44: serve.routes.sentiment.distribution: \"last\" and \"again\" both look back 1d".to_owned(),
        ),
        (
            "threads: {cast: cast}",
            "4:18: serve.routes.threads: missing key \"list\"; for example list: by_thread".to_owned(),
        ),
        (
            "threads: {list: hour}",
            format!("4:34: serve.routes.threads.list: the view \"hour\" {does_not_fit} has to group by \"thread\""),
        ),
        (
            "threads: {list: minute, timeline: cast}",
            format!(
                "4:52: serve.routes.threads.timeline: the view \"cast\" {does_not_fit} groups by \"label\", for which there is no place"
            ),
        ),
        (
            "threads: {list: cast}",
            format!(
                "4:34: serve.routes.threads.list: the view \"cast\" {does_not_fit} groups by \"entity\", which counts a post once for every mention"
            ),
        ),
    ];
    let differences: Vec<String> = cases
        .iter()
        .map(|(routes, expected)| (expected, whole(routes)))
        .filter(|(expected, said)| *expected != said)
        .map(|(expected, said)| format!("expected {expected}\nsaid     {said}\n"))
        .collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn view_mistakes() {
    views(&[
        (
            "{group_by: [thread, entity, source, author, thread], window: {tumble: 1m}}",
            "4:50: views.v.group_by[4]: \"thread\" stands here twice",
        ),
        (
            "{group_by: [threads], window: {tumble: 1m}}",
            "4:18: views.v.group_by[0]: unknown value \"threads\"; did you mean \"thread\"?",
        ),
        (
            "{group_by: thread, window: {tumble: 1m}}",
            "4:17: views.v.group_by: expected a list of words, found \"thread\"; for example group_by: [thread, entity]",
        ),
        (
            "{group_by: []}",
            "4:3: views.v: missing key \"window\"; for example window: {tumble: 1m}",
        ),
        (
            "{group_by: [], window: {}}",
            "4:21: views.v.window: missing the kind of window; one of tumble, hop, sliding, anchored, session",
        ),
        (
            "{group_by: [], window: {session: 5m}}",
            "4:39: views.v.window.session: expected a section, found \"5m\"; for example session: {gap: 30m}",
        ),
        (
            "{group_by: [], window: {session: {max: 1h}}}",
            "4:30: views.v.window.session: missing key \"gap\"; for example gap: 30m",
        ),
        (
            "{group_by: [], window: {session: {gap: 2h, max: 1h}}}",
            "4:45: views.v.window.session.gap: 2h is longer than a session may be, 1h; give a shorter `gap` or a longer `max`",
        ),
        (
            "{group_by: [thread, phase], window: {session: {gap: 5m}}}",
            "4:17: views.v.group_by: only anchored windows have phases; give `window: {anchored: …}`, or leave `phase` out",
        ),
        (
            "{group_by: [thread, entity, label, source], window: {session: {gap: 5m}}}",
            "4:17: views.v.group_by: a view of sessions groups by at most three columns; leave one out, or use `tumble`, `hop` or `sliding`",
        ),
        (
            "{group_by: [], window: {session: {gap: 5m}}, columns: {votes: sum(votes)}}",
            "4:3: views.v: numbers are not kept for sessions; leave out `top` and columns with `sum(…)` and the like, or use another window",
        ),
        (
            "{group_by: [], window: {sliding: {size: 1h, every: 1m}}, revisions: true}",
            "4:74: views.v.revisions: a sliding window is never over: its rows have no state; leave it out, or use another window",
        ),
        (
            "{group_by: [], window: {tumble: 1m}, revisions: true, columns: {revision: posts}}",
            "4:70: views.v.columns.revision: there is another column \"revision\"",
        ),
        (
            "{group_by: [], window: {session: {gap: 5m}}, keep: 1d}",
            "4:57: views.v.keep: 1d is shorter than a window, 1445m",
        ),
        (
            "{group_by: [], window: {tumble: 1m, hop: {size: 1m, every: 1m}}}",
            "4:21: views.v.window: a window is one of tumble, hop, sliding, anchored and session, not several",
        ),
        (
            "{group_by: [], window: {tumble: 500ms}}",
            "4:38: views.v.window.tumble: must be between 1s and 3650d, not 500ms",
        ),
        (
            "{group_by: [], window: {tumble: 1m, on: edited_at}}",
            "4:46: views.v.window.on: unknown value \"edited_at\"; did you mean \"created_at\"?",
        ),
        (
            "{group_by: [], window: {hop: {size: 10m, every: 3m}}}",
            "4:54: views.v.window.hop.every: 3m does not divide the size 10m",
        ),
        (
            "{group_by: [], window: {hop: {size: 1d, every: 1s}}}",
            "4:53: views.v.window.hop.every: puts each post into 86400 windows; 1000 is the most",
        ),
        (
            "{group_by: [], window: {sliding: {size: 10m}}}",
            "4:30: views.v.window.sliding: missing key \"every\"; for example every: 1m",
        ),
        (
            "{group_by: [], window: {tumble: 1h}, keep: 1m}",
            "4:49: views.v.keep: 1m is shorter than a window, 1h",
        ),
        (
            "{group_by: [], window: {tumble: 1h}, measures: []}",
            "4:53: views.v.measures: a view shows at least one measure",
        ),
        (
            "{group_by: [], window: {tumble: 1h}, measures: [sentimnt]}",
            "4:54: views.v.measures[0]: unknown value \"sentimnt\"; did you mean \"sentiment\"?",
        ),
        (
            "{group_by: [], window: {tumble: 1h}}\n  Two: {group_by: [], window: {tumble: 1h}}",
            "5:3: views.Two: \"Two\" is not a name; use a lower-case letter, then letters, digits or \"_\"; at most 63",
        ),
        (
            "{group_by: [], window: {tumble: 1h}}\n  alerts: {group_by: [], window: {tumble: 1h}}",
            "5:3: views.alerts: \"alerts\" is kept for a table of the engine; choose another name",
        ),
    ]);
}

#[test]
fn rule_and_sink_mistakes() {
    table(&[
        (
            "rules: {r: {view: w, when: \"posts > 1\"}}",
            "4:19: rules.r.view: unknown view \"w\"; known: v",
        ),
        (
            "rules: {r: {view: v, when: \"sentimnt < 0\"}}",
            "4:29: rules.r.when: unknown measure \"sentimnt\"; known: posts, weight, sentiment, sentiment_ci, positive, neutral, negative, toxic, sarcastic, scored (at character 1); did you mean \"sentiment\"?",
        ),
        (
            "rules: {r: {view: v, when: posts > 1 und posts}}",
            "4:38: rules.r.when: expected `and`, `or` or the end (at character 11)",
        ),
        (
            "rules: {r: {view: v}}",
            "4:9: rules.r: missing key \"when\"; for example when: \"sentiment < -0.3\"",
        ),
        (
            "rules: {r: {view: v, when: \"posts > 1\", min_posts: -1}}",
            "4:52: rules.r.min_posts: must be between 0 and 2147483647, not -1",
        ),
        (
            "rules: {r: {view: v, when: \"posts > previos(posts)\"}}",
            "4:37: rules.r.when: unknown function \"previos\"; known: previous, baseline (at character 9); did you mean \"previous\"?",
        ),
        (
            "rules: {r: {view: v, when: \"posts > previous(posts, 10)\"}}",
            "4:53: rules.r.when: expected a duration: `500ms`, `10s`, `1m`, `2h`, `30d`, at most 3650d (at character 25)",
        ),
        (
            "rules: {r: {view: v, when: \"posts > 2 * baseline(previous(posts))\"}}",
            "4:50: rules.r.when: `previous` and `baseline` cannot stand in one another (at character 22)",
        ),
        (
            "rules: {r: {view: v, when: \"posts > previous(posts, 1500ms)\"}}",
            "4:28: rules.r.when: no window of \"v\" begins 1500ms before another: they begin every 1s; use `1s`",
        ),
        (
            "rules: {r: {view: v, when: \"posts > baseline(posts)\", baseline: {weeks: 2, min: 3}}}",
            "4:81: rules.r.baseline.min: 3 windows cannot be there in 2 weeks: there is one in each; use `min: 2` or less",
        ),
        (
            "sinks: {a: {type: kafka, topic: t, path: x}}",
            "4:9: sinks.a: missing key \"brokers\"; for example brokers: \"localhost:9092\"\n4:9: sinks.a: missing key \"from\"; for example from: rules\n4:36: sinks.a: \"path\" goes with \"type: file\", and this is \"type: kafka\"",
        ),
        (
            "sinks: {a: {type: postgres, url: \"postgres://me:pw@db/app\"}}",
            "4:34: sinks.a.url: a password does not belong into this file; write url: \"${NAME}\", or file:PATH",
        ),
        (
            "sinks: {a: {type: postgres, url: \"mysql://db\"}}",
            "4:34: sinks.a.url: the url does not begin with postgres://; as in postgres://user:password@host:5432/database",
        ),
        (
            "sinks: {a: {type: postgres, url: \"${DATABASE_URL}\", views: [w]}}",
            "4:61: sinks.a.views[0]: unknown view \"w\"; known: v",
        ),
        (
            "sinks: {a: {type: postgres, url: \"${DATABASE_URL}\", path: x}}",
            "4:53: sinks.a: \"path\" goes with \"type: file\", and this is \"type: postgres\"",
        ),
        (
            "sinks: {a: {type: file, path: a.jsonl, from: rule}}",
            "4:46: sinks.a.from: unknown origin \"rule\"; did you mean \"rules\"?",
        ),
        (
            "sinks: {a: {type: file, path: a.jsonl, from: events}}",
            "4:46: sinks.a.from: there are no keywords that could make events; add `keywords:`, or a source with `into: keywords`",
        ),
        (
            "sinks: {a: {type: http, url: \"${NAME:-https://h/x}\", from: v}}",
            "4:60: sinks.a.from: a webhook posts alerts or keyword events; `from: rules` or `from: events`; the others go to files, topics and tables",
        ),
        (
            "sinks: {a: {type: file, path: a, from: v}, b: {type: file, path: ./a, from: rules}}",
            "4:66: sinks.b.path: FOLDER/a is what sinks.a writes",
        ),
        (
            "sinks: {dead_letters: {type: file, path: a, from: v}}",
            "4:9: sinks.dead_letters: this name is kept for the sink of the dead letters; choose another",
        ),
    ]);
    for (view, when, expected) in [
        (
            "window: {tumble: 1h}, keep: 30d",
            "posts > 10 * baseline(posts)",
            "5:28: rules.r.when: the rule looks back 35d, and \"v\" keeps its windows for 30d; use `keep: 841h` or more in views.v",
        ),
        (
            "window: {hop: {size: 10m, every: 5m}}, keep: 10m",
            "posts > previous(posts)",
            "5:28: rules.r.when: the rule looks back 10m, and \"v\" keeps its windows for 10m; use `keep: 20m` or more in views.v",
        ),
        (
            "window: {sliding: {size: 10m, every: 1m}}",
            "posts > baseline(posts)",
            "5:28: rules.r.when: a baseline needs windows of past weeks, and \"v\" is a sliding view, which has none; watch a view with `tumble` or `hop`",
        ),
        (
            "window: {tumble: 13m}",
            "posts > baseline(posts)",
            "5:28: rules.r.when: windows of \"v\" begin every 13m, which does not divide a week: none begins at the same moment of it",
        ),
    ] {
        let views = format!("views:\n  v: {{group_by: [], {view}}}");
        let rule = format!("rules: {{r: {{view: v, when: \"{when}\", baseline: {{weeks: 5}}}}}}");
        assert_eq!(
            said(&format!(
                "name: a\nsources: {{g: {{type: generator}}}}\n{views}\n{rule}\n"
            )),
            expected
        );
    }
    sources(&[(
        "{type: file, path: cast.yaml, into: posts}\nsinks: {a: {type: file, path: cast.yaml, from: v}}",
        "5:31: sinks.a.path: FOLDER/cast.yaml is what sources.s reads",
    )]);
}

#[test]
fn several_at_once_in_the_order_of_the_file() {
    assert_eq!(
        said("nmae: x\nsources:\n  p: {type: file, path: gone.jsonl, into: posts}\nviews:\n  v: {group_by: [], window: {tumble: 1x}}\nrules:\n  r: {view: w, when: posts}\n"),
        [
            "1:1: unknown key \"nmae\"; did you mean \"name\"?",
            "1:1: missing key \"name\"; for example name: live-threads",
            "3:25: sources.p.path: no file at FOLDER/gone.jsonl; paths are relative to the pipeline file; with \"pace: follow\" it may come later",
            "5:38: views.v.window.tumble: \"1x\" is not a duration; write a whole number and a unit, as in 500ms, 10s, 1m, 2h, 30d",
            "7:13: rules.r.view: unknown view \"w\"; known: v",
            "7:27: rules.r.when: expected a comparison (<, <=, >, >=, ==, !=) (at character 6)",
        ]
        .join("\n")
    );
}

#[test]
fn no_yaml() {
    for (text, expected) in [
        (
            "",
            "1:1: the file is empty; a pipeline needs at least a name, sources and views",
        ),
        (
            "# nothing\n",
            "1:1: the file is empty; a pipeline needs at least a name, sources and views",
        ),
        (
            "~",
            "1:1: the file is empty; a pipeline needs at least a name, sources and views",
        ),
        (
            "hello",
            "1:1: expected keys and values, found \"hello\"; a pipeline file begins with \"name: …\"",
        ),
        (
            "- a",
            "1:1: expected keys and values, found a list; a pipeline file begins with \"name: …\"",
        ),
        (
            "name: a\n---\nname: b",
            "2:1: a second YAML document; a pipeline file holds one",
        ),
    ] {
        assert!(said(text).starts_with(expected), "{text:?}: {}", said(text));
    }
    let tabs = said("state:\n\turl: x\n");
    assert!(
        tabs.contains("not valid YAML") && tabs.ends_with("; indent with spaces, not with tabs"),
        "{tabs}"
    );
    let unquoted = said("workers: {a: ${X}}");
    assert!(
        unquoted.ends_with("; put values with ${…} in quotes inside {…} and […]"),
        "{unquoted}"
    );
    assert!(said("a: [1").contains("not valid YAML"));
    assert!(said("name: *x").contains("not valid YAML"));
    assert!(said("name: !include x").contains("1:7: name: YAML tag \"!include\" is not supported"));
}
