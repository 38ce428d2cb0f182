//! Exactness: the views equal a plain computation from scratch, whatever happens on the way.
#![allow(clippy::unwrap_used)]

mod alerts;
mod batch;
mod crash;
mod engine;
mod events;
mod harness;
mod history;
mod ladder;
mod models;
mod numbers;
mod oracle;
mod policy;
mod revisions;
mod rig;
mod sessions;
mod stall;
mod switch;
mod tied;
