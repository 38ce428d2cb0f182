//! The Postgres sink on a real server, against a model that keeps all rows in a map.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

mod altered;
mod crash;
mod expiry;
mod history;
mod states;
mod takeover;
mod tls;
mod world;
