//! Usage and the pipeline file: exit code 2, with the file, the line and, for a slip of the pen, what was meant.

use crate::case::{Case, Start, fails};
use crate::program::{groundswell, run};
use std::path::Path;

/// A pipeline that works, before `extra`.
pub fn pipeline(folder: &Path, extra: &str) {
    let posts = "{\"id\":\"a\",\"source\":\"s\",\"text\":\"good\",\"score\":1,\"created_at\":1767225600000}\n";
    std::fs::write(folder.join("posts.jsonl"), posts).unwrap();
    let text = format!(
        "name: bad\nstate: {{url: \"file:./state\"}}\ntime: {{clock: event}}\n\
         sources: {{posts: {{type: file, path: posts.jsonl, into: posts}}}}\n\
         models: {{live: fixture}}\nviews: {{daily: {{group_by: [], window: {{tumble: 1d}}}}}}\n{extra}"
    );
    std::fs::write(folder.join("p.yaml"), text).unwrap();
}

fn checks(name: &str, says: &[&str], text: &'static str) -> Case {
    fails(name, 2, says, move |folder| {
        std::fs::write(folder.join("p.yaml"), text).unwrap();
        Start::With(groundswell(folder, ["check", "p.yaml"]))
    })
}

fn extra(name: &str, says: &[&str], extra: &'static str) -> Case {
    fails(name, 2, says, move |folder| {
        pipeline(folder, extra);
        Start::With(groundswell(folder, ["run", "--until-done", "p.yaml"]))
    })
}

