//! One row of a table: a mess, how the program meets it, and how that must end.

use crate::program::{Ended, Running, run};
use std::path::Path;
use std::process::Command;

/// How the program is started on a mess.
pub enum Start {
    /// With this command.
    With(Command),
    /// With this command while others run; they are killed afterwards.
    Beside(Command, Vec<Running>),
    /// By the case itself, which returns what it saw and complains on its own.
    Done(Result<Ended, String>),
    /// Not at all: the mess cannot be made here.
    Skip(String),
}

/// How it must end.
pub enum Ends {
    /// With this exit code, everything of this on standard error.
    Says(i32, Vec<String>),
    /// As the case itself has checked.
    Checked,
}

/// A row.
pub struct Case {
    pub name: String,
    pub make: Box<dyn Fn(&Path) -> Start>,
    pub ends: Ends,
}

/// A case that must fail with a code and words.
pub fn fails(name: &str, code: i32, says: &[&str], make: impl Fn(&Path) -> Start + 'static) -> Case {
    Case {
        name: name.into(),
        make: Box::new(make),
        ends: Ends::Says(code, says.iter().map(|&s| s.to_owned()).collect()),
    }
}

/// Runs all cases of a table and shows every one that ended otherwise.
pub fn check(cases: Vec<Case>) {
    let (mut wrong, mut skipped) = (Vec::new(), 0);
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        // One case that cannot even be made must not hide the others.
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.make)(folder.path())));
        match made.unwrap_or_else(|_| Start::Done(Err("the case itself panicked, see above".into()))) {
            Start::With(command) => wrong.extend(verdict(case, &run(command), folder.path())),
            Start::Beside(command, others) => {
                wrong.extend(verdict(case, &run(command), folder.path()));
                drop(others);
            }
            Start::Done(Ok(ended)) => wrong.extend(verdict(case, &ended, folder.path())),
            Start::Done(Err(why)) => wrong.push(format!("{}: {why}", case.name)),
            Start::Skip(why) => {
                println!("skipped: {}: {why}", case.name);
                skipped += 1;
            }
        }
    }
    println!("{} cases, {skipped} skipped", cases.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// What is wrong with an end, if anything is.
fn verdict(case: &Case, ended: &Ended, folder: &Path) -> Option<String> {
    // What is said names the test's own folder; the table cannot know it.
    let said = ended.stderr.replace(&folder.display().to_string(), "FOLDER");
    let mut problems = Vec::new();
    if said.contains("panicked") || ended.stdout.contains("panicked") || ended.code == Some(101) {
        problems.push("it panicked".to_owned());
    }
    if ended.code.is_none() {
        problems.push("it hung, or was ended by a signal".to_owned());
    }
    if let Ends::Says(code, words) = &case.ends {
        if ended.code != Some(*code) {
            problems.push(format!("exit code {:?}, expected {code}", ended.code));
        }
        let missing = words.iter().filter(|word| !said.contains(*word));
        problems.extend(missing.map(|word| format!("it does not say {word:?}")));
    } else if ended.code != Some(0) {
        problems.push(format!("exit code {:?}, expected 0", ended.code));
    }
    (!problems.is_empty()).then(|| format!("{}: {}\n---\n{said}---", case.name, problems.join("; ")))
}
