//! Real servers for tests and benches: started on free loopback ports, in throw-away folders, stopped when dropped.
//!
//! `GROUNDSWELL_TEST_KAFKA`, `GROUNDSWELL_TEST_POSTGRES` and `GROUNDSWELL_TEST_REGISTRY` point at servers that run already
//! instead.

pub mod kafka;
pub mod port;
pub mod postgres;
pub mod registry;
