//! SHA-256 digests of files, as the manifest writes them.

use super::BundleError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha([u8; 32]);

impl Sha {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Sha(Sha256::digest(bytes).into())
    }

    /// Compares the digest of `path` with the one in the manifest.
    pub(super) fn expect(self, path: PathBuf, expected: &str) -> Result<(), BundleError> {
        let (actual, expected) = (self.to_string(), expected.trim());
        if actual.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(BundleError::Digest {
            path,
            expected: expected.into(),
            actual,
        })
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
