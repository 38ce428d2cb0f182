//! Where Postgres' programs are.

use super::PostgresError;
use std::path::PathBuf;

/// Folders of the programs: the `PATH` first, then those of distributions, newest version first.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folders: Vec<PathBuf>,
}

/// Debian's and Red Hat's folders per version: `{parent}/{prefix}{version}/bin`.
const PLACES: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

impl Programs {
    pub(super) fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        for (parent, prefix) in PLACES {
            let Ok(entries) = std::fs::read_dir(parent) else {
                continue;
            };
            let mut versions: Vec<u32> = entries
                .filter_map(|e| e.ok()?.file_name().to_str()?.strip_prefix(prefix)?.parse().ok())
                .collect();
            versions.sort_unstable_by(|a, b| b.cmp(a));
            let bin = |v: u32| PathBuf::from(parent).join(format!("{prefix}{v}")).join("bin");
            folders.extend(versions.into_iter().map(bin));
        }
        Programs { folders }
    }

    pub(super) fn get(&self, program: &'static str) -> Result<PathBuf, PostgresError> {
        let found = self.folders.iter().map(|f| f.join(program)).find(|p| p.is_file());
        found.ok_or_else(|| PostgresError::Missing {
            program,
            looked: PLACES
                .map(|(parent, prefix)| format!("{parent}/{prefix}*/bin"))
                .join(", "),
        })
    }
}
