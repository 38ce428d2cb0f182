//! `groundswell state`: what a state folder holds, and whether it is sound.

use super::Failure;
use super::out::say;
use clap::Subcommand;
use groundswell_core::store::{inspect, verify};

#[derive(Subcommand)]
pub(super) enum StateCommand {
    /// What is in it: format, snapshot, log, bindings, rows by kind; as JSON.
    Inspect {
        /// The state folder.
        dir: String,
    },
    /// Read everything and check it; exits 1 if something is wrong.
    Verify {
        /// The state folder.
        dir: String,
    },
}

pub(super) fn run(command: &StateCommand) -> Result<(), Failure> {
    match command {
        StateCommand::Inspect { dir } => say(serde_json::to_string_pretty(&inspect(dir)?)?)?,
        StateCommand::Verify { dir } => {
            let found = verify(dir)?;
            say(serde_json::to_string_pretty(&found)?)?;
            if !found.is_ok() {
                return Err(Failure::Other(format!(
                    "the state in \"{dir}\" has {} problems",
                    found.problems.len()
                )));
            }
        }
    }
    Ok(())
}
