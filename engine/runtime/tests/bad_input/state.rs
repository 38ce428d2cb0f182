//! State folders and the files beside them: unreadable, damaged, newer, in use, or of something else.

use crate::case::{Case, Start, fails};
use crate::config::pipeline;
use crate::program::{GROUNDSWELL, Running, groundswell, run};
use groundswell_core::store::FORMAT;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const RUN: [&str; 3] = ["run", "--until-done", "p.yaml"];

/// A state with something in it, made by a run that goes well.
fn recorded(folder: &Path, extra: &str) {
    pipeline(folder, extra);
    let ended = run(groundswell(folder, RUN));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// The case of a state that was spoilt after a good run.
fn spoilt(name: &str, says: &[&str], spoil: impl Fn(&Path) + 'static) -> Case {
    fails(name, 1, says, move |folder| {
        recorded(folder, "serve: false\n");
        spoil(&folder.join("state"));
        Start::With(groundswell(folder, RUN))
    })
}

/// The same state, looked at with `groundswell state verify`.
fn verified(name: &str, says: &[&str], spoil: impl Fn(&Path) + 'static) -> Case {
    fails(name, 1, says, move |folder| {
        recorded(folder, "serve: false\n");
        spoil(&folder.join("state"));
        Start::With(groundswell(folder, ["state", "verify", "state"]))
    })
}

fn newest(state: &Path, kind: &str) -> PathBuf {
    let mut all: Vec<_> = std::fs::read_dir(state.join(kind))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    all.sort();
    all.pop().unwrap()
}

fn oldest(state: &Path, kind: &str) -> PathBuf {
    let all = std::fs::read_dir(state.join(kind)).unwrap().map(|e| e.unwrap().path());
    all.min().unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(file, bytes).unwrap();
}

fn cut(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// The program as a user who may not override permissions; root may, unless it gives that up.
fn unprivileged(folder: &Path) -> Option<Command> {
    let drop = [
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ];
    let locked = folder.join("locked");
    std::fs::write(&locked, "").unwrap();
    set_mode(&locked, 0);
    if std::fs::File::open(&locked).is_err() {
        return Some(groundswell(folder, RUN));
    }
    let works = Command::new("setpriv").args(drop).arg("cat").arg(&locked).output();
    if works.is_ok_and(|w| !w.status.success() && String::from_utf8_lossy(&w.stderr).contains("denied")) {
        let mut command = Command::new("setpriv");
        command.args(drop).arg(GROUNDSWELL).args(RUN).current_dir(folder);
        return Some(command);
    }
    None
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn unreadable(name: &str, says: &[&str], spoil: impl Fn(&Path) + 'static) -> Case {
    fails(name, 1, says, move |folder| {
        recorded(folder, "serve: false\n");
        let Some(command) = unprivileged(folder) else {
            return Start::Skip("this user reads everything, and there is no setpriv to give that up".into());
        };
        spoil(folder);
        Start::With(command)
    })
}

pub fn cases() -> Vec<Case> {
    let damaged = ["is damaged", "groundswell state verify", "FOLDER/state/log/"];
    vec![
        fails(
            "state is a file",
            2,
            &["p.yaml:2:", "state is a file, not a folder"],
            |folder| {
                pipeline(folder, "");
                std::fs::write(folder.join("state"), "").unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "state folder of something else",
            1,
            &["is not a state folder", "photo.jpg", "state.url"],
            |folder| {
                pipeline(folder, "");
                std::fs::create_dir(folder.join("state")).unwrap();
                std::fs::write(folder.join("state/photo.jpg"), "").unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails("bucket", 2, &["p.yaml:2:", "not supported in this build"], |folder| {
            pipeline(folder, "");
            let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
            std::fs::write(folder.join("p.yaml"), text.replace("file:./state", "s3://bucket/x")).unwrap();
            Start::With(groundswell(folder, RUN))
        }),
        unreadable(
            "unreadable state folder",
            &["permission denied", "state", "read and write the state folder"],
            |f| {
                set_mode(&f.join("state"), 0);
            },
        ),
        unreadable(
            "unreadable log",
            &["permission denied", "log/", "read and write the state folder"],
            |f| {
                set_mode(&newest(&f.join("state"), "log"), 0);
            },
        ),
        unreadable("unwritable state folder", &["permission denied", "state"], |f| {
            set_mode(&f.join("state/manifest"), 0o555);
        }),
        unreadable(
            "unwritable sink",
            &["no permission to open it", "dead_letters.jsonl"],
            |f| {
                set_mode(&f.join("state/dead_letters.jsonl"), 0o444);
            },
        ),
        spoilt("manifest cut short", &[damaged[0], damaged[1], "manifest/"], |s| {
            cut(&newest(s, "manifest"))
        }),
        spoilt("manifest changed", &[damaged[0], "does not match its digest"], |s| {
            let file = newest(s, "manifest");
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text.replace("\"epoch\": 1", "\"epoch\": 9")).unwrap();
        }),
        spoilt("manifests gone", &[damaged[0], "there is no manifest"], |s| {
            std::fs::remove_dir_all(s.join("manifest")).unwrap();
            std::fs::create_dir(s.join("manifest")).unwrap();
        }),
        spoilt("log cut short", &damaged, |s| cut(&newest(s, "log"))),
        spoilt("log empty", &damaged, |s| std::fs::write(newest(s, "log"), "").unwrap()),
        spoilt("log changed", &damaged, |s| flip(&newest(s, "log"))),
        spoilt("tick missing", &[damaged[0], "a tick is missing"], |s| {
            std::fs::remove_file(oldest(s, "log")).unwrap();
        }),
        verified("log changed, verified", &["has 1 problems"], |s| {
            flip(&newest(s, "log"))
        }),
        verified(
            "newer format, verified",
            &["newer version (format 9", "upgrade the engine"],
            newer,
        ),
        spoilt(
            "newer format",
            &["written by a newer version (format 9", "upgrade the engine", "state"],
            newer,
        ),
        spoilt("list of sources cut short", &["sources.json"], |s| {
            std::fs::write(s.join("sources.json"), "[\"po").unwrap()
        }),
        spoilt(
            "sources moved",
            &["recorded with the sources", "posts", "add new ones at the end"],
            |s| {
                std::fs::write(s.join("sources.json"), "[\"votes\"]").unwrap();
            },
        ),
        fails("no state to inspect", 1, &["nowhere", "does not exist"], |folder| {
            Start::With(groundswell(folder, ["state", "inspect", "nowhere"]))
        }),
        fails(
            "state folder in use",
            1,
            &["in use by process", "FOLDER/state", "state.url"],
            |folder| {
                pipeline(folder, "serve: {http: \"127.0.0.1:0\"}\n");
                let first = Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://");
                Start::Beside(groundswell(folder, RUN), vec![first])
            },
        ),
        fails(
            "sink file in use",
            1,
            &["another process is writing it", "rows.jsonl"],
            |folder| {
                pipeline(
                    folder,
                    "serve: {http: \"127.0.0.1:0\"}\nsinks: {s: {type: file, path: rows.jsonl, from: daily}}\n",
                );
                let first = Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://");
                let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
                std::fs::write(folder.join("q.yaml"), text.replace("file:./state", "file:./other")).unwrap();
                Start::Beside(groundswell(folder, ["run", "--until-done", "q.yaml"]), vec![first])
            },
        ),
        fails(
            "sink file of something else",
            1,
            &["diary.txt", "not a file of this sink", "left as it is"],
            |folder| {
                pipeline(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: diary.txt, from: daily}}\n",
                );
                std::fs::write(folder.join("diary.txt"), "Dear diary,\n").unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "sink file of another view",
            1,
            &["rows.jsonl", "not a file of this sink"],
            |folder| {
                recorded(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: rows.jsonl, from: daily}}\n",
                );
                pipeline(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: rows.jsonl, from: rules}}\n",
                );
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "sink kept while the state was wiped",
            1,
            &["rows.jsonl", "written from another state", "move it away"],
            |folder| {
                recorded(
                    folder,
                    "serve: false\nsinks: {s: {type: file, path: rows.jsonl, from: daily}}\n",
                );
                std::fs::remove_dir_all(folder.join("state")).unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "sink ahead of a state from a backup",
            1,
            &["sink \"s\" has committed tick", "the state ends at tick", "set back"],
            |folder| {
                let extra = "serve: false\nsinks: {s: {type: file, path: rows.jsonl, from: daily}}\n";
                recorded(folder, extra);
                copy(&folder.join("state"), &folder.join("backup"));
                let more = "{\"id\":\"b\",\"text\":\"bad\",\"created_at\":1767225600000}\n";
                let posts = std::fs::OpenOptions::new()
                    .append(true)
                    .open(folder.join("posts.jsonl"));
                posts.unwrap().write_all(more.as_bytes()).unwrap();
                let ended = run(groundswell(folder, RUN));
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
                std::fs::remove_dir_all(folder.join("state")).unwrap();
                std::fs::rename(folder.join("backup"), folder.join("state")).unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
        fails(
            "source cut behind the engine's back",
            1,
            &["posts.jsonl", "replaced or cut"],
            |folder| {
                recorded(folder, "serve: false\n");
                std::fs::write(folder.join("posts.jsonl"), "").unwrap();
                Start::With(groundswell(folder, RUN))
            },
        ),
    ]
}

fn newer(state: &Path) {
    let file = newest(state, "manifest");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&format!("\"format\": {FORMAT}"), "\"format\": 9")).unwrap();
}
