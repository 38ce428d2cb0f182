//! Scoring as users see it: whole pipelines, asked over HTTP.
#![allow(clippy::unwrap_used)]

mod device;
mod metrics;
mod predict;
mod world;
