//! A one-node Apache Kafka broker (KRaft), the real thing, for tests and benches.
//!
//! In: the jars that `scripts/kafka.sh` fetched, and a Java 17 or newer. Out: the address of a broker that answers. State: a
//! throw-away folder with the broker's data, kept over [`Kafka::kill`] and [`Kafka::restart`], removed when the [`Kafka`] is
//! dropped. The broker ends with the process that started it, even if that is killed.
//!
//! There are two listeners on free loopback ports: one without credentials, whose clients may do everything, and one with
//! SASL (PLAIN, SCRAM-SHA-256) for [`USERS`], who may do what an ACL allows them.
//!
//! With `GROUNDSWELL_TEST_KAFKA=host:port` a broker that runs already is used; it can be neither paused nor killed.

mod process;
mod properties;

use process::Process;
use properties::Ports;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Users of the listener with credentials, and their passwords. Only the first may do everything; no test gives the second
/// any right.
pub const USERS: [(&str, &str); 3] = [
    ("admin", "admin-secret"),
    ("guest", "guest-secret"),
    ("clerk", "clerk-secret"),
];
/// A user of the listener with credentials by SCRAM-SHA-256, and the password; may do everything.
pub const SCRAM_USER: (&str, &str) = ("scram", "scram-secret");

/// Time a broker has to start.
const START: Duration = Duration::from_secs(90);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// No jars.
    #[error("no Kafka in {}: run `scripts/setup.sh test` (or scripts/kafka.sh), or name a running broker with GROUNDSWELL_TEST_KAFKA", .0.display())]
    NoJars(PathBuf),
    /// Java is missing or fails.
    #[error("cannot run {what}: {source}; install Java 17 or newer (Debian: default-jre-headless)")]
    Java {
        /// What was to run.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder cannot be written.
    #[error("cannot write the broker's folder: {0}")]
    Folder(#[from] std::io::Error),
    /// It did not get ready.
    #[error("the broker did not start: {reason}; the end of its log:\n{log}")]
    NotReady {
        /// What happened.
        reason: String,
        /// Its last words.
        log: String,
    },
    /// The broker is not ours.
    #[error("the broker in GROUNDSWELL_TEST_KAFKA is not ours to {0}; unset the variable to test this")]
    NotOurs(&'static str),
}

/// A broker.
pub struct Kafka {
    bootstrap: String,
    ours: Option<Ours>,
}

struct Ours {
    /// Before the folder: the broker ends before its data is removed.
    process: Option<Process>,
    folder: TempDir,
    jars: PathBuf,
    ports: Ports,
    fast: bool,
}

impl Kafka {
    /// Starts a broker, or finds the one named in the environment.
    ///
    /// # Errors
    /// [`KafkaError`], saying what to install or showing the broker's log.
    pub fn start() -> Result<Kafka, KafkaError> {
        Kafka::launch(false)
    }

    /// The same for measuring: it may use all of the compiler and more memory, which takes longer to warm up.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn start_fast() -> Result<Kafka, KafkaError> {
        Kafka::launch(true)
    }

    fn launch(fast: bool) -> Result<Kafka, KafkaError> {
        if let Some(given) = std::env::var("GROUNDSWELL_TEST_KAFKA").ok().filter(|v| !v.is_empty()) {
            let (bootstrap, ours) = (given, None);
            return Ok(Kafka { bootstrap, ours });
        }
        let jars = process::jars()?;
        let folder = tempfile::Builder::new().prefix("groundswell-kafka-").tempdir()?;
        let ports = Ports::free()?;
        std::fs::write(folder.path().join("server.properties"), ports.properties(folder.path()))?;
        process::format(&jars, folder.path())?;
        let process = Some(Process::start(&jars, folder.path(), fast, START)?);
        let bootstrap = ports.plain();
        let ours = Some(Ours {
            process,
            folder,
            jars,
            ports,
            fast,
        });
        Ok(Kafka { bootstrap, ours })
    }

    /// Where clients without credentials connect.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where clients with credentials connect; `None` if the broker is not ours.
    pub fn bootstrap_sasl(&self) -> Option<String> {
        self.ours.as_ref().map(|ours| ours.ports.sasl())
    }

    /// Whether the broker was started here, so that it can be paused and killed.
    pub fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// One of Kafka's own tools by its class, e.g. `kafka.admin.ConfigCommand`; `None` if the broker is not ours.
    pub fn tool(&self, class: &str) -> Option<Command> {
        self.ours.as_ref().map(|ours| process::tool(&ours.jars, class))
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// If the broker is not ours, Java does not run, or the topic cannot be created.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), KafkaError> {
        let class = "org.apache.kafka.tools.TopicCommand";
        let mut tool = self.tool(class).ok_or(KafkaError::NotOurs("create topics"))?;
        tool.args(["--bootstrap-server", &self.bootstrap, "--create", "--topic", name]);
        let out = tool.args(["--partitions", &partitions.to_string()]).output();
        let out = out.map_err(|source| KafkaError::Java {
            what: class.to_owned(),
            source,
        })?;
        if out.status.success() {
            return Ok(());
        }
        Err(KafkaError::NotReady {
            reason: format!("the topic \"{name}\" was not created"),
            log: String::from_utf8_lossy(&out.stdout).into_owned(),
        })
    }

    /// Stops the broker's time: connections stay, nothing answers.
    ///
    /// # Errors
    /// If the broker is not ours or not running.
    pub fn pause(&self) -> Result<(), KafkaError> {
        self.running("pause")?.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If the broker is not ours or not running.
    pub fn resume(&self) -> Result<(), KafkaError> {
        self.running("resume")?.signal("CONT")
    }

    fn running(&self, doing: &'static str) -> Result<&Process, KafkaError> {
        let ours = self.ours.as_ref().ok_or(KafkaError::NotOurs(doing))?;
        ours.process.as_ref().ok_or_else(|| KafkaError::NotReady {
            reason: format!("it was killed and cannot {doing}"),
            log: String::new(),
        })
    }

    /// Kills it as `kill -9` does. Its data stays.
    ///
    /// # Errors
    /// If the broker is not ours.
    pub fn kill(&mut self) -> Result<(), KafkaError> {
        let ours = self.ours.as_mut().ok_or(KafkaError::NotOurs("kill"))?;
        if let Some(process) = ours.process.take() {
            process.kill_keeping_data()?;
        }
        Ok(())
    }

    /// Kills it if it still runs, and starts it on the same data and ports.
    ///
    /// # Errors
    /// If the broker is not ours or does not start.
    pub fn restart(&mut self) -> Result<(), KafkaError> {
        self.kill()?;
        let ours = self.ours.as_mut().ok_or(KafkaError::NotOurs("restart"))?;
        ours.process = Some(Process::start(&ours.jars, ours.folder.path(), ours.fast, START)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::Stdio;

    fn write(kafka: &Kafka, line: &str) {
        let mut tool = kafka.tool("org.apache.kafka.tools.ConsoleProducer").expect("ours");
        let tool = tool.args(["--bootstrap-server", kafka.bootstrap(), "--topic", "t"]);
        let mut child = tool.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
        writeln!(child.stdin.take().expect("piped"), "{line}").expect("written");
        assert!(child.wait().expect("ends").success());
    }

    #[test]
    fn a_broker_keeps_its_data_over_a_kill_and_answers_after_a_pause() {
        let mut kafka = Kafka::start().expect("a broker");
        if !kafka.is_ours() {
            println!("skipped: GROUNDSWELL_TEST_KAFKA is not ours to kill");
            return;
        }
        kafka.create_topic("t", 1).expect("created");
        write(&kafka, "before");
        kafka.restart().expect("restarted");
        kafka.pause().expect("paused");
        std::thread::sleep(Duration::from_millis(200));
        kafka.resume().expect("resumed");
        write(&kafka, "after");
        let mut reader = kafka
            .tool("org.apache.kafka.tools.consumer.ConsoleConsumer")
            .expect("ours");
        let reader = reader.args([
            "--bootstrap-server",
            kafka.bootstrap(),
            "--topic",
            "t",
            "--from-beginning",
        ]);
        let read = reader
            .args(["--max-messages", "2", "--timeout-ms", "20000"])
            .output()
            .expect("runs");
        assert_eq!(String::from_utf8_lossy(&read.stdout), "before\nafter\n");
        let folder = kafka.ours.as_ref().expect("ours").folder.path().to_owned();
        kafka.kill().expect("killed");
        assert!(folder.exists() && kafka.pause().is_err());
        drop(kafka);
        assert!(!folder.exists());
    }
}
