//! Real servers for tests and benches: started on free loopback ports, in throw-away folders, stopped when dropped.
//!
//! `GROUNDSWELL_TEST_KAFKA` and `GROUNDSWELL_TEST_POSTGRES` point at servers that run already instead.

pub mod kafka;
pub mod postgres;
