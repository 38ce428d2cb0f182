//! A Postgres server of one's own.
//!
//! In: Postgres' programs (Debian's `postgresql`), found on the `PATH` or where distributions put them. Out: a server on a
//! free loopback port, its data in a throw-away folder, accepting user `postgres` without a password. State: the folder and
//! the processes, both gone when the [`Postgres`] is dropped, or when this process dies however it dies.
//!
//! `GROUNDSWELL_TEST_POSTGRES` (a URL of a role that may create databases) points at a server that runs already; it can be
//! used, but not paused, killed or restarted ([`PostgresError::NotOurs`]).

mod find;
mod process;

use crate::port;
use find::Programs;
use process::{Guarded, Owner};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Points at a server that runs already.
pub const ENV: &str = "GROUNDSWELL_TEST_POSTGRES";

/// How long a server may take until it answers: it may have to recover first.
const READY: Duration = Duration::from_secs(60);

/// Why a server is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The programs are missing.
    #[error(
        "postgres is not installed: no \"{program}\" on the PATH or in {looked}; install Debian's postgresql \
         (scripts/setup.sh test does), or set {ENV} to the URL of a server"
    )]
    Missing {
        /// Which program.
        program: &'static str,
        /// Where else it was looked for.
        looked: String,
    },
    /// Postgres refuses to run as root, and there is nobody else to run it as.
    #[error("postgres does not run as root, and there is no user \"postgres\" to run it as: {0}")]
    NoUser(String),
    /// A program could not be run.
    #[error("could not run {program}: {source}")]
    Run {
        /// Which program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// Which program.
        program: String,
        /// What it wrote.
        output: String,
    },
    /// The server does not answer.
    #[error("postgres in {folder} did not answer within {READY:?}; the end of its log:\n{log}")]
    NotReady {
        /// Its folder.
        folder: String,
        /// The end of its log.
        log: String,
    },
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server belongs to somebody else.
    #[error("the server at {ENV} is not ours to stop; unset {ENV} for this test")]
    NotOurs,
}

/// A server for tests.
pub struct Postgres {
    programs: Programs,
    place: Place,
    databases: AtomicU32,
}

enum Place {
    /// A server of somebody else, by the URL of one of its databases.
    Theirs(String),
    Ours(Box<Ours>),
}

struct Ours {
    /// `None` while it is down.
    server: Option<Guarded>,
    owner: Owner,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server with a fresh data folder; or, with `GROUNDSWELL_TEST_POSTGRES`, uses that one.
    ///
    /// # Errors
    /// [`PostgresError`], naming what is missing.
    pub fn start() -> Result<Self, PostgresError> {
        let programs = Programs::find();
        match std::env::var(ENV).ok().filter(|url| !url.is_empty()) {
            Some(url) => Ok(Postgres {
                programs,
                place: Place::Theirs(url),
                databases: AtomicU32::new(0),
            }),
            None => Self::start_own(&[]),
        }
    }

    /// Starts a server of one's own whatever the environment says, with settings for its `postgresql.conf`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_own(settings: &[(&str, &str)]) -> Result<Self, PostgresError> {
        let programs = Programs::find();
        let owner = Owner::find()?;
        let folder = tempfile::Builder::new()
            .prefix("groundswell-postgres-")
            .tempdir()
            .map_err(|source| file(&std::env::temp_dir(), source))?;
        owner.give(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = owner.command(&programs.get("initdb")?);
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]);
        run(initdb.args(["--locale=C.UTF-8", "--pgdata"]).arg(&data))?;
        let mut conf = String::from(
            // Nobody pulls the plug of this machine; a process that is killed leaves its writes with the kernel.
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nfull_page_writes = off\n\
             log_min_messages = warning\nmax_connections = 60\nautovacuum_naptime = 5s\n",
        );
        for (name, value) in settings {
            conf.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let conf_file = data.join("groundswell.conf");
        std::fs::write(&conf_file, conf).map_err(|e| file(&conf_file, e))?;
        owner.give(&conf_file)?;
        let main = data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&main).map_err(|e| file(&main, e))?;
        text.push_str("\ninclude 'groundswell.conf'\n");
        std::fs::write(&main, text).map_err(|e| file(&main, e))?;
        let mut ours = Ours {
            server: None,
            owner,
            port: port::free().map_err(|e| file(Path::new("127.0.0.1"), e))?.port(),
            folder,
        };
        ours.boot(&programs)?;
        Ok(Postgres {
            programs,
            place: Place::Ours(Box::new(ours)),
            databases: AtomicU32::new(0),
        })
    }

    /// URL of a database that is always there.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Theirs(url) => url.clone(),
            Place::Ours(ours) => ours.url("postgres"),
        }
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn database(&self) -> Result<String, PostgresError> {
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("groundswell_{}_{n}", std::process::id());
        self.psql(&self.url(), &format!("drop database if exists {name}"))?;
        self.psql(&self.url(), &format!("create database {name}"))?;
        Ok(with_database(&self.url(), &name))
    }

    /// Runs SQL with psql, stopping at the first error; answers are unaligned, without headers, columns parted by tabs.
    ///
    /// # Errors
    /// What psql wrote.
    pub fn psql(&self, url: &str, sql: &str) -> Result<String, PostgresError> {
        let mut psql = Command::new(self.programs.get("psql")?);
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--field-separator=\t",
        ]);
        run(psql.args(["-v", "ON_ERROR_STOP=1", "-c", sql, url]))
    }

    /// The folder of our server, with `data` in it.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Theirs(_) => None,
            Place::Ours(ours) => Some(ours.folder.path()),
        }
    }

    /// Gives a file to the user the server runs as, so that it can read it.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn give(&self, path: &Path) -> Result<(), PostgresError> {
        match &self.place {
            Place::Theirs(_) => Err(PostgresError::NotOurs),
            Place::Ours(ours) => ours.owner.give(path),
        }
    }

    /// Stops all its processes where they are (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// If it is not ours or not up.
    pub fn pause(&self) -> Result<(), PostgresError> {
        self.ours()?.signal("STOP")
    }

    /// Lets it go on after [`Postgres::pause`].
    ///
    /// # Errors
    /// If it is not ours or not up.
    pub fn resume(&self) -> Result<(), PostgresError> {
        self.ours()?.signal("CONT")
    }

    /// Kills all its processes (SIGKILL); what was committed is recovered by [`Postgres::restart`].
    ///
    /// # Errors
    /// If it is not ours.
    pub fn kill(&mut self) -> Result<(), PostgresError> {
        let ours = self.ours_mut()?;
        if ours.server.is_some() {
            ours.signal("KILL")?;
            ours.server = None;
        }
        Ok(())
    }

    /// Starts it again on the same data and port, killing it first if it is up. Returns when it answers.
    ///
    /// # Errors
    /// If it is not ours or does not come up.
    pub fn restart(&mut self) -> Result<(), PostgresError> {
        self.kill()?;
        let programs = self.programs.clone();
        self.ours_mut()?.boot(&programs)
    }

    fn ours(&self) -> Result<&Ours, PostgresError> {
        match &self.place {
            Place::Theirs(_) => Err(PostgresError::NotOurs),
            Place::Ours(ours) => Ok(ours),
        }
    }

    fn ours_mut(&mut self) -> Result<&mut Ours, PostgresError> {
        match &mut self.place {
            Place::Theirs(_) => Err(PostgresError::NotOurs),
            Place::Ours(ours) => Ok(ours),
        }
    }
}

