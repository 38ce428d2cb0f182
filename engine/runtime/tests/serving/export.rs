//! `groundswell export` against a running pipeline.

use crate::program::{groundswell, run};
use crate::world::{T0, append, counted, page, post, start, write};

#[test]
fn a_view_is_written_as_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let running = start(folder);
    let posts: Vec<String> = (0..40)
        .map(|i| {
            let thread = ["a, \"b\"", "=1+1"][i as usize % 2];
            post(&format!("p{i}"), thread, "x", T0 + i * 10_000, i, 0.25)
        })
        .collect();
    append(folder, "posts.jsonl", &posts);
    counted(&running, 40);
    let url = format!("http://{}", running.addr());
    let export = |args: &[&str]| {
        let mut command = groundswell(folder, ["export"]);
        command.args(args).args(["--url", &url]);
        run(command)
    };
    let served = page(&running, "/api/v1/views/by_minute?limit=1000").unwrap();
    let served = served["data"].as_array().unwrap();

    let lines = export(&["by_minute", "--format", "jsonl"]);
    assert_eq!(lines.code, Some(0), "{}", lines.stderr);
    let rows: Vec<serde_json::Value> = lines.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows, *served);
    assert!(lines.stderr.contains("by_minute as of tick "), "{}", lines.stderr);

    let some = export(&[
        "by_minute",
        "--since",
        "2026-01-01T00:01:00Z",
        "--until",
        &(T0 + 120_000).to_string(),
    ]);
    assert_eq!(some.code, Some(0), "{}", some.stderr);
    let mut expected = vec!["thread,window_start".to_owned()];
    for row in served
        .iter()
        .filter(|r| r["window_start"] == "2026-01-01T00:01:00.000Z")
    {
        let thread = row["thread"].as_str().unwrap();
        let quoted = match thread.contains(',') {
            true => format!("\"{}\"", thread.replace('"', "\"\"")),
            false => thread.to_owned(),
        };
        expected.push(format!("{quoted},2026-01-01T00:01:00.000Z"));
    }
    let got: Vec<&str> = some.stdout.lines().collect();
    assert_eq!(got.len(), expected.len(), "{}", some.stdout);
    assert!(
        got.iter().zip(&expected).all(|(line, begin)| line.starts_with(begin)),
        "{}",
        some.stdout
    );

    let parquet = export(&[
        "by_minute",
        "--format",
        "parquet",
        "--where",
        "thread==1+1",
        "--out",
        "v.parquet",
    ]);
    assert_eq!(
        (parquet.code, parquet.stdout.as_str()),
        (Some(0), ""),
        "{}",
        parquet.stderr
    );
    let bytes = std::fs::read(folder.join("v.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));

    for (args, code, says) in [
        (vec!["by_minut"], 2, "did you mean 'by_minute'"),
        (vec!["by_minute", "--where", "author=x"], 2, "author"),
        (vec!["by_minute", "--since", "noon"], 2, "RFC 3339"),
        (vec!["../posts"], 2, "not the name of a view"),
        (vec!["by_minute", "--out", "no/such/folder"], 1, "cannot write"),
    ] {
        let refused = export(&args);
        assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{args:?}: {}", refused.stderr);
    }
    drop(running);
    let away = export(&["by_minute"]);
    assert_eq!(away.code, Some(3), "{}", away.stderr);
    assert!(away.stderr.contains("is the pipeline running"), "{}", away.stderr);
}
