//! connectors
pub mod decode;
pub mod dlq;
pub mod feed;
pub mod file;
pub mod generator;
pub mod http;
pub mod hub;
pub mod json;
pub mod kafka;
pub mod metrics;
pub mod pace;
pub mod postgres;
pub mod registry;
pub mod sink_file;
mod web;
pub mod webhook;
