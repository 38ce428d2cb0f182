//! Processes of the compiled program, and what they say.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nothing here takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A process started by hand; killed, with the one it watches, when dropped.
pub struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    stdout: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    pub fn start<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_groundswell"))
            .args(args)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, stdout) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<String>>::default());
        let readers = vec![
            collect(child.stderr.take().unwrap(), &said),
            collect(child.stdout.take().unwrap(), &stdout),
        ];
        Process {
            child,
            said,
            stdout,
            readers,
        }
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said something.
    pub fn until(&self, text: &str) {
        let began = Instant::now();
        while !self.said().contains(text) {
            assert!(began.elapsed() < PATIENCE, "never said {text:?}, but:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The process that works: the child of the one that watches. It may be about to be started.
    pub fn worker(&self) -> Option<u32> {
        let mine = self.child.id();
        let stat = |entry: std::fs::DirEntry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, parent) = (after_name.next()?, after_name.next()?.parse::<u32>().ok()?);
            (parent == mine && state != "Z").then_some(pid)
        };
        std::fs::read_dir("/proc").unwrap().flatten().find_map(stat)
    }

    pub fn signal(&self, signal: &str) {
        send(self.child.id(), signal);
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if began.elapsed() > PATIENCE {
                self.signal("KILL");
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Ended {
            code: status.and_then(|s| s.code()),
            stdout: self.stdout.lock().unwrap().clone(),
            stderr: self.said(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already where somebody waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal; the process may be gone.
pub fn send(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.unwrap();
}

fn collect(stream: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut into = into.lock().unwrap();
            into.push_str(&line);
            into.push('\n');
        }
    })
}

/// Loopback addresses that nobody has.
pub fn free_hosts(n: usize) -> Vec<String> {
    (0..n)
        .map(|_| groundswell_testing::port::free().unwrap().to_string())
        .collect()
}

/// A hosts file with free addresses.
pub fn hosts_file(folder: &Path, n: usize) -> PathBuf {
    let file = folder.join("hosts");
    std::fs::write(&file, free_hosts(n).join("\n")).unwrap();
    file
}
