//! Exactness: the views equal a plain computation from scratch, whatever happens on the way.
#![allow(clippy::unwrap_used)]

mod alerts;
mod batch;
mod crash;
mod engine;
mod harness;
mod history;
mod ladder;
mod models;
mod oracle;
mod policy;
mod rig;
mod stall;
mod switch;
