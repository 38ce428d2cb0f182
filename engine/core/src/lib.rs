//! The ground everything else stands on: time, identifiers, records, the accumulator that rides in differences,
//! the durable store, and the helpers that are the only home of raw timely operator builders.
//!
//! The one invariant: **record, then release**. Nothing enters the dataflow before it is durably recorded with its
//! time; everything after the record is a pure function of it.
#![warn(missing_docs)]

pub mod acc;
pub mod blocks;
pub mod dataflow;
pub mod erasure;
pub mod expr;
pub mod id;
pub mod keywords;
pub mod number;
pub mod record;
pub mod score;
pub mod scoring;
pub mod serving;
pub mod source;
pub mod spec;
pub mod store;
pub mod table;
pub mod text;
pub mod tie;
pub mod time;
