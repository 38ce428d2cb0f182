//! The ready pipelines of `deploy/pipelines`, run as a user runs them, with a real broker, a real database and real posts.
//! Every view is compared with SQL over the raw records, after revisions, deletions and kills; then what clients of the
//! first systems read is asserted on the wire. Needs the data folder (`GROUNDSWELL_DATA`); says so and passes without it.
#![allow(clippy::unwrap_used)]

mod feeds;
mod news;
mod sentiment;
mod social;
mod thread;
mod world;
