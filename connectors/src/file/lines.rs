//! Bytes to lines: plain, gzip or zstd, with the position of every line in the decompressed stream.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const READ_BUFFER: usize = 256 << 10;

/// How a file is stored, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Plain,
    Gzip,
    Zstd,
}

impl Storage {
    pub(super) fn of(file: &mut File) -> io::Result<Storage> {
        let mut head = Vec::with_capacity(4);
        file.take(4).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(match head[..] {
            [0x1f, 0x8b, ..] => Storage::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Storage::Zstd,
            _ => Storage::Plain,
        })
    }
}

/// Reads lines and knows where they are.
pub(super) struct LineReader {
    reader: Box<dyn BufRead + Send>,
    /// Position after what was consumed.
    position: u64,
    max_line: usize,
    line: Vec<u8>,
    line_start: u64,
    complete: bool,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'r> {
    /// Where it starts.
    pub(super) start: u64,
    /// Where the next one starts.
    pub(super) next: u64,
    /// The whole line, or the beginning of one that is longer than allowed.
    pub(super) bytes: &'r [u8],
    /// Its length, if it is longer than allowed.
    pub(super) oversized: Option<u64>,
}

impl LineReader {
    /// Opens a file at a position of its decompressed stream: plain files seek, others are read up to there.
    pub(super) fn open(path: &Path, position: u64, max_line: usize) -> io::Result<LineReader> {
        let mut file = File::open(path)?;
        match Storage::of(&mut file)? {
            Storage::Plain => LineReader::plain(file, position, max_line),
            Storage::Gzip => {
                // Several gzip members in a row are one stream, as `cat a.gz b.gz` makes them.
                let decoder = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER, file));
                LineReader::skipping(decoder, position, max_line)
            }
            Storage::Zstd => LineReader::skipping(zstd::stream::read::Decoder::new(file)?, position, max_line),
        }
    }

    /// A reader over an open plain file.
    pub(super) fn plain(mut file: File, position: u64, max_line: usize) -> io::Result<LineReader> {
        let len = file.metadata()?.len();
        if len < position {
            return Err(too_short(len, position));
        }
        file.seek(SeekFrom::Start(position))?;
        Ok(LineReader::new(
            Box::new(BufReader::with_capacity(READ_BUFFER, file)),
            position,
            max_line,
        ))
    }

    fn skipping(decoder: impl Read + Send + 'static, position: u64, max_line: usize) -> io::Result<LineReader> {
        let mut reader = BufReader::with_capacity(READ_BUFFER, decoder);
        let skipped = io::copy(&mut (&mut reader).take(position), &mut io::sink())?;
        if skipped < position {
            return Err(too_short(skipped, position));
        }
        Ok(LineReader::new(Box::new(reader), position, max_line))
    }

    fn new(reader: Box<dyn BufRead + Send>, position: u64, max_line: usize) -> LineReader {
        LineReader {
            reader,
            position,
            max_line,
            line: Vec::new(),
            line_start: position,
            complete: true,
        }
    }

    /// Position after everything consumed so far, an unfinished line included.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next line; `None` at the end. What stands at the end without a line end is a line if `take_rest`, else it is
    /// kept until the rest of it comes.
    pub(super) fn next(&mut self, take_rest: bool) -> io::Result<Option<Line<'_>>> {
        if self.complete {
            self.line.clear();
            self.line_start = self.position;
            self.complete = false;
        }
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if chunk.is_empty() {
                let nothing = self.position == self.line_start;
                return Ok(if nothing || !take_rest {
                    None
                } else {
                    Some(self.finish(0))
                });
            }
            let end = memchr::memchr(b'\n', chunk);
            let used = end.map_or(chunk.len(), |at| at + 1);
            // One more than allowed, so that a line of just the allowed length and its end fits.
            let room = (self.max_line + 2).saturating_sub(self.line.len());
            self.line.extend_from_slice(&chunk[..used.min(room)]);
            self.reader.consume(used);
            self.position += used as u64;
            if end.is_some() {
                return Ok(Some(self.finish(1)));
            }
        }
    }

    fn finish(&mut self, line_end: u64) -> Line<'_> {
        self.complete = true;
        let length = self.position - self.line_start - line_end;
        let (start, next) = (self.line_start, self.position);
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(self.line.len());
        let bytes = &self.line[..kept];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let oversized = (bytes.len() > self.max_line).then_some(length);
        Line {
            start,
            next,
            bytes,
            oversized,
        }
    }
}

fn too_short(len: u64, position: u64) -> io::Error {
    let message = format!("it has {len} bytes, but {position} were read from it before; it was replaced or cut");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &'static [u8], max: usize) -> Vec<(u64, u64, Vec<u8>, Option<u64>)> {
        let mut reader = LineReader::new(Box::new(BufReader::with_capacity(3, content)), 0, max);
        let mut lines = Vec::new();
        while let Some(line) = reader.next(true).expect("read") {
            lines.push((line.start, line.next, line.bytes.to_vec(), line.oversized));
        }
        lines
    }

    #[test]
    fn lines_know_their_places() {
        let wanted = vec![
            (0, 3, b"ab".to_vec(), None),
            (3, 4, b"".to_vec(), None),
            (4, 8, b"cd".to_vec(), None),
            (8, 9, b"e".to_vec(), None),
        ];
        assert_eq!(read(b"ab\n\ncd\r\ne", 100), wanted);
        assert_eq!(read(b"", 100), vec![]);
    }

    #[test]
    fn a_long_line_is_cut_and_reading_goes_on() {
        let lines = read(b"0123456789\n0123\r\n0123\n", 4);
        assert_eq!(lines[0], (0, 11, b"012345".to_vec(), Some(10)));
        assert_eq!(lines[1], (11, 17, b"0123".to_vec(), None));
        assert_eq!(lines[2], (17, 22, b"0123".to_vec(), None));
    }

    #[test]
    fn an_unfinished_line_waits_for_its_end() {
        let mut reader = LineReader::new(Box::new(BufReader::new(&b"ab"[..])), 0, 10);
        assert_eq!(reader.next(false).expect("read"), None);
        assert_eq!(reader.position(), 2);
        let line = reader.next(true).expect("read").expect("the rest");
        assert_eq!((line.start, line.next, line.bytes), (0, 2, &b"ab"[..]));
        assert_eq!(reader.next(true).expect("read"), None);
    }
}
