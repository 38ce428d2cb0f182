//! A connection once timely has it: the same bytes, and somebody is told when the other process is lost.
//!
//! timely's threads panic when a connection breaks. They never see it here: the loss is told, and the thread stays where it
//! is until the process ends. State: how far the frame is that comes in, to know a clean end from a cut.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use timely::communication::allocator::zero_copy::stream::Stream;

/// Another process of the cluster that is gone.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Which.
    pub process: usize,
    /// Its address in the hosts file.
    pub host: String,
    /// What happened to the connection.
    pub why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost process {} ({}): {}", self.process, self.host, self.why)
    }
}

/// Told when a process is lost, on a thread of the connection. The dataflow cannot go on after it; whoever is told ends the
/// process or drops the engine for good.
pub type OnLost = Arc<dyn Fn(Lost) + Send + Sync>;

/// A connection to another process.
pub(crate) struct Link {
    pub(super) stream: TcpStream,
    pub(super) process: usize,
    pub(super) host: String,
    pub(super) frames: Frames,
    pub(super) lost: OnLost,
}

impl Link {
    fn lose(&self, why: impl fmt::Display) -> ! {
        (self.lost)(Lost {
            process: self.process,
            host: self.host.clone(),
            why: why.to_string(),
        });
        loop {
            std::thread::park();
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(n) if n > 0 => {
                    self.frames.pass(&buffer[..n]);
                    return Ok(n);
                }
                // It has said that nothing follows: how the connection ends does not matter.
                _ if self.frames.ended => return Ok(0),
                Ok(_) => self.lose("it closed the connection"),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => self.lose(e),
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(buffer) {
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => self.lose(e),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Link {
            stream: self.stream.try_clone()?,
            process: self.process,
            host: self.host.clone(),
            frames: Frames::default(),
            lost: Arc::clone(&self.lost),
        })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // Everything was sent by now; the other end may have closed already.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}

/// timely's frames as they pass: six big-endian numbers, of which the fifth is the length of what follows. A length of zero
/// is the last frame.
pub(super) struct Frames {
    header: [u8; HEADER],
    filled: usize,
    body: u64,
    ended: bool,
}

/// Bytes of a frame's header (`MessageHeader` of timely's communication).
const HEADER: usize = 6 * 8;
/// Where in it the length is.
const LENGTH: std::ops::Range<usize> = 4 * 8..5 * 8;

impl Default for Frames {
    fn default() -> Self {
        Frames {
            header: [0; HEADER],
            filled: 0,
            body: 0,
            ended: false,
        }
    }
}

impl Frames {
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body > 0 {
                let skip = usize::try_from(self.body).map_or(bytes.len(), |body| body.min(bytes.len()));
                self.body -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            let take = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled == HEADER {
                let mut length = [0; 8];
                length.copy_from_slice(&self.header[LENGTH]);
                self.body = u64::from_be_bytes(length);
                self.filled = 0;
                self.ended = self.body == 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use timely::communication::networking::MessageHeader;

    fn frame(length: usize) -> Vec<u8> {
        let header = MessageHeader {
            channel: 3,
            source: 1,
            target_lower: 0,
            target_upper: 1,
            length,
            seqno: 9,
        };
        let mut bytes = Vec::new();
        header.write_to(&mut bytes).unwrap();
        bytes.extend(std::iter::repeat_n(0, length));
        bytes
    }

    #[test]
    fn a_clean_end_is_known_from_a_cut_whatever_the_pieces() {
        let mut all = [frame(160), frame(8), frame(100_000)].concat();
        for piece in [1, 7, 48, 4096, 200_000] {
            let mut frames = Frames::default();
            // The bodies are zeros, as a last header would be.
            all.chunks(piece).for_each(|bytes| frames.pass(bytes));
            assert!(!frames.ended, "{piece}");
            frames.pass(&frame(0)[..47]);
            assert!(!frames.ended, "{piece}");
            frames.pass(&frame(0)[47..]);
            assert!(frames.ended, "{piece}");
        }
        all.truncate(all.len() - 1);
        let mut frames = Frames::default();
        frames.pass(&all);
        assert!(!frames.ended);
    }
}
