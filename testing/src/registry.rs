//! A schema registry for tests.
//!
//! With `GROUNDSWELL_TEST_REGISTRY=URL` a real one is used: Confluent's, or Apicurio under `/apis/ccompat/v7`
//! (`scripts/registry.sh` fetches and runs that). Otherwise a small server answers here, as Confluent's documentation of the
//! REST API has it, with what tests need of it: schemas are registered and asked for by id, by subject and version, and the
//! kinds of schema are told. It can be given credentials, be taken down and come back with all it knows.

use crate::port;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What a registry keeps: bodies of registrations by id, ids by subject in the order of their versions.
#[derive(Default)]
struct Kept {
    schemas: Vec<String>,
    subjects: BTreeMap<String, Vec<usize>>,
}

#[derive(Default)]
struct Inner {
    kept: Mutex<Kept>,
    asked: AtomicUsize,
    stop: AtomicBool,
    /// Value of the header that must come along.
    authorization: Option<String>,
}

/// A registry; it ends when it is dropped.
pub struct Registry {
    url: String,
    ours: Option<Ours>,
}

struct Ours {
    at: SocketAddr,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// The one named in the environment, or one of our own.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start() -> std::io::Result<Registry> {
        match std::env::var("GROUNDSWELL_TEST_REGISTRY")
            .ok()
            .filter(|v| !v.is_empty())
        {
            Some(url) => Ok(Registry { url, ours: None }),
            None => Registry::ours(None),
        }
    }

    /// One of our own, which may want this value of the header `authorization`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn ours(authorization: Option<&str>) -> std::io::Result<Registry> {
        let at = port::free()?;
        let inner = Inner {
            authorization: authorization.map(str::to_owned),
            ..Inner::default()
        };
        let (inner, thread) = (Arc::new(inner), None);
        let mut registry = Registry {
            url: format!("http://{at}"),
            ours: Some(Ours { at, inner, thread }),
        };
        registry.up()?;
        Ok(registry)
    }

    /// Its address, as clients take it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it was started here, so that it can be taken down.
    pub fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Registers a schema under a subject, by the body that Confluent's REST API takes; its id.
    ///
    /// # Errors
    /// If the registry does not answer with one.
    pub fn register(&self, subject: &str, body: &serde_json::Value) -> std::io::Result<u32> {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let request = ureq::post(&url).header("content-type", "application/vnd.schemaregistry.v1+json");
        let mut answer = request.send(body.to_string()).map_err(std::io::Error::other)?;
        let text = answer.body_mut().read_to_string().map_err(std::io::Error::other)?;
        let answer: serde_json::Value = serde_json::from_str(&text)?;
        let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| std::io::Error::other(format!("no id in {text}")))
    }

    /// How often ours was asked for a schema by its id.
    pub fn asked(&self) -> usize {
        self.ours
            .as_ref()
            .map_or(0, |ours| ours.inner.asked.load(Ordering::Acquire))
    }

    /// Closes its port; what it keeps stays. Does nothing to one that is not ours.
    pub fn down(&mut self) {
        if let Some(ours) = &mut self.ours {
            ours.down();
        }
    }

    /// Opens the port again.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn up(&mut self) -> std::io::Result<()> {
        if let Some(ours) = self.ours.as_mut().filter(|ours| ours.thread.is_none()) {
            let listener = TcpListener::bind(ours.at)?;
            let inner = Arc::clone(&ours.inner);
            inner.stop.store(false, Ordering::Release);
            ours.thread = Some(std::thread::spawn(move || serve(&listener, &inner)));
        }
        Ok(())
    }
}

impl Ours {
    fn down(&mut self) {
        self.inner.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It looks at the flag with every caller.
            drop(TcpStream::connect(self.at));
            let _ = thread.join();
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.down();
    }
}

fn serve(listener: &TcpListener, inner: &Inner) {
    for caller in listener.incoming() {
        if inner.stop.load(Ordering::Acquire) {
            return;
        }
        if let Ok(caller) = caller {
            // A caller who goes away is no fault of ours.
            let _ = answer(caller, inner);
        }
    }
}

/// Reads one request and answers it; the connection ends with that.
fn answer(mut caller: TcpStream, inner: &Inner) -> std::io::Result<()> {
    let mut reader = BufReader::new(caller.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            continue;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, text) = match inner.authorization == authorization || inner.authorization.is_none() {
        true => inner.reply(method, path, String::from_utf8_lossy(&body).trim()),
        false => ("401 Unauthorized", complaint(40_101, "no")),
    };
    let head = "content-type: application/vnd.schemaregistry.v1+json\r\nconnection: close";
    write!(
        caller,
        "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn complaint(code: u32, message: &str) -> String {
    format!("{{\"error_code\":{code},\"message\":\"{message}\"}}")
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, method: &str, path: &str, body: &str) -> (&'static str, String) {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let found = match (method, parts.as_slice()) {
            ("GET", ["schemas", "types"]) => return ("200 OK", "[\"AVRO\",\"JSON\",\"PROTOBUF\"]".to_owned()),
            ("POST", ["subjects", subject, "versions"]) => {
                let mut kept = self.kept();
                let known = kept.schemas.iter().position(|known| known == body);
                let id = known.unwrap_or_else(|| {
                    kept.schemas.push(body.to_owned());
                    kept.schemas.len() - 1
                });
                let versions = kept.subjects.entry(plain(subject)).or_default();
                if !versions.contains(&id) {
                    versions.push(id);
                }
                return ("200 OK", format!("{{\"id\":{}}}", id + 1));
            }
            ("GET", ["schemas", "ids", id]) => {
                self.asked.fetch_add(1, Ordering::AcqRel);
                // Ids are Java ints; to anything else there is no path.
                let id = id.parse::<i32>().ok();
                let index = id.map(|id| usize::try_from(id - 1).unwrap_or(usize::MAX));
                let found = index.map(|index| self.kept().schemas.get(index).cloned());
                found.map_or(Err(404), |schema| schema.ok_or(40_403))
            }
            ("GET", ["subjects", subject, "versions", version]) => {
                let kept = self.kept();
                let index = version.parse::<usize>().ok().and_then(|v| v.checked_sub(1));
                let id = kept
                    .subjects
                    .get(&plain(subject))
                    .and_then(|versions| versions.get(index?));
                id.and_then(|id| kept.schemas.get(*id).cloned()).ok_or(40_402)
            }
            _ => Err(404),
        };
        match found {
            // What was registered has the fields that are asked for.
            Ok(schema) => ("200 OK", schema),
            Err(code) => ("404 Not Found", complaint(code, "not found")),
        }
    }
}

/// Text without its percent escapes.
fn plain(escaped: &str) -> String {
    let (bytes, mut out, mut at) = (escaped.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = escaped
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(|_| byte == b'%') {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
