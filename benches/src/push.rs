//! How late a change reaches those who follow it, and how long a question takes, while both happen thousands of times.
//!
//! `push sockets`: an engine reads posts from a file that grows, one for each of `--keys` threads every tick; a second process
//! holds `--clients` WebSockets, of which `--idle` never read. Out: the time from the tick to its frame, at the clients,
//! processor and memory of both. `push questions`: the same engine under `--rate` posts a second answers `--per-second` HTTP
//! requests, which are sent on schedule whether or not earlier ones were answered. Out: the time from schedule to answer.

mod push {
    pub mod engine;
    pub mod questions;
    pub mod sockets;
    pub mod times;
}
mod exchange;
mod usage;

use clap::Parser;

/// What went wrong, for people.
pub type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(about = "Followers and questions by the thousand")]
enum Command {
    /// Many WebSockets follow a view.
    Sockets(push::sockets::Arguments),
    /// The process that holds the WebSockets; `sockets` starts it.
    #[command(hide = true)]
    Followers(push::sockets::Followers),
    /// Many HTTP requests read a view.
    Questions(push::questions::Arguments),
    /// The process that asks; `questions` starts it.
    #[command(hide = true)]
    Askers(push::questions::Askers),
}

fn main() -> Result<(), Failure> {
    match Command::parse() {
        Command::Sockets(arguments) => push::sockets::run(&arguments),
        Command::Followers(arguments) => push::sockets::follow(&arguments),
        Command::Questions(arguments) => push::questions::run(&arguments),
        Command::Askers(arguments) => push::questions::ask(&arguments),
    }
}
