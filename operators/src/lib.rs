//! The operators of Groundswell: free functions over collections, one per file.
//!
//! Each file's documentation says what goes in and out, what state it holds, when it emits and what a retraction does.
//! [`graph::render`] puts them together.
#![warn(missing_docs)]

pub mod aggregate;
pub mod anchor;
pub mod authors;
mod bars;
mod beside;
pub mod compare;
pub mod dedupe;
pub mod engagement;
pub mod event;
pub mod evidence;
mod expiry;
pub mod graph;
pub mod inherit;
pub mod keywords;
pub mod link;
pub mod live;
pub mod matcher;
pub mod numbers;
pub mod posts;
pub mod score;
pub mod session;
pub mod stories;
pub mod tags;
pub mod threshold;
pub mod ties;
pub mod window;
