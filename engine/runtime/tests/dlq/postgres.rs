//! A table of dead letters in a real database.

use crate::world::{dlq, eventually, letters, post, said};
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use groundswell_testing::postgres::Postgres;
use serde_json::json;
use std::path::Path;

fn write(folder: &Path, map: &str) {
    let text = format!(
        "name: table-letters\nstate: {{url: \"file:./state\"}}\ntime: {{clock: event, tick: 5ms}}\n\
         sources: {{posts: {{type: file, path: posts.jsonl, into: posts{map}}}}}\nmodels: {{live: fixture}}\n\
         views: {{by_minute: {{group_by: [author], window: {{tumble: 1m}}}}}}\n\
         sinks: {{pg: {{type: postgres, url: \"file:url\"}}}}\nserve: {{http: \"127.0.0.1:0\"}}\n"
    );
    std::fs::write(folder.join("p.yaml"), text).unwrap();
}

fn run(folder: &Path) -> Running {
    let pipeline = config::load(&folder.join("p.yaml")).unwrap_or_else(|e| panic!("{e}"));
    let running = start(&pipeline, Connections::default()).unwrap();
    eventually("drained and committed", || {
        let status = running.engine.status();
        assert_eq!(status.fatal(), None);
        status.is_drained() && status.is_committed()
    });
    running
}

#[test]
fn letters_of_a_table_are_listed_and_come_back() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("url"), &url).unwrap();
    // More than a page of them, one with what `text` and `jsonb` cannot hold, one not even UTF-8.
    let mut posts: Vec<Vec<u8>> = (0..150)
        .map(|n| post(&format!("p{n}"), "love", n, n % 3 == 0).into_bytes())
        .collect();
    posts.push(b"{\"id\":\"n\\u0000\", oops".to_vec());
    posts.push(vec![0xFF, 0xFE]);
    std::fs::write(folder.join("posts.jsonl"), posts.join(&b'\n')).unwrap();

    write(folder, "");
    let none = dlq(folder, &["list", "p.yaml"]);
    assert!(
        none.code == Some(1) && none.stderr.contains("there is no table"),
        "{none:?}"
    );
    let running = run(folder);
    let kept = letters(folder, &[]);
    assert_eq!(kept.len(), 102);
    assert_eq!(kept[0]["payload"].as_str().unwrap().as_bytes(), posts[1]);
    let last = dlq(
        folder,
        &["list", "p.yaml", "--json", "--limit", "1", "--code", "invalid_utf8"],
    );
    assert!(
        said(&last).contains("\"payload_base64\":\"//4=\",\"payload\":null"),
        "{}",
        last.stdout
    );
    running.stop().unwrap();

    write(folder, ", map: {created_at: when}");
    let running = run(folder);
    let at = format!("http://{}", running.addr().unwrap());
    let replay = || said(&dlq(folder, &["replay", "p.yaml", "--url", &at])).to_owned();
    let count = |sql: &str| server.psql(&url, sql).unwrap();
    let first = replay();
    assert!(
        first.contains("100 accepted, 0 duplicate, 2 still bad, 0 refused"),
        "{first}"
    );
    let posts_now = "select sum(posts) from \"table-letters\".by_minute";
    eventually("every post is in the table", || count(posts_now) == "150");
    eventually("the garbage is in it again", || letters(folder, &[]).len() == 104);
    let second = replay();
    assert!(
        second.contains("0 accepted, 100 duplicate, 2 still bad, 0 refused"),
        "{second}"
    );
    assert_eq!(count(posts_now), "150");
    eventually("attempts are counted", || {
        count(
            "select string_agg(attempt::text, ',' order by n) from \"table-letters\".dead_letters where code = 'invalid_utf8'",
        ) == "1,2,3"
    });
    running.stop().unwrap();
    let totals = letters(folder, &[]);
    assert!(
        totals
            .iter()
            .all(|l| l["engine_version"] == json!(env!("CARGO_PKG_VERSION")))
    );
}
