//! Engine time.
//!
//! A [`Tick`] is the engine's only notion of time inside the graph: milliseconds since the Unix epoch at which a batch of
//! input was minted, strictly increasing, totally ordered, and recorded before anything computed from it is visible.
//! Event time (`created_at`, `observed_at`) is plain data, also in epoch milliseconds, as [`EventTime`].

/// Engine time: epoch milliseconds at which a batch was minted; strictly increasing within one state folder.
pub type Tick = u64;

/// Event time: epoch milliseconds as stated by the data. Never read from a clock inside the graph.
pub type EventTime = i64;

/// One second in milliseconds.
pub const SECOND: i64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in milliseconds.
pub const DAY: i64 = 24 * HOUR;
/// One week in milliseconds.
pub const WEEK: i64 = 7 * DAY;

/// Wall-clock now in epoch milliseconds. Only the minting of ticks and serving code may call this.
pub fn wall_now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
