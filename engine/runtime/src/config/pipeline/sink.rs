//! What a sink takes, as written.

/// What a sink takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkFrom {
    /// Alerts.
    Rules,
    /// The keyword events that are news.
    Events,
    /// Records that could not be accepted.
    DeadLetters,
    /// The changes of a view.
    View(String),
    /// Several of these, each into a table of its own.
    Tables,
}

impl SinkFrom {
    /// The word for it in the pipeline file.
    pub fn name(&self) -> &str {
        match self {
            SinkFrom::Rules => "rules",
            SinkFrom::Events => "events",
            SinkFrom::DeadLetters => "dead_letters",
            SinkFrom::View(view) => view,
            SinkFrom::Tables => "tables",
        }
    }
}
