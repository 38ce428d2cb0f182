//! Standard output and standard error, either of which may be closed or full: neither is a reason to panic.

use super::Failure;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// A line on standard output.
pub(super) fn say(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(Failure::output)
}

/// A line on standard error; if nobody reads that, there is nobody left to tell.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

impl Failure {
    /// What could not be written to standard output; a reader that went away has seen what it wanted.
    pub(super) fn output(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Failure::Unread
        } else {
            Failure::Other(format!("cannot write to standard output: {error}"))
        }
    }
}
