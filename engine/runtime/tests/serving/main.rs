//! What a running pipeline gives out, on the compiled binary: explanations that outlive kills and folds, files of views, and
//! nothing about few.
#![allow(clippy::unwrap_used)]

mod erase;
mod explain;
mod export;
mod few;
#[allow(dead_code)] // shared with `bad_input`, which uses all of it
#[path = "../bad_input/program.rs"]
mod program;
mod world;
