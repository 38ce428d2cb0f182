//! Groundswell: vote-weighted sentiment views that stay exactly right while everything under them moves.
//!
//! A pipeline file says what flows in, what is kept and where it goes; [`config::load`] validates it and
//! [`pipeline::start`] runs it. A program that embeds the engine builds its own graph and connects its own sources and
//! sinks: see [`engine::Engine`] and `examples/embed.rs`.
#![warn(missing_docs)]

#[cfg(feature = "allocator")]
pub mod allocator;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod engine;
pub mod pipeline;

pub use groundswell_core as core;
