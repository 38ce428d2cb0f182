//! Kafka sources and sinks against a real broker, read and written by clients that are not ours as well.
//!
//! One broker serves all tests that leave it alone; those that pause or kill it start their own.

mod kafka {
    mod registry;
    mod sink;
    mod source;
    mod speed;
    mod support;
    mod trouble;
}
