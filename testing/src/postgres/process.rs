//! The server's processes: whom they run as, and that none outlives this one.

use super::{PostgresError, file, run};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Whom the server runs as: Postgres refuses root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    /// Us, or the user `postgres` if we are root.
    pub(super) fn find() -> Result<Self, PostgresError> {
        let id = |args: &[&str]| -> Result<u32, PostgresError> {
            let text = run(Command::new("id").args(args))?;
            text.parse()
                .map_err(|_| PostgresError::NoUser(format!("`id` says \"{text}\"")))
        };
        if id(&["-u"])? != 0 {
            return Ok(Owner(None));
        }
        let of = |args: &[&str]| id(args).map_err(|e| PostgresError::NoUser(e.to_string()));
        Ok(Owner(Some((of(&["-u", "postgres"])?, of(&["-g", "postgres"])?))))
    }

    /// A command that runs as the owner, in a folder it may enter.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    }

    /// Makes the owner own a file or folder.
    pub(super) fn give(self, path: &Path) -> Result<(), PostgresError> {
        match self.0 {
            None => Ok(()),
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(|e| file(path, e)),
        }
    }
}

/// Starts the server beside itself and reads until its input ends, which happens when we let go of it or die. Unless the
/// last word was `keep`, it then sees to it that the server and its folder are gone too.
const GUARD: &str = r#"
"$1" -D "$2" -p "$3" >>"$4" 2>&1 </dev/null &
server=$!
while read -r word; do [ "$word" = keep ] && exit 0; done
kill -9 "$server" $(cat "/proc/$server/task/$server/children")
rm -rf "$5"
"#;

/// A server whose life is tied to ours by a pipe.
pub(super) struct Guarded {
    guard: Child,
    /// The kernel closes it when we go, however we go.
    pipe: Option<ChildStdin>,
}

impl Guarded {
    /// Starts `postgres` on its data; `log` takes what it writes, `folder` is removed if we die.
    pub(super) fn start(
        owner: Owner,
        postgres: &Path,
        data: &Path,
        port: u16,
        log: &Path,
        folder: &Path,
    ) -> Result<Self, PostgresError> {
        let mut command = owner.command(Path::new("/bin/sh"));
        command.args(["-c", GUARD, "guard"]);
        command
            .arg(postgres)
            .arg(data)
            .arg(port.to_string())
            .arg(log)
            .arg(folder);
        // Not in our group: Ctrl-C is for us, the guard goes on until the pipe closes.
        command.process_group(0);
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut guard = spawned.map_err(|source| PostgresError::Run {
            program: postgres.display().to_string(),
            source,
        })?;
        let pipe = guard.stdin.take();
        Ok(Guarded { guard, pipe })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The server was stopped already and its folder has an owner: the guard has nothing left to do.
        if let Some(mut pipe) = self.pipe.take()
            && let Err(error) = pipe.write_all(b"keep\n")
        {
            eprintln!("the guard of a Postgres is gone: {error}");
        }
        if let Err(error) = self.guard.wait() {
            eprintln!("could not wait for the guard of a Postgres: {error}");
        }
    }
}

/// Processes that a process started and that are still there.
pub(super) fn children(pid: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Sends a signal; processes that are gone already are no error.
pub(super) fn kill(signal: &str, pids: &[String]) -> Result<(), PostgresError> {
    match run(Command::new("kill").arg("-s").arg(signal).arg("--").args(pids)) {
        Err(PostgresError::Failed { output, .. }) if output.contains("No such process") => Ok(()),
        other => other.map(drop),
    }
}
