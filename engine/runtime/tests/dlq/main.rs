//! Dead letters, listed, shown and replayed, where each kind of sink keeps them: on the compiled binary, a real broker and a
//! real database. A record that is good under a new `map` ends where it would have been from the start, a second replay
//! changes nothing, and what stays bad stops coming back.
#![allow(clippy::unwrap_used)]

mod file;
mod guard;
mod kafka;
mod postgres;
#[allow(dead_code)] // shared with `bad_input`, which uses all of it
#[path = "../bad_input/program.rs"]
mod program;
mod registry;
mod world;
