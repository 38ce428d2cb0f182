//! What an event costs, in counts that do not differ from run to run: allocations always, instructions where `valgrind` is
//! installed. The limits are what was counted when they were written down, and a little.

use std::path::{Path, PathBuf};
use std::process::Command;

const COUNTS: &str = env!("CARGO_BIN_EXE_counts");

/// Events of the shorter and of the longer run; what starting costs is in both.
const RUNS: [u64; 2] = [24_576, 57_344];

/// Allocations of an event.
const ALLOCATIONS: f64 = 5.65;
/// Bytes asked for by an event: what is kept, and what comes and goes with every tick.
const BYTES: f64 = 3_550.0;
/// Instructions of an event, in a build of the profile `release` on x86-64.
const INSTRUCTIONS: f64 = 32_700.0;

fn program(command: &mut Command) -> String {
    // In a build of the whole workspace it is linked with LibTorch, which it does not use.
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        command.env("LD_LIBRARY_PATH", PathBuf::from(libtorch).join("lib"));
    }
    let output = command.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

/// The number after `name`, thousands separated or not.
fn number(text: &str, name: &str) -> f64 {
    let after = text.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {text}"));
    let digits = after.trim_start_matches([':', ' ', '"']);
    let digits: String = digits
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(|c| *c != ',')
        .collect();
    digits.parse().unwrap_or_else(|e| panic!("{name}: {e} in {text}"))
}

/// What an event more costs.
#[allow(clippy::cast_precision_loss)]
fn each(counts: [f64; 2]) -> f64 {
    (counts[1] - counts[0]) / (RUNS[1] - RUNS[0]) as f64
}

fn within(what: &str, is: f64, limit: f64, slack: f64) {
    println!("{what}: {is:.2} for an event, {limit:.2} written down");
    assert!(
        is <= limit * (1.0 + slack),
        "{what}: {is:.2} for an event, and it was {limit:.2}"
    );
    assert!(
        is >= limit * (1.0 - 3.0 * slack),
        "{what}: {is:.2} for an event; write that down in place of {limit:.2}"
    );
}

/// What two runs of different length say, each by `run` over events that were made for it.
fn counted(run: impl Fn(&Path, &str) -> String) -> [String; 2] {
    RUNS.map(|events| {
        let (folder, events) = (tempfile::tempdir().expect("a folder"), events.to_string());
        program(Command::new(COUNTS).arg("make").arg(folder.path()).arg(&events));
        run(folder.path(), &events)
    })
}

#[test]
fn an_event_allocates_no_more_than_it_did() {
    let counted = counted(|folder, events| program(Command::new(COUNTS).arg("run").arg(folder).arg(events)));
    let of = |name| each([&counted[0], &counted[1]].map(|counts| number(counts, name)));
    within("allocations", of("\"allocations\""), ALLOCATIONS, 0.02);
    within("bytes", of("\"bytes\""), BYTES, 0.08);
}

#[test]
fn an_event_takes_no_more_instructions_than_it_did() {
    if !cfg!(target_arch = "x86_64") || Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instructions are counted by valgrind, on x86-64, and it is not installed");
        return;
    }
    let counted = counted(|folder, events| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
            COUNTS,
        ]);
        program(valgrind.arg("run").arg(folder).arg(events))
    });
    let instructions = each([&counted[0], &counted[1]].map(|counts| number(counts, "refs:")));
    within("instructions", instructions, INSTRUCTIONS, 0.05);
}
