//! `type: feed` sources after validation.

/// A source of the type `feed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Name, address, and time between two readings (ms).
    pub feeds: Vec<(String, String, i64)>,
    /// Most requests…
    pub requests: u32,
    /// …in this time (ms).
    pub per_ms: i64,
    /// Requests for one reading.
    pub attempts: u32,
    /// Longest first pause between them (ms).
    pub base_ms: i64,
    /// Longest pause (ms).
    pub longest_ms: i64,
    /// Failures in a row after which a feed is left alone.
    pub failures: u32,
    /// How long (ms).
    pub open_ms: i64,
    /// How long a request waits for the whole answer (ms).
    pub timeout_ms: i64,
    /// Longer answers are not read.
    pub max_bytes: i64,
}
