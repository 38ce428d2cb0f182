//! What the machine refuses: space, ports, devices, pipes.

use crate::case::{Case, Start, fails};
use crate::config::pipeline;
use crate::program::{GROUNDSWELL, groundswell, run};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const RUN: &str = "run --until-done --patience 1s p.yaml";

/// The program in a world where `small` is a file system of this many KiB: in a mount namespace of its own, so that it
/// is gone with the program. `first` is run there before.
fn on_small_disk(folder: &Path, small: &str, kib: u32, first: &str) -> Option<Command> {
    std::fs::create_dir_all(folder.join(small)).unwrap();
    let mount = format!("mount -t tmpfs -o size={kib}k tmpfs {small}");
    let ways: [&[&str]; 2] = [&["-m"], &["-U", "-r", "-m"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare")
            .args(**way)
            .args(["sh", "-c", &mount])
            .current_dir(folder)
            .output();
        tried.is_ok_and(|t| t.status.success())
    };
    let way = ways.iter().find(works)?;
    let mut command = Command::new("unshare");
    let script = format!("{mount} && {first} && exec {GROUNDSWELL} {RUN}");
    command.args(*way).args(["sh", "-c", &script]).current_dir(folder);
    Some(command)
}

fn full(name: &str, code: i32, says: &[&str], kib: u32, first: &'static str, make: impl Fn(&Path) + 'static) -> Case {
    fails(name, code, says, move |folder| {
        make(folder);
        match on_small_disk(folder, "small", kib, first) {
            Some(command) => Start::With(command),
            None => Start::Skip("no mount namespace can be had here".into()),
        }
    })
}

/// A pipeline with its state on the small file system, and more to record than fits.
fn big(folder: &Path) {
    pipeline(folder, "serve: false\n");
    let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    std::fs::write(
        folder.join("p.yaml"),
        text.replace("file:./state", "file:./small/state"),
    )
    .unwrap();
    // Digits that no compression makes small.
    let mut random = 7u64;
    let posts: String = (0..20_000)
        .map(|i| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            format!(
                "{{\"id\":\"{i}-{random:x}\",\"text\":\"{random:x} {:x}\",\"created_at\":1767225600000}}\n",
                random / 3
            )
        })
        .collect();
    std::fs::write(folder.join("posts.jsonl"), posts).unwrap();
}

/// A pipeline whose sink is on the small file system.
fn sink(folder: &Path) {
    pipeline(
        folder,
        "serve: false\nsinks: {rows: {type: file, path: small/rows.jsonl, from: daily}}\n",
    );
}

pub fn cases() -> Vec<Case> {
    vec![
        full(
            "disk full at the start",
            1,
            &["no space left for", "small/state"],
            64,
            FILL,
            big,
        ),
        full(
            "disk full on the way",
            1,
            &[
                "cannot record",
                "no space left for",
                "small/state/log/",
                "nothing recorded",
            ],
            300,
            "true",
            big,
        ),
        full(
            "disk full for a sink at the start",
            1,
            &["small/rows.jsonl", "no space left to write it"],
            64,
            FILL,
            sink,
        ),
        full(
            "disk full for a sink on the way",
            3,
            &[
                "sink \"rows\"",
                "small/rows.jsonl",
                "no space left to write it",
                "comes again",
            ],
            8,
            // One page is left for the first line of the file; the rows do not fit.
            "head -c 4096 /dev/zero > small/ballast",
            |folder| {
                sink(folder);
                let posts: String = (0..500i64)
                    .map(|i| {
                        format!(
                            "{{\"id\":\"{i}\",\"text\":\"x\",\"created_at\":{}}}\n",
                            1_700_000_000_000 + i * 86_400_000
                        )
                    })
                    .collect();
                std::fs::write(folder.join("posts.jsonl"), posts).unwrap();
            },
        ),
        fails(
            "files limited in size",
            1,
            &["cannot record", "small/state/log/"],
            |folder| {
                big(folder);
                // Without the signal, as a service manager sets it up: the write fails instead.
                let script = format!("trap '' XFSZ; ulimit -f 64; exec {GROUNDSWELL} {RUN}");
                let mut command = Command::new("sh");
                command.args(["-c", &script]).current_dir(folder);
                Start::With(command)
            },
        ),
        fails(
            "sink is a device",
            1,
            &["/dev/full", "is not a regular file"],
            |folder| {
                pipeline(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: /dev/full, from: daily}}\n",
                );
                Start::With(groundswell(folder, RUN.split(' ')))
            },
        ),
        fails(
            "sink below a file",
            1,
            &["posts.jsonl/rows", "the folder cannot be created"],
            |folder| {
                pipeline(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: posts.jsonl/rows/rows.jsonl, from: daily}}\n",
                );
                Start::With(groundswell(folder, RUN.split(' ')))
            },
        ),
        fails(
            "port in use",
            1,
            &["could not listen on 127.0.0.1:", "in use", "set another port"],
            |folder| {
                let holder = TcpListener::bind("127.0.0.1:0").unwrap();
                pipeline(
                    folder,
                    &format!("serve: {{http: \"{}\"}}\n", holder.local_addr().unwrap()),
                );
                let ended = run(groundswell(folder, RUN.split(' ')));
                drop(holder);
                // Nothing may have been read before the port was known to be free.
                let recorded = folder.join("state/log").read_dir().map_or(0, Iterator::count);
                if recorded > 0 {
                    return Start::Done(Err(format!("{recorded} ticks were recorded all the same")));
                }
                Start::Done(Ok(ended))
            },
        ),
        fails(
            "demo's port in use",
            1,
            &["could not listen on 127.0.0.1:", "in use"],
            |folder| {
                let holder = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = holder.local_addr().unwrap().port().to_string();
                let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/social");
                let ended = run(groundswell(
                    folder,
                    ["demo", "--for", "2s", "--port", &port, "--model", model],
                ));
                drop(holder);
                if ended.stderr.contains("base model") {
                    return Start::Skip("the base model is not set up".into());
                }
                Start::Done(Ok(ended))
            },
        ),
        fails(
            "standard output full",
            1,
            &["standard output", "No space left"],
            |folder| {
                pipeline(folder, "");
                let mut command = Command::new("sh");
                command
                    .args(["-c", &format!("{GROUNDSWELL} check p.yaml > /dev/full")])
                    .current_dir(folder);
                Start::With(command)
            },
        ),
        fails("standard output closed", 0, &[], |folder| {
            pipeline(folder, "");
            let mut command = Command::new("sh");
            // The reader is gone before the program begins to write.
            let script = format!(
                "({{ sleep 0.2; {GROUNDSWELL} check p.yaml; echo $? > code; }}) | true; sleep 0.5; exit $(cat code)"
            );
            command.args(["-c", &script]).current_dir(folder);
            Start::With(command)
        }),
        fails("standard error closed", 2, &[], |folder| {
            std::fs::write(folder.join("p.yaml"), "name: A B\n").unwrap();
            let mut command = Command::new("sh");
            let script = format!(
                "({{ sleep 0.2; {GROUNDSWELL} run p.yaml 2>&1; echo $? > code; }}) | true; sleep 0.5; exit $(cat code)"
            );
            command.args(["-c", &script]).current_dir(folder).stdin(Stdio::null());
            Start::With(command)
        }),
    ]
}

/// Takes all the space there is; that it cannot take more is the point.
const FILL: &str = "{ cat /dev/zero > small/ballast 2>/dev/null; true; }";
