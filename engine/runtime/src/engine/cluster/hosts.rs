//! The hosts file: one `host:port` a line, the first line is process 0's. Lines beyond the number of processes are not read.

use std::path::{Path, PathBuf};

/// What is wrong with a hosts file.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It cannot be read.
    #[error("cannot read the hosts file \"{}\": {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Too few lines.
    #[error(
        "the hosts file \"{}\" names {found} of {processes} processes: write one host:port a line for each, process 0 first",
        file.display()
    )]
    TooFew {
        /// The file.
        file: PathBuf,
        /// Lines there are.
        found: usize,
        /// Lines there should be.
        processes: usize,
    },
    /// A line that is no address.
    #[error("line {line} of the hosts file \"{}\", \"{text}\", is not host:port, as in \"10.0.0.7:2101\"", file.display())]
    NotAnAddress {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// Two processes at one address.
    #[error(
        "lines {first} and {second} of the hosts file \"{}\" are both \"{text}\": every process needs an address of its own",
        file.display()
    )]
    Twice {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        first: usize,
        /// Counted from 1.
        second: usize,
        /// What both say.
        text: String,
    },
}

/// Reads the addresses of so many processes.
///
/// # Errors
/// [`HostsError`], naming file and line.
pub fn read_hosts(file: &Path, processes: usize) -> Result<Vec<String>, HostsError> {
    let text = std::fs::read_to_string(file).map_err(|source| HostsError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    parse(&text, file, processes)
}

fn parse(text: &str, file: &Path, processes: usize) -> Result<Vec<String>, HostsError> {
    let file = || file.to_owned();
    let lines = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty());
    let mut hosts: Vec<(usize, &str)> = Vec::new();
    for (line, text) in lines.take(processes) {
        let is_address = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !is_address || text.contains(char::is_whitespace) {
            return Err(HostsError::NotAnAddress {
                file: file(),
                line,
                text: text.to_owned(),
            });
        }
        if let Some((first, _)) = hosts.iter().find(|(_, other)| *other == text) {
            return Err(HostsError::Twice {
                file: file(),
                first: *first,
                second: line,
                text: text.to_owned(),
            });
        }
        hosts.push((line, text));
    }
    if hosts.len() < processes {
        return Err(HostsError::TooFew {
            file: file(),
            found: hosts.len(),
            processes,
        });
    }
    Ok(hosts.into_iter().map(|(_, text)| text.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_mistakes_are_named() {
        let read = |text, processes| parse(text, Path::new("hosts"), processes).map_err(|e| e.to_string());
        assert_eq!(
            read("a:1\n[::1]:2101 \n\nc:3\n", 2),
            Ok(vec!["a:1".to_owned(), "[::1]:2101".to_owned()])
        );
        let says = |text, processes, part: &str| {
            let why = read(text, processes).expect_err(part);
            assert!(why.contains(part), "{why}");
        };
        says("a:1\n", 2, "names 1 of 2 processes");
        says("", 2, "names 0 of 2");
        says("a:1\nb\n", 2, "line 2 of the hosts file \"hosts\", \"b\"");
        says("a:1\nb:0\n", 2, "is not host:port");
        says("a:1\nb:99999\n", 2, "is not host:port");
        says("a:1\nb:2 c:3\n", 2, "is not host:port");
        says("a:1\n\na:1\n", 2, "lines 1 and 3");
    }
}
