//! What is wrong with a pipeline file: every mistake with its place, never only the first.

use std::fmt;

/// A place in the file; both 1-based, `line` 0 where the file as a whole is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Pos {
    pub line: usize,
    pub column: usize,
}

/// One mistake in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file as the user named it.
    pub file: String,
    /// 1-based line; 0 where the file as a whole is meant.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
    /// Dotted path of the key, e.g. `views.cast_by_minute.window`; empty at the top.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Lines shown by [`ConfigErrors`]; the rest is counted.
const SHOWN: usize = 100;

/// All mistakes of a pipeline file, in the order of the file. Displays as one line per mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts by place; mistakes of one place keep their order.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|e| (e.line, e.column));
        ConfigErrors(errors)
    }

    /// The mistakes; never empty.
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().take(SHOWN).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, "\nand {more} more"),
            _ => Ok(()),
        }
    }
}

/// Longest piece of the user's text repeated in a message.
const ECHO: usize = 60;

/// The user's text in quotes, fit for a message: shortened, control characters escaped, passwords of URLs masked.
pub(super) fn quoted(text: &str) -> String {
    let masked = super::secret::mask_url(text);
    let mut out = String::from("\"");
    for (i, c) in masked.chars().enumerate() {
        if i == ECHO {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out.push('"');
    out
}

/// `did you mean "tumble"?` for the nearest of `known`, or the list of them.
pub(super) fn suggest(given: &str, known: &[&str]) -> Option<String> {
    match nearest(given, known) {
        Some(best) => Some(format!("did you mean \"{best}\"?")),
        None if known.is_empty() => None,
        None => Some(format!("known: {}", known.join(", "))),
    }
}

/// The nearest of `known`, if one is near enough to be what was meant.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    // A whole paragraph in place of a word is no typo.
    if given.len() > ECHO {
        return None;
    }
    let given = given.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::normalized_damerau_levenshtein(&given, k), *k))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
