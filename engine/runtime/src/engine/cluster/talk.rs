//! What processes say to each other before timely takes the connection over: JSON, a line each.

use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest line of a handshake.
const LINE: usize = 8 << 10;
/// How often those who wait look again.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// Who calls, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Version of the program.
    pub(super) version: String,
    /// The process that calls.
    pub(super) from: usize,
    /// The process it takes the other one for.
    pub(super) to: usize,
    pub(super) processes: usize,
    pub(super) workers: usize,
    /// Name of the pipeline, for people.
    pub(super) pipeline: String,
    /// Digest of the graph it renders.
    pub(super) graph: String,
    /// The session the call is for; none yet where the leader is called.
    pub(super) session: Option<String>,
}

impl Hello {
    /// Why two processes cannot work together; `self` is the one that was called.
    pub(super) fn differs(&self, other: &Hello) -> Option<String> {
        let (me, you) = (self.from, other.from);
        if self.version != other.version {
            return Some(format!(
                "process {you} is groundswell {}, process {me} is {}: run one version everywhere",
                other.version, self.version
            ));
        }
        if other.to != me || you == me || you >= self.processes {
            return Some(format!(
                "process {you} calls process {} at an address where process {me} answers: give every process the same \
                 --processes and hosts file, and a --process of its own",
                other.to
            ));
        }
        if self.processes != other.processes {
            return Some(format!(
                "process {you} was started with --processes {}, process {me} with --processes {}",
                other.processes, self.processes
            ));
        }
        if self.workers != other.workers {
            return Some(format!(
                "process {you} has {} workers, process {me} has {}: give every process the same pipeline file",
                other.workers, self.workers
            ));
        }
        (self.graph != other.graph).then(|| {
            format!(
                "process {you} runs the pipeline \"{}\" (graph {:.12}), process {me} runs \"{}\" (graph {:.12}): views, rules or links \
                 differ; give every process the same pipeline file",
                other.pipeline, other.graph, self.pipeline, self.graph
            )
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Hello(Hello),
    Accepted,
    Refused {
        why: String,
        /// Trying again would not help.
        lasting: bool,
    },
    /// All have come; connections among them carry this name.
    Session(String),
    /// Connected with everybody.
    Ready,
    /// What follows is timely's.
    Go,
}

/// One end of a handshake.
pub(super) struct Talk {
    stream: TcpStream,
    heard: Vec<u8>,
    since: Instant,
}

impl Talk {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Talk {
            stream,
            heard: Vec::new(),
            since: Instant::now(),
        })
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Where the other end is.
    pub(super) fn addr(&self) -> String {
        self.stream
            .peer_addr()
            .map_or_else(|_| "an unknown address".into(), |addr| addr.to_string())
    }

    /// A line is a few hundred bytes and nothing else is on its way, so it fits or the other end is gone.
    pub(super) fn say(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.stream.write_all(&bytes)
    }

    /// The next line, if it is here. Takes not one byte beyond it: after the last line come timely's.
    pub(super) fn hear(&mut self) -> io::Result<Option<Line>> {
        let mut buffer = [0; 1024];
        loop {
            let seen = match self.stream.peek(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(seen) => &buffer[..seen],
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let end = seen.iter().position(|b| *b == b'\n');
            let take = end.map_or(seen.len(), |at| at + 1);
            let taken = self.stream.read(&mut buffer[..take])?;
            self.heard.extend_from_slice(&buffer[..taken]);
            if end.is_some() && taken == take {
                let line = std::mem::take(&mut self.heard);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it speaks something else"));
            }
            if self.heard.len() > LINE {
                return Err(io::Error::new(ErrorKind::InvalidData, "it speaks something else"));
            }
        }
    }

    /// The next line, if it comes in time.
    pub(super) fn hear_within(&mut self, patience: Duration) -> io::Result<Line> {
        let began = Instant::now();
        loop {
            if let Some(line) = self.hear()? {
                return Ok(line);
            }
            if began.elapsed() > patience {
                return Err(io::Error::new(ErrorKind::TimedOut, "it does not answer"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether the other end is gone, and what it said before was heard.
    pub(super) fn is_gone(&self) -> bool {
        match self.stream.peek(&mut [0]) {
            Ok(n) => n == 0,
            Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    fn hello(from: usize, to: usize) -> Hello {
        Hello {
            version: "1".into(),
            from,
            to,
            processes: 3,
            workers: 2,
            pipeline: "p".into(),
            graph: "g".into(),
            session: None,
        }
    }

    #[test]
    fn what_differs_is_named() {
        let me = hello(0, 0);
        assert_eq!(me.differs(&hello(1, 0)), None);
        let says = |other: Hello, part: &str| {
            let why = me.differs(&other).unwrap();
            assert!(why.contains(part), "{why}");
        };
        says(hello(1, 2), "process 1 calls process 2");
        says(hello(0, 0), "a --process of its own");
        says(hello(7, 0), "process 7");
        says(
            Hello {
                version: "2".into(),
                ..hello(1, 0)
            },
            "groundswell 2",
        );
        says(
            Hello {
                processes: 4,
                ..hello(1, 0)
            },
            "--processes 4",
        );
        says(
            Hello {
                workers: 9,
                ..hello(1, 0)
            },
            "9 workers",
        );
        let other = Hello {
            pipeline: "q".into(),
            graph: "h".into(),
            ..hello(1, 0)
        };
        says(other.clone(), "\"q\" (graph h)");
        says(other, "\"p\" (graph g)");
    }

    #[test]
    fn not_a_byte_beyond_a_line_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = Talk::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        let mut there = Talk::new(listener.accept().unwrap().0).unwrap();
        assert_eq!(there.hear().unwrap(), None);
        here.say(&Line::Go).unwrap();
        here.stream.write_all(b"\0timely").unwrap();
        assert_eq!(there.hear_within(Duration::from_secs(5)).unwrap(), Line::Go);
        let mut rest = [0; 7];
        let mut stream = there.into_stream();
        stream.set_nonblocking(false).unwrap();
        stream.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"\0timely");
        let mut there = Talk::new(stream).unwrap();
        assert!(!there.is_gone());
        here.stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        let error = there.hear_within(Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        drop(here);
        let error = there.hear_within(Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(there.is_gone());
    }
}
