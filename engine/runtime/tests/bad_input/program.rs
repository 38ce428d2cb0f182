//! Runs the compiled program and looks at how it ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Nothing here takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The compiled binary.
pub const GROUNDSWELL: &str = env!("CARGO_BIN_EXE_groundswell");

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments, its work in `folder`.
pub fn groundswell<I: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(GROUNDSWELL);
    command.args(args).current_dir(folder).env_remove("RUST_LOG");
    command
}

/// Runs it to its end; one that hangs is killed and has no exit code.
pub fn run(mut command: Command) -> Ended {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    end(child.spawn().unwrap())
}

/// Waits for the end of a program, however much it says.
pub fn end(mut child: Child) -> Ended {
    fn reader(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut bytes).unwrap();
            }
            send.send(String::from_utf8_lossy(&bytes).into_owned())
        });
        receive
    }
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = wait(&mut child);
    Ended {
        code: status.and_then(|s| s.code()),
        stdout: stdout.recv().unwrap(),
        stderr: stderr.recv().unwrap(),
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// A pipeline that runs and serves; killed when dropped.
pub struct Running {
    child: Option<Child>,
    stderr: mpsc::Receiver<String>,
    said: String,
}

impl Running {
    /// Starts it and waits until it says something that contains `ready`.
    pub fn start(mut command: Command, ready: &str) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, stderr) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut running = Running {
            child: Some(child),
            stderr,
            said: String::new(),
        };
        running.until(ready);
        running
    }

    /// The line with `text`, once it is said.
    pub fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.stderr.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("never said {text:?}, but:\n{}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where it serves, from what it has said.
    pub fn addr(&self) -> SocketAddr {
        let at = self.said.split("serving http://").nth(1).unwrap();
        at.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Asks it to stop, with SIGTERM, and waits.
    pub fn stop(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait(&mut child);
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        Ended {
            code: status.and_then(|s| s.code()),
            stdout: String::new(),
            stderr: std::mem::take(&mut self.said),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// The body of a page.
pub fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        return unchunked(body);
    }
    body.to_owned()
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((len, rest)) = body.split_once("\r\n") {
        let len = usize::from_str_radix(len.trim(), 16).unwrap();
        out.push_str(&rest[..len]);
        body = rest[len..].trim_start_matches("\r\n");
    }
    out
}
