//! The broker's process: started under a shell that holds a pipe to us, so that it ends when we end, however we do.

use super::{KafkaError, SCRAM_USER};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the broker logs when it serves.
const READY: &str = "Kafka Server started";
/// Lines of the log that an error shows.
const LOG_LINES: usize = 30;

/// Runs the command given as arguments until the pipe on standard input closes; then ends it and, unless a file says that
/// its data is still wanted, removes the folder.
const WATCH: &str = r#"
folder=$1; shift
"$@" </dev/null >>"$folder/broker.log" 2>&1 &
echo $! >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
cat >/dev/null
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
[ -e "$folder/keep" ] || rm -rf "$folder"
"#;

/// The folder with Kafka's jars.
pub(super) fn jars() -> Result<PathBuf, KafkaError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/kafka");
    let folder = std::env::var_os("GROUNDSWELL_KAFKA_JARS").map_or(root, PathBuf::from);
    match folder.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        _ => Err(KafkaError::NoJars(folder)),
    }
}

fn java(jars: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(jars.join("*"));
    command
}

/// One of Kafka's tools, quiet and quick to start.
pub(super) fn tool(jars: &Path, class: &str) -> Command {
    let mut command = java(jars);
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", class]);
    command
}

/// Prepares an empty data folder.
pub(super) fn format(jars: &Path, folder: &Path) -> Result<(), KafkaError> {
    let (user, password) = SCRAM_USER;
    let mut format = tool(jars, "kafka.tools.StorageTool");
    format.args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]);
    format.arg(folder.join("server.properties"));
    format.args([
        "--add-scram",
        &format!("SCRAM-SHA-256=[name={user},password={password}]"),
    ]);
    let out = format.output().map_err(|source| KafkaError::Java {
        what: "Kafka's StorageTool".into(),
        source,
    })?;
    if out.status.success() {
        return Ok(());
    }
    Err(KafkaError::NotReady {
        reason: "its data folder could not be formatted".into(),
        log: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

/// A running broker; dropping it kills it and removes its folder.
pub(super) struct Process {
    watcher: Child,
    pid: String,
    folder: PathBuf,
}

impl Process {
    /// Starts the broker and waits until it serves.
    pub fn start(jars: &Path, folder: &Path, fast: bool, patience: Duration) -> Result<Process, KafkaError> {
        let heap: &[&str] = match fast {
            true => &["-Xms1g", "-Xmx1g"],
            false => &["-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1"],
        };
        for old in ["keep", "broker.log", "pid"] {
            match std::fs::remove_file(folder.join(old)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        let broker = java(jars);
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(folder)
            .arg(broker.get_program())
            .args(broker.get_args())
            .args(heap)
            .args(["-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .arg("-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info")
            .arg("kafka.Kafka")
            .arg(folder.join("server.properties"))
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|source| KafkaError::Java {
                what: "the broker".into(),
                source,
            })?;
        let mut process = Process {
            watcher,
            pid: String::new(),
            folder: folder.to_owned(),
        };
        process.wait_ready(patience)?;
        Ok(process)
    }

    fn wait_ready(&mut self, patience: Duration) -> Result<(), KafkaError> {
        let end = Instant::now() + patience;
        let reason = loop {
            let log = read(&self.folder.join("broker.log"));
            self.pid = read(&self.folder.join("pid")).trim().to_owned();
            if log.contains(READY) && !self.pid.is_empty() {
                return Ok(());
            }
            if !self.pid.is_empty() && !Path::new(&format!("/proc/{}", self.pid)).exists() {
                break "its process ended".to_owned();
            }
            if Instant::now() > end {
                break format!("it was not ready after {patience:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let log = read(&self.folder.join("broker.log"));
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        // Kept for the caller, whose folder it is.
        std::fs::write(self.folder.join("keep"), "")?;
        Err(KafkaError::NotReady { reason, log })
    }

    /// Sends the broker a signal.
    pub fn signal(&self, name: &str) -> Result<(), KafkaError> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid]).status()?;
        match sent.success() {
            true => Ok(()),
            false => Err(std::io::Error::other(format!("cannot send SIG{name} to the broker")).into()),
        }
    }

    /// Ends the broker at once and waits until it is gone; its folder stays.
    pub fn kill_keeping_data(self) -> Result<(), KafkaError> {
        std::fs::write(self.folder.join("keep"), "")?;
        drop(self);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher ends the broker once its pipe is closed. A stopped process dies of SIGKILL as well.
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

fn read(path: &Path) -> String {
    let mut text = Vec::new();
    // Not there yet is the same as empty.
    let _ = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}