impl Ours {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn boot(&mut self, programs: &Programs) -> Result<(), PostgresError> {
        let log = self.folder.path().join("log");
        // Its own file says where the last one ended; a killed server leaves it behind.
        let pid_file = self.data().join("postmaster.pid");
        if let Err(error) = std::fs::remove_file(&pid_file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(file(&pid_file, error));
        }
        let postgres = programs.get("postgres")?;
        self.server = Some(Guarded::start(
            self.owner,
            &postgres,
            &self.data(),
            self.port,
            &log,
            self.folder.path(),
        )?);
        let ready = programs.get("pg_isready")?;
        let begun = Instant::now();
        // A server that gave up removes its file.
        let gone = |after: Duration| after > Duration::from_secs(2) && !pid_file.exists();
        while begun.elapsed() < READY && !gone(begun.elapsed()) {
            let mut ask = Command::new(&ready);
            ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if run(&mut ask).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(15).collect();
        Err(PostgresError::NotReady {
            folder: self.folder.path().display().to_string(),
            log: tail.into_iter().rev().collect::<Vec<_>>().join("\n"),
        })
    }

    /// Sends a signal to the server's first process and all it started.
    fn signal(&self, signal: &str) -> Result<(), PostgresError> {
        let path = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&path).map_err(|e| file(&path, e))?;
        let first = text.lines().next().unwrap_or_default().trim().to_owned();
        // The first process starts the others: once it is stopped the list is complete.
        if signal != "CONT" {
            process::kill("STOP", std::slice::from_ref(&first))?;
        }
        let mut all = process::children(&first);
        all.push(first);
        process::kill(signal, &all)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if self.server.is_some()
            && let Err(error) = self.signal("KILL")
        {
            eprintln!(
                "could not stop the Postgres in {}: {error}",
                self.folder.path().display()
            );
        }
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(b, q)| (b, Some(q)));
    let scheme = base.find("://").map_or(0, |at| at + 3);
    let authority = base[scheme..].find('/').map_or(base, |at| &base[..scheme + at]);
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("{authority}/{name}{query}")
}

fn file(path: &Path, source: std::io::Error) -> PostgresError {
    PostgresError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Runs a program to its end and returns what it wrote to its output.
fn run(command: &mut Command) -> Result<String, PostgresError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| PostgresError::Run {
            program: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned());
    }
    Err(PostgresError::Failed {
        program,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced() {
        for (url, expected) in [
            (
                "postgres://u:p@h:1/a?sslmode=disable",
                "postgres://u:p@h:1/new?sslmode=disable",
            ),
            ("postgres://u@h:1/a", "postgres://u@h:1/new"),
            ("postgres://u@h", "postgres://u@h/new"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[test]
    fn a_server_survives_pause_and_kill_with_what_was_committed() {
        let mut server = Postgres::start_own(&[]).expect("a server");
        let url = server.database().expect("a database");
        server.psql(&url, "create table t as select 42 as n").expect("created");
        server.pause().expect("paused");
        let asked = url.clone();
        let (sent, answer) = std::sync::mpsc::channel();
        let psql = server.programs.get("psql").expect("psql");
        let waiting = std::thread::spawn(move || {
            let out = Command::new(psql)
                .args(["-Atc", "select n from t", &asked])
                .output()
                .expect("psql runs");
            sent.send(String::from_utf8_lossy(&out.stdout).trim().to_owned())
                .expect("heard");
        });
        assert!(
            answer.recv_timeout(Duration::from_millis(500)).is_err(),
            "a paused server answered"
        );
        server.resume().expect("resumed");
        assert_eq!(answer.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("42"));
        waiting.join().expect("joined");
        server.kill().expect("killed");
        assert!(server.psql(&url, "select 1").is_err(), "a killed server answered");
        server.restart().expect("restarted");
        assert_eq!(server.psql(&url, "select n from t").expect("answered"), "42");
        let folder = server.folder().expect("ours").to_owned();
        drop(server);
        assert!(!folder.exists(), "{} is still there", folder.display());
    }
}
