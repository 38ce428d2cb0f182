//! `groundswell key`: a new API key.

use super::Failure;
use super::out::say;
use groundswell_connectors::http::auth::{digest_of, new_key};

/// Prints a key, and what the pipeline file keeps of it.
pub(super) fn run() -> Result<(), Failure> {
    let key = new_key();
    let digest: String = digest_of(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    say(format!(
        "key     {key}\nsha256  {digest}\n\n\
         Give the key to whoever is to use it; it is kept nowhere. In the pipeline file:\n\n\
         serve:\n  auth:\n    keys:\n      NAME: {{sha256: {digest}, role: read}}"
    ))
}
