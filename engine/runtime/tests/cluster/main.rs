//! One pipeline in several processes, through the compiled binary: equal results however the work is spread, whatever is
//! killed, and plain words about everything that is set up wrongly.
#![allow(clippy::unwrap_used)]

mod crash;
mod equal;
mod history;
mod models;
mod process;
mod refused;
mod replay;
mod world;
