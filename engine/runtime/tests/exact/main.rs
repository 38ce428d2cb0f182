//! Exactness: the views equal a plain computation from scratch, whatever happens on the way.
#![allow(clippy::unwrap_used)]

mod batch;
mod crash;
mod harness;
mod history;
mod oracle;
