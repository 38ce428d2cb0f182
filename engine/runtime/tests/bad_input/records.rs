//! Records that cannot be accepted: each between good ones, each a dead letter with its stage, its code and its bytes.

use crate::case::{Case, Ends, Start, fails};
use crate::program::{Ended, PATIENCE, Running, get, groundswell};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// What a source is, in the pipeline file.
struct Source {
    into: &'static str,
    map: &'static str,
    good: fn(u32) -> String,
}

const POSTS: Source = Source {
    into: "posts",
    map: "",
    good: |n| format!("{{\"id\":\"good{n}\",\"text\":\"fine\",\"created_at\":17672256{n:05}}}"),
};
const GIVEN: Source = Source {
    map: ", map: {sentiment: x, version: v}",
    good: |n| format!("{{\"id\":\"good{n}\",\"text\":\"fine\",\"created_at\":17672256{n:05},\"x\":0.5,\"v\":1}}"),
    ..POSTS
};
const SECONDS: Source = Source {
    map: ", map: {created_at: {field: created_at, unit: s}}",
    good: |n| format!("{{\"id\":\"good{n}\",\"text\":\"fine\",\"created_at\":1767225600}}"),
    ..POSTS
};
const VOTES: Source = Source {
    into: "votes",
    map: "",
    good: |n| format!("{{\"id\":\"good{n}\",\"score\":3,\"observed_at\":17672256{n:05}}}"),
};
const THREADS: Source = Source {
    into: "threads",
    map: "",
    good: |n| format!("{{\"thread\":\"good{n}\"}}"),
};
const ENTITIES: Source = Source {
    into: "entities",
    map: "",
    good: |n| format!("{{\"id\":\"good{n}\",\"name\":\"Good {n}\"}}"),
};
const RULES: Source = Source {
    into: "rules",
    map: "",
    good: |n| format!("{{\"id\":\"good{n}\",\"view\":\"daily\",\"when\":\"posts > 99\"}}"),
};

/// A bad line among good ones.
fn bad(name: &str, source: Source, stage: &'static str, code: &'static str, line: impl AsRef<[u8]>) -> Case {
    let line = line.as_ref().to_vec();
    Case {
        name: name.into(),
        make: Box::new(move |folder| Start::Done(among_good(folder, &source, stage, code, &line))),
        ends: Ends::Checked,
    }
}

/// good 1, the bad line, good 1 again, good 2: two accepted, one a duplicate, one a dead letter.
fn among_good(folder: &Path, source: &Source, stage: &str, code: &str, line: &[u8]) -> Result<Ended, String> {
    let mut file = std::fs::File::create(folder.join("in.jsonl")).unwrap();
    for each in [
        (source.good)(1).as_bytes(),
        line,
        (source.good)(1).as_bytes(),
        (source.good)(2).as_bytes(),
    ] {
        file.write_all(each).unwrap();
        file.write_all(b"\n").unwrap();
    }
    let pipeline = format!(
        "name: bad\nstate: {{url: \"file:./state\"}}\ntime: {{clock: wall, tick: 5ms}}\n\
         sources: {{it: {{type: file, path: in.jsonl, into: {}{}}}}}\n\
         models: {{live: fixture}}\nviews: {{daily: {{group_by: [], window: {{tumble: 1d}}, keep: 10000d}}}}\n\
         serve: {{http: \"127.0.0.1:0\"}}\n",
        source.into, source.map
    );
    std::fs::write(folder.join("p.yaml"), pipeline).unwrap();
    let running = Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://");
    let counts = counted(&running);
    let rows = get(running.addr(), "/api/v1/views/daily");
    let ended = running.stop();
    let mut problems = Vec::new();
    if counts != [4, 2, 1, 1] {
        problems.push(format!(
            "read, accepted, duplicate, dead-lettered are {counts:?}, expected [4, 2, 1, 1]"
        ));
    }
    let rows: Value = serde_json::from_str(&rows).unwrap();
    if source.into == "posts" && rows["data"][0]["posts"] != json!(2) {
        problems.push(format!("the view should have the two good posts: {rows}"));
    }
    let letters = std::fs::read_to_string(folder.join("state/dead_letters.jsonl")).unwrap();
    let letters: Vec<Value> = letters.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let letters: Vec<&Value> = letters.iter().filter(|l| l.get("progress").is_none()).collect();
    match letters[..] {
        [letter] => {
            let is = (
                letter["stage"].as_str(),
                letter["code"].as_str(),
                letter["source"].as_str(),
            );
            if is != (Some(stage), Some(code), Some("it")) {
                problems.push(format!(
                    "stage, code and source are {is:?}, expected {stage:?}, {code:?}: {}",
                    letter["message"]
                ));
            }
            let kept = decoded(letter["payload_base64"].as_str().unwrap());
            // Of an oversized record the beginning is kept.
            let whole = if code == "too_large" { &line[..64 << 10] } else { line };
            if kept != whole {
                problems.push(format!(
                    "{} bytes were kept, not the {} that came",
                    kept.len(),
                    whole.len()
                ));
            }
            if letter["message"].as_str().is_none_or(|m| m.len() < 10 || m.len() > 400) {
                problems.push(format!("this is no message for people: {}", letter["message"]));
            }
        }
        _ => problems.push(format!("{} dead letters, expected one: {letters:?}", letters.len())),
    }
    if problems.is_empty() {
        Ok(ended)
    } else {
        Err(problems.join("; "))
    }
}

