//! connectors
pub mod decode;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod json;
pub mod sink_file;
pub mod file;
pub mod generator;
pub mod pace;
