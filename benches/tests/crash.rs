//! The crash bench with few kills: what it wrote through kills, a standing broker and a dead database is what it should have.

use std::path::PathBuf;
use std::process::Command;

fn crash(arguments: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_crash"));
    program.args(arguments).args(["--posts", "6000", "--votes", "30000"]);
    // In a build of the whole workspace it is linked with LibTorch, which it does not use.
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        program.env("LD_LIBRARY_PATH", PathBuf::from(libtorch).join("lib"));
    }
    let status = program.status().expect("runs");
    assert!(status.success(), "{arguments:?}: {status}");
}

#[test]
fn everything_ends_as_if_nothing_had_happened() {
    crash(&["--kills", "14", "--seed", "1"]);
    crash(&["--kills", "6", "--seed", "2", "--fold"]);
}

#[test]
fn of_two_processes_either_may_be_killed() {
    crash(&["--kills", "10", "--seed", "3", "--processes", "2"]);
}