fn usage(name: &str, says: &[&str], args: &'static [&'static str]) -> Case {
    fails(name, 2, says, move |folder| Start::With(groundswell(folder, args)))
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        usage("no command", &["Usage"], &[]),
        usage("unknown command", &["unrecognized subcommand", "check"], &["chek"]),
        usage(
            "unknown flag",
            &["unexpected argument", "--until-done"],
            &["run", "--until-don", "p.yaml"],
        ),
        usage("rate is no number", &["posts per second"], &["demo", "--rate", "fast"]),
        usage("rate is NaN", &["posts per second"], &["demo", "--rate", "NaN/s"]),
        usage(
            "demo input that is not there",
            &["nowhere.jsonl", "does not exist"],
            &["demo", "--input", "nowhere.jsonl"],
        ),
        usage(
            "no name of a model",
            &["\"../x\" is not the name of a model"],
            &["models", "promote", "../x"],
        ),
        usage(
            "model folder that is not there",
            &["\"nowhere\"", "no model folder"],
            &["score", "--model", "nowhere"],
        ),
        usage(
            "demo's model folder that is not there",
            &["nowhere", "no model folder"],
            &["demo", "--model", "nowhere"],
        ),
        usage(
            "missing pipeline file",
            &["p.yaml", "cannot read the pipeline file", "No such file"],
            &["run", "p.yaml"],
        ),
        usage(
            "pipeline file is a folder",
            &["cannot read the pipeline file", "directory"],
            &["check", "."],
        ),
        extra(
            "unknown key",
            &["p.yaml:7:1", "unknown key \"rulez\"", "did you mean \"rules\"?"],
            "rulez: {}\n",
        ),
        extra(
            "unknown key inside",
            &["p.yaml:7:13", "serve", "unknown key \"htp\"", "did you mean \"http\"?"],
            "serve:     {htp: \"127.0.0.1:0\"}\n",
        ),
        extra(
            "wrong type",
            &["p.yaml:7:11", "workers", "\"many\""],
            "workers:  many\n",
        ),
        extra(
            "list for a section",
            &["p.yaml:7:8", "expected \"false\" or a section, found a list"],
            "serve: [1]\n",
        ),
        extra("out of range", &["p.yaml:7:11", "between 1 and 256"], "workers:  0\n"),
        extra(
            "huge number",
            &["p.yaml:7:11", "workers"],
            "workers:  99999999999999999999999\n",
        ),
        extra(
            "duplicate key",
            &["p.yaml:7:1", "duplicate key \"views\" (first on line 6)"],
            "views: {}\n",
        ),
        extra(
            "rule on no view",
            &["p.yaml:7:19", "rules.r", "\"dayly\"", "did you mean \"daily\"?"],
            "rules: {r: {view: dayly, when: \"posts > 1\"}}\n",
        ),
        extra(
            "condition that does not parse",
            &["p.yaml:7:", "rules.r.when", "sentimnt"],
            "rules: {r: {view: daily, when: \"sentimnt < 0\"}}\n",
        ),
        extra(
            "secret that is not set",
            &["p.yaml:7:", "GROUNDSWELL_NOT_SET"],
            "serve: {http: \"${GROUNDSWELL_NOT_SET}\"}\n",
        ),
        extra(
            "served to the world",
            &["p.yaml:7:", "serve.http", "who may ask", "groundswell key"],
            "serve: {http: \"0.0.0.0:8080\"}\n",
        ),
        extra(
            "sink over a source",
            &["p.yaml:7:", "posts.jsonl", "is what sources.posts reads"],
            "sinks: {s: {type: file, path: posts.jsonl, from: daily}}\n",
        ),
        checks("empty pipeline file", &["p.yaml:1:1", "the file is empty"], ""),
        checks("not YAML", &["p.yaml:1:"], "name: [a\n\t}"),
        checks("billion laughs", &["p.yaml:"], LAUGHS),
        checks(
            "missing file",
            &[
                "p.yaml:2:",
                "sources.s.path",
                "no file at",
                "nowhere.jsonl",
                "relative to the pipeline file",
            ],
            "name: a\nsources: {s: {type: file, path: nowhere.jsonl, into: posts}}\nviews: {v: {group_by: [], window: {tumble: 1s}}}\n",
        ),
        checks(
            "Avro without its registry",
            &[
                "p.yaml:2:",
                "sources.s.format",
                "avro needs the topic's schema registry",
                "registry: {url:",
            ],
            "name: a\nsources: {s: {type: kafka, brokers: h:1, topic: t, into: posts, format: avro}}\nviews: {v: {group_by: [], window: {tumble: 1s}}}\n",
        ),
        checks(
            "a registry at no URL, with its password spelt out",
            &[
                "p.yaml:3:",
                "sources.s.registry.url",
                "neither http:// nor https://",
                "p.yaml:4:",
                "a password does not belong",
            ],
            "name: a\nsources: {s: {type: kafka, brokers: h:1, topic: t, into: posts, format: protobuf, registry: {\n url: \"registry:8081\", username: me,\n password: hunter2}}}\nviews: {v: {group_by: [], window: {tumble: 1s}}}\n",
        ),
        fails(
            "a registry that is not there",
            3,
            &[
                "sources.s.registry",
                "http://127.0.0.1:1 does not answer",
                "check `registry.url`",
            ],
            |folder| {
                std::fs::write(folder.join("p.yaml"), registry("http://127.0.0.1:1")).unwrap();
                Start::With(groundswell(folder, ["run", "p.yaml"]))
            },
        ),
        fails(
            "a registry that wants credentials",
            1,
            &[
                "sources.s.registry",
                "wants credentials",
                "set `registry.username` and `registry.password`",
            ],
            |folder| answered(folder, Some("Basic bWU6aHVudGVyMg=="), ""),
        ),
        fails(
            "a registry's URL that leads elsewhere",
            1,
            &[
                "sources.s.registry",
                "is no schema registry",
                "what comes before /schemas/ids/1",
            ],
            |folder| answered(folder, None, "/apis"),
        ),
        checks(
            "several mistakes",
            &["p.yaml:1:7", "p.yaml:2:", "p.yaml:3:", "\"generatr\"", "\"tumbel\""],
            "name: A B\nsources: {s: {type: generatr}}\nviews: {v: {group_by: [], window: {tumbel: 1s}}}\n",
        ),
    ];
    cases.push(fails(
        "pipeline file that is no text",
        2,
        &["p.yaml", "not UTF-8"],
        |folder| {
            std::fs::write(folder.join("p.yaml"), [0xFF, 0xFE, 0x00, b'a']).unwrap();
            Start::With(groundswell(folder, ["check", "p.yaml"]))
        },
    ));
    cases.push(fails(
        "pipeline file of 2 MiB",
        2,
        &["p.yaml", "larger than 1048576 bytes"],
        |folder| {
            std::fs::write(folder.join("p.yaml"), "#".repeat(2 << 20)).unwrap();
            Start::With(groundswell(folder, ["check", "p.yaml"]))
        },
    ));
    cases.push(fails("nested 100,000 deep", 2, &["p.yaml:"], |folder| {
        std::fs::write(folder.join("p.yaml"), format!("name: {}", "[".repeat(100_000))).unwrap();
        Start::With(groundswell(folder, ["check", "p.yaml"]))
    }));
    cases
}

/// A pipeline that reads Avro; nobody gets to ask its broker.
fn registry(url: &str) -> String {
    let source = format!(
        "{{type: kafka, brokers: \"127.0.0.1:1\", timeout: 1s, topic: t, into: posts, format: avro, registry: {{url: \"{url}\"}}}}"
    );
    format!("name: a\nserve: false\nsources: {{s: {source}}}\nviews: {{v: {{group_by: [], window: {{tumble: 1s}}}}}}\n")
}

/// Runs one whose registry answers, and wants this header if any.
fn answered(folder: &Path, authorization: Option<&str>, path: &str) -> Start {
    let server = groundswell_testing::registry::Registry::ours(authorization).unwrap();
    std::fs::write(folder.join("p.yaml"), registry(&format!("{}{path}", server.url()))).unwrap();
    let ended = run(groundswell(folder, ["run", "p.yaml"]));
    drop(server);
    Start::Done(Ok(ended))
}

const LAUGHS: &str = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nname: *g\n";
