//! The letters in a file sink's file, beside a sink that may be writing it.

use super::{DEAD_LETTERS, FileError, journal};
use crate::dlq::{Letter, Letters, LettersError};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Reads the committed lines of a [`super::DeadLetterFile`]; a file that is not there yet has none.
pub struct FileLetters {
    path: PathBuf,
}

impl FileLetters {
    /// The letters of a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileLetters { path: path.into() }
    }
}

impl Letters for FileLetters {
    fn read(&mut self, each: &mut dyn FnMut(Letter) -> ControlFlow<()>) -> Result<(), LettersError> {
        // A pipeline that never ran has no file; whoever asks for its letters has to hear there are none.
        if std::fs::metadata(&self.path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        let named = |e: FileError| LettersError::new(e.to_string());
        let (file, len) = journal::committed(&self.path, DEAD_LETTERS).map_err(named)?;
        let failed = |number: usize, why: &dyn std::fmt::Display| {
            LettersError::new(format!("file \"{}\", line {number}: {why}", self.path.display()))
        };
        let mut lines = BufReader::new(file.take(len));
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(|e| failed(number, &e))? == 0 {
                break;
            }
            if line.starts_with(b"{\"progress\":") {
                continue;
            }
            let letter = serde_json::from_slice(&line).map_err(|e| failed(number, &e))?;
            if each(letter).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::Origin;
    use crate::sink_file::DeadLetterFile;
    use groundswell_core::record::DeadLetter;
    use groundswell_core::serving::{DeadChange, Sink, TickChanges};
    use std::io::Write;

    fn changes(tick: u64, payloads: &[&[u8]]) -> TickChanges {
        let dead = |(offset, payload): (u64, &&[u8])| DeadChange {
            source: "posts".into(),
            partition: 0,
            offset,
            letter: DeadLetter {
                payload: payload.to_vec(),
                ..DeadLetter::default()
            },
        };
        TickChanges {
            tick,
            dead: (0..).zip(payloads).map(dead).collect(),
            ..TickChanges::default()
        }
    }

    fn read(letters: &mut FileLetters, most: usize) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let done = letters.read(&mut |letter| {
            found.push((letter.tick, letter.payload));
            if found.len() == most {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        done.expect("read");
        found
    }

    #[test]
    fn committed_letters_are_read_beside_the_sink() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("dead.jsonl");
        let mut letters = FileLetters::new(&path);
        assert_eq!(read(&mut letters, 9), []);
        let mut sink = DeadLetterFile::open("dead", &path, Some("s"), Origin::default()).expect("opened");
        sink.apply(&changes(1, &[b"a\n\xFF", b"{\"progress\":1}"]))
            .expect("applied");
        sink.apply(&changes(2, &[])).expect("applied");
        sink.apply(&changes(3, &[b"c"])).expect("applied");
        let all = [
            (1, b"a\n\xFF".to_vec()),
            (1, b"{\"progress\":1}".to_vec()),
            (3, b"c".to_vec()),
        ];
        assert_eq!(read(&mut letters, 9), all);
        assert_eq!(read(&mut letters, 2), all[..2]);
        // What a crash left behind is not committed.
        let mut file = std::fs::File::options().append(true).open(&path).expect("open");
        let line = std::fs::read_to_string(&path)
            .expect("read")
            .lines()
            .nth(1)
            .expect("a letter")
            .to_owned();
        write!(file, "{line}\n{}", &line[..20]).expect("written");
        assert_eq!(read(&mut letters, 9), all);
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("posts.jsonl");
        std::fs::write(&path, "{\"id\":1}\n").expect("written");
        let error = FileLetters::new(&path)
            .read(&mut |_| ControlFlow::Continue(()))
            .expect_err("foreign");
        assert!(
            error.message.contains("posts.jsonl") && error.message.contains("not a file of this sink"),
            "{error}"
        );
    }
}