/// Read, accepted, duplicate, dead-lettered, once they add up or patience ends.
fn counted(running: &Running) -> [u64; 4] {
    let began = Instant::now();
    loop {
        let page = get(running.addr(), "/metrics");
        let sum = |what: &str| {
            let name = format!("groundswell_records_{what}_total{{");
            let of_it = page
                .lines()
                .filter(|l| l.starts_with(&name) && l.contains("source=\"it\""));
            of_it
                .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
                .sum::<u64>()
        };
        let counts = [sum("read"), sum("accepted"), sum("duplicate"), sum("dead_lettered")];
        if (counts[0] >= 4 && counts[0] == counts[1..].iter().sum::<u64>()) || began.elapsed() > PATIENCE / 6 {
            return counts;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Base64, by the book: the test does not take the program's word for it.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut n) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | u32::try_from(DIGITS.iter().position(|d| *d == byte).unwrap()).unwrap();
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push((bits >> n & 0xFF) as u8);
        }
    }
    out
}

/// A post in which one field is replaced.
fn post(field: &str, value: &str) -> String {
    let mut fields = vec![("id", "\"bad\""), ("text", "\"x\""), ("created_at", "1767225600000")];
    match fields.iter_mut().find(|(name, _)| *name == field) {
        Some(slot) => slot.1 = value,
        None => fields.push((field, value)),
    }
    let members: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A source that ends with an error, because its file as a whole is broken.
fn broken(name: &str, path: &'static str, says: &[&str], content: impl Fn() -> Vec<u8> + 'static) -> Case {
    fails(name, 1, says, move |folder| {
        std::fs::write(folder.join(path), content()).unwrap();
        let into = if path.contains("jsonl") { "posts" } else { "entities" };
        let text = format!(
            "name: bad\nsources: {{it: {{type: file, path: {path}, into: {into}}}}}\n\
             views: {{daily: {{group_by: [], window: {{tumble: 1d}}}}}}\nserve: false\n"
        );
        std::fs::write(folder.join("p.yaml"), text).unwrap();
        Start::With(groundswell(folder, ["run", "--until-done", "p.yaml"]))
    })
}

pub fn cases() -> Vec<Case> {
    let long = format!("\"{}\"", "i".repeat(10 << 10));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = post("text", &format!("\"{}\"", "x".repeat(2 << 20)));
    let limit = post(
        "text",
        &format!("\"{}\"", "x".repeat((1 << 20) - post("text", "\"\"").len() + 1)),
    );
    let d = "decode";
    vec![
        bad("cut short", POSTS, d, "invalid_json", "{\"id\":\"bad\",\"text\":\"x"),
        bad(
            "two values on a line",
            POSTS,
            d,
            "invalid_json",
            "{\"id\":\"a\"} {\"id\":\"b\"}",
        ),
        bad("not JSON", POSTS, d, "invalid_json", "id,text,created_at"),
        bad("zeros", POSTS, d, "invalid_json", [0; 16]),
        bad("single quotes", POSTS, d, "invalid_json", "{'id':'bad'}"),
        bad("lone surrogate", POSTS, d, "invalid_json", post("text", "\"\\ud800\"")),
        bad(
            "lone surrogate kept aside",
            POSTS,
            d,
            "invalid_json",
            post("flair", "\"\\udfff\""),
        ),
        bad("a list", POSTS, d, "not_an_object", "[1,2]"),
        bad("null", POSTS, d, "not_an_object", "null"),
        bad("a number", POSTS, d, "not_an_object", "17"),
        bad("nothing in it", POSTS, d, "missing_field", "{}"),
        bad("2 MiB", POSTS, d, "too_large", &huge),
        bad("one byte too long", POSTS, d, "too_large", &limit),
        bad("nested 100,000 deep", POSTS, d, "nested_too_deep", &deep),
        bad(
            "nested inside a field",
            POSTS,
            d,
            "nested_too_deep",
            post("flair", &deep),
        ),
        bad(
            "invalid UTF-8",
            POSTS,
            d,
            "invalid_utf8",
            [b"{\"id\":\"bad\",\"text\":\"".as_slice(), &[0xC3, 0x28], b"\"}"].concat(),
        ),
        bad("UTF-16", POSTS, d, "invalid_utf8", [0xFF, 0xFE, b'{', 0, b'}', 0]),
        bad("id of 10 kB", POSTS, d, "id_too_long", post("id", &long)),
        bad("parent of 10 kB", POSTS, d, "id_too_long", post("parent", &long)),
        bad("thread of 10 kB", POSTS, d, "id_too_long", post("thread", &long)),
        bad("author of 10 kB", POSTS, d, "id_too_long", post("author", &long)),
        bad("source of 10 kB", POSTS, d, "id_too_long", post("source", &long)),
        bad("empty id", POSTS, d, "id_empty", post("id", "\"\"")),
        bad("id that is an object", POSTS, d, "wrong_type", post("id", "{}")),
        bad("fractional id", POSTS, d, "wrong_type", post("id", "1.5")),
        bad("text that is a number", POSTS, d, "wrong_type", post("text", "7")),
        bad("no text", POSTS, d, "missing_field", post("text", "null")),
        bad("no time", POSTS, d, "missing_field", post("created_at", "null")),
        bad(
            "time in seconds",
            POSTS,
            d,
            "time_in_seconds",
            post("created_at", "1767225600"),
        ),
        bad("time zero", POSTS, d, "time_in_seconds", post("created_at", "0")),
        bad(
            "time before 1970",
            POSTS,
            d,
            "time_out_of_range",
            post("created_at", "-1"),
        ),
        bad(
            "date before 1970",
            POSTS,
            d,
            "time_out_of_range",
            post("created_at", "\"1969-12-31T23:59:59Z\""),
        ),
        bad(
            "least time there is",
            POSTS,
            d,
            "time_out_of_range",
            post("created_at", "-9223372036854775808"),
        ),
        bad(
            "greatest time there is",
            POSTS,
            d,
            "time_out_of_range",
            post("created_at", "9223372036854775807"),
        ),
        bad(
            "time beyond 64 bits",
            POSTS,
            d,
            "time_out_of_range",
            post("created_at", "1e300"),
        ),
        bad(
            "milliseconds mapped as seconds",
            SECONDS,
            d,
            "time_out_of_range",
            post("created_at", "1767225600000"),
        ),
        bad(
            "time that is a word",
            POSTS,
            d,
            "invalid_time",
            post("created_at", "\"yesterday\""),
        ),
        bad(
            "observed before 1970",
            POSTS,
            d,
            "time_out_of_range",
            post("observed_at", "-5"),
        ),
        bad("time that is NaN", POSTS, d, "not_a_number", post("created_at", "NaN")),
        bad("votes NaN", POSTS, d, "not_a_number", post("score", "NaN")),
        bad("votes infinite", POSTS, d, "not_a_number", post("score", "-Infinity")),
        bad(
            "votes beyond any number",
            POSTS,
            d,
            "not_a_number",
            post("score", "1e999"),
        ),
        bad(
            "votes beyond 64 bits",
            POSTS,
            d,
            "number_out_of_range",
            post("score", "1e30"),
        ),
        bad("half a vote", POSTS, d, "wrong_type", post("score", "1.5")),
        bad("votes in words", POSTS, d, "wrong_type", post("score", "\"many\"")),
        bad("deleted, perhaps", POSTS, d, "wrong_type", post("deleted", "\"maybe\"")),
        bad(
            "sentiment NaN",
            GIVEN,
            d,
            "not_a_number",
            "{\"id\":\"bad\",\"text\":\"x\",\"created_at\":1767225600000,\"v\":1,\"x\":NaN}",
        ),
        bad(
            "sentiment 7",
            GIVEN,
            d,
            "number_out_of_range",
            "{\"id\":\"bad\",\"text\":\"x\",\"created_at\":1767225600000,\"v\":1,\"x\":7}",
        ),
        bad(
            "sentiment beyond any number",
            GIVEN,
            d,
            "not_a_number",
            "{\"id\":\"bad\",\"text\":\"x\",\"created_at\":1767225600000,\"v\":1,\"x\":-1e999}",
        ),
        bad(
            "version negative",
            GIVEN,
            d,
            "number_out_of_range",
            "{\"id\":\"bad\",\"text\":\"x\",\"created_at\":1767225600000,\"v\":-1}",
        ),
        bad(
            "version missing",
            GIVEN,
            d,
            "missing_field",
            "{\"id\":\"bad\",\"text\":\"x\",\"created_at\":1767225600000}",
        ),
        bad(
            "too old to be kept",
            POSTS,
            "window",
            "late",
            post("created_at", "\"1971-01-01T00:00:00Z\""),
        ),
        bad(
            "votes without a number",
            VOTES,
            d,
            "missing_field",
            "{\"id\":\"bad\",\"observed_at\":1767225600000}",
        ),
        bad(
            "votes without a time",
            VOTES,
            d,
            "missing_field",
            "{\"id\":\"bad\",\"score\":1}",
        ),
        bad(
            "votes for an id of 10 kB",
            VOTES,
            d,
            "id_too_long",
            format!("{{\"id\":{long},\"score\":1,\"observed_at\":1767225600000}}"),
        ),
        bad(
            "votes NaN, observed",
            VOTES,
            d,
            "not_a_number",
            "{\"id\":\"bad\",\"score\":NaN,\"observed_at\":1767225600000}",
        ),
        bad(
            "thread of 10 kB, itself",
            THREADS,
            d,
            "id_too_long",
            format!("{{\"thread\":{long}}}"),
        ),
        bad(
            "thread that ends before 1970",
            THREADS,
            d,
            "time_out_of_range",
            "{\"thread\":\"t\",\"ends_at\":-1}",
        ),
        bad(
            "entity without a name",
            ENTITIES,
            d,
            "missing_field",
            "{\"id\":\"bad\",\"name\":\"\"}",
        ),
        bad(
            "aliases that are no list",
            ENTITIES,
            d,
            "wrong_type",
            "{\"id\":\"bad\",\"name\":\"B\",\"aliases\":\"b\"}",
        ),
        bad(
            "entity with an id of 10 kB",
            ENTITIES,
            d,
            "id_too_long",
            format!("{{\"id\":{long},\"name\":\"B\"}}"),
        ),
        bad(
            "rule without a view",
            RULES,
            d,
            "missing_field",
            "{\"id\":\"bad\",\"when\":\"posts > 1\"}",
        ),
        bad(
            "rule on no view",
            RULES,
            "validate",
            "unknown_view",
            "{\"id\":\"bad\",\"view\":\"dayly\",\"when\":\"posts > 1\"}",
        ),
        bad(
            "rule that does not parse",
            RULES,
            d,
            "invalid_condition",
            "{\"id\":\"bad\",\"view\":\"daily\",\"when\":\"posts >\"}",
        ),
        bad(
            "rule nested 10,000 deep",
            RULES,
            d,
            "invalid_condition",
            format!(
                "{{\"id\":\"bad\",\"view\":\"daily\",\"when\":\"{}\"}}",
                "(".repeat(10_000)
            ),
        ),
        bad(
            "rule for a while",
            RULES,
            d,
            "invalid_duration",
            "{\"id\":\"bad\",\"view\":\"daily\",\"when\":\"posts > 1\",\"for\":\"a while\"}",
        ),
        bad(
            "rule of no posts",
            RULES,
            d,
            "number_out_of_range",
            "{\"id\":\"bad\",\"view\":\"daily\",\"when\":\"posts > 1\",\"min_posts\":-1}",
        ),
        broken(
            "gzip cut short",
            "in.jsonl.gz",
            &["source \"it\"", "in.jsonl.gz", "damaged or unreadable"],
            || {
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                (0..2_000).for_each(|n| writeln!(gz, "{}", (POSTS.good)(n)).unwrap());
                let bytes = gz.finish().unwrap();
                bytes[..bytes.len() / 2].to_vec()
            },
        ),
        broken(
            "gzip by name only",
            "in.jsonl.zst",
            &["source \"it\"", "in.jsonl.zst"],
            || vec![0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3],
        ),
        broken(
            "entities that are no YAML",
            "cast.yaml",
            &["source \"it\"", "cast.yaml", "invalid YAML"],
            || b"a: [1\nb: }".to_vec(),
        ),
        broken(
            "entities that are no list",
            "cast.json",
            &["source \"it\"", "cast.json", "expected a list of entities"],
            || b"7".to_vec(),
        ),
        broken(
            "entities nested 100,000 deep",
            "cast.json",
            &["source \"it\"", "cast.json"],
            || "[".repeat(100_000).into_bytes(),
        ),
    ]
}
