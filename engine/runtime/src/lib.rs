//! Groundswell: vote-weighted sentiment views that stay exactly right while everything under them moves.
//!
//! This crate is the engine as a library ([`engine::Engine`]), the pipeline file ([`config`]), and the command line.
#![warn(missing_docs)]

pub mod config;
pub mod engine;
