//! Bad input, as tables: what goes wrong, through the compiled binary, and how it must end.
//!
//! Every case ends in a named error (with the exit code of the contract, saying what it is about, where and what to do)
//! or in a dead letter with its stage, its code and the bytes as they came, with counters that add up. Whatever happens,
//! nothing panics and nothing is skipped in silence.
#![allow(clippy::unwrap_used)]

mod case;
mod config;
mod lifecycle;
mod machine;
#[cfg(feature = "torch")]
mod model;
mod program;
mod records;
mod state;

#[test]
fn usage_and_configuration() {
    case::check(config::cases());
}

#[test]
fn state_folders() {
    case::check(state::cases());
}

#[test]
fn disks_ports_and_pipes() {
    case::check(machine::cases());
}

#[cfg(feature = "torch")]
#[test]
fn models() {
    case::check(model::cases());
}

#[test]
fn switches_of_models() {
    lifecycle::refused();
}

#[test]
fn records_become_dead_letters() {
    case::check(records::cases());
}
