//! Real servers for tests and benches: started on free loopback ports, in throw-away folders, stopped when dropped.
//!
//! `GROUNDSWELL_TEST_POSTGRES` points at a server that runs already instead.

pub mod postgres;
