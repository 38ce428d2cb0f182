//! Joining: every process is connected with every other, and all know that they run the same graph.
//!
//! ```text
//! follower ── hello ──▶ leader          until all have come
//!          ◀─ accepted, then session ──
//! follower ── hello, with the session ──▶ followers before it ── accepted ──▶
//!          ── ready ──▶ leader          until all are ready
//!          ◀─ go ──
//! ```
//! Whenever somebody leaves, everybody begins anew; only a refusal that would come again ends it. Waiting is said, at growing
//! intervals, up to once a minute.

use super::link::{Frames, Link, OnLost};
use super::talk::{Hello, LOOK, Line, Talk};
use super::{ClusterError, Joined, Member};
use groundswell_core::time::wall_now;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connection may take to come about, and an answer that needs nobody else.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an earlier process may keep our port.
const PORT_PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// Callers that have not said who they are; more are turned away.
const CALLERS: usize = 64;
/// A machine that says nothing for about twice this is lost.
const SILENCE: Duration = Duration::from_secs(10);

/// Why an attempt failed.
enum Trouble {
    /// Another one may not.
    Again(String),
    Final(ClusterError),
}

impl From<ClusterError> for Trouble {
    fn from(error: ClusterError) -> Self {
        Trouble::Final(error)
    }
}

type Seats = Vec<Option<Talk>>;

impl Member {
    /// Connects with all other processes. Waits for them as long as it takes, and says so. `lost` is told when one of them
    /// is gone, from then on for as long as the process lives.
    ///
    /// # Errors
    /// [`ClusterError`]: the address is not ours, or another process runs something else.
    pub fn join(self, lost: OnLost) -> Result<Joined, ClusterError> {
        let mut waiting = Waiting::default();
        let listener = self.listen(&mut waiting)?;
        let mut attempt = Attempt {
            member: &self,
            listener: &listener,
            callers: Vec::new(),
            waiting: Waiting::default(),
            refused: None,
        };
        let seats = loop {
            let done = if self.process == 0 {
                attempt.lead()
            } else {
                attempt.follow()
            };
            match done {
                Ok(seats) => break seats,
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again(why)) => attempt.waiting.say(|| why),
            }
            std::thread::sleep(PAUSE);
        };
        let link = |(process, talk): (usize, Option<Talk>)| {
            let stream = talk?.into_stream();
            guard(&stream);
            Some(Link {
                stream,
                process,
                host: self.host(process).to_owned(),
                frames: Frames::default(),
                lost: OnLost::clone(&lost),
            })
        };
        let links = seats.into_iter().enumerate().map(link).collect();
        tracing::info!(
            processes = self.hosts.len(),
            process = self.process,
            "connected with all processes"
        );
        Ok(Joined { member: self, links })
    }

    fn host(&self, process: usize) -> &str {
        self.hosts.get(process).map_or("", String::as_str)
    }

    fn hello(&self, to: usize, session: Option<&str>) -> Hello {
        Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            from: self.process,
            to,
            processes: self.hosts.len(),
            workers: self.workers,
            pipeline: self.pipeline.clone(),
            graph: format!("{:032x}", self.graph),
            session: session.map(str::to_owned),
        }
    }

    /// Listens on our own address; an earlier process of it may still be going away.
    fn listen(&self, waiting: &mut Waiting) -> Result<TcpListener, ClusterError> {
        let host = self.host(self.process);
        let began = Instant::now();
        loop {
            let bound = TcpListener::bind(host).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            match bound {
                Ok(listener) => return Ok(listener),
                Err(e) if e.kind() == ErrorKind::AddrInUse && began.elapsed() < PORT_PATIENCE => {
                    waiting.say(|| format!("port of \"{host}\" to become free"));
                }
                Err(source) => {
                    return Err(ClusterError::Listen {
                        process: self.process,
                        host: host.to_owned(),
                        source,
                    });
                }
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A machine that goes away without a word is noticed: by probes while the connection is silent, by what it has not
/// acknowledged otherwise.
fn guard(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE / 4)
        .with_retries(4);
    let set = socket
        .set_tcp_keepalive(&keepalive)
        .and_then(|()| socket.set_tcp_user_timeout(Some(SILENCE * 3)));
    if let Err(error) = set {
        tracing::warn!(%error, "a machine that goes away without a word may be noticed late");
    }
}

struct Attempt<'a> {
    member: &'a Member,
    listener: &'a TcpListener,
    /// Those who have not said who they are.
    callers: Vec<Talk>,
    waiting: Waiting,
    /// The last refusal that was logged, and when.
    refused: Option<(String, Instant)>,
}

impl Attempt<'_> {
    fn lead(&mut self) -> Result<Seats, Trouble> {
        let mut seats = self.empty_seats();
        loop {
            for (talk, hello) in self.hellos() {
                self.seat(&mut seats, talk, &hello);
            }
            for (process, seat) in seats.iter_mut().enumerate() {
                if seat.as_ref().is_some_and(Talk::is_gone) {
                    tracing::warn!(process, "a process came and went away");
                    *seat = None;
                }
            }
            let missing = self.missing(&seats);
            if missing.is_empty() {
                break;
            }
            self.waiting.say(|| format!("{} to come", missing.join(", ")));
            std::thread::sleep(LOOK);
        }
        let session = format!("{:x}-{:x}", wall_now(), std::process::id());
        self.tell(&mut seats, &Line::Session(session))?;
        for process in 1..seats.len() {
            loop {
                match self.hear(&mut seats, process)? {
                    Some(Line::Ready) => break,
                    Some(_) => return Err(self.again(process, "it said something unexpected")),
                    None => {}
                }
                // They connect with each other now; who of them is lost takes all others along.
                if let Some(gone) = (1..seats.len()).find(|i| is_gone(&seats, *i)) {
                    return Err(self.again(gone, "it went away"));
                }
                let host = self.member.host(process);
                self.waiting
                    .say(|| format!("process {process} ({host}) to connect with the others"));
                std::thread::sleep(LOOK);
            }
        }
        self.tell(&mut seats, &Line::Go)?;
        Ok(seats)
    }

    fn follow(&mut self) -> Result<Seats, Trouble> {
        let me = self.member.process;
        let mut seats = self.empty_seats();
        // Followers after us may have their session sooner than we have ours.
        let mut early = Vec::new();
        seats[0] = Some(self.call(0, None)?);
        let session = loop {
            match self.hear(&mut seats, 0)? {
                Some(Line::Session(session)) => break session,
                Some(_) => return Err(self.again(0, "it said something unexpected")),
                None => {}
            }
            early.extend(self.hellos());
            self.waiting
                .say(|| "other processes, which have not come to process 0".into());
            std::thread::sleep(LOOK);
        };
        for (process, seat) in seats.iter_mut().enumerate().take(me).skip(1) {
            *seat = Some(self.call(process, Some(&session))?);
        }
        loop {
            early.extend(self.hellos());
            for (talk, hello) in early.drain(..) {
                self.take(&mut seats, talk, &hello, &session);
            }
            if let Some(gone) = (0..seats.len()).find(|i| is_gone(&seats, *i)) {
                return Err(self.again(gone, "it went away"));
            }
            let missing = self.missing(&seats);
            if missing.is_empty() {
                break;
            }
            self.waiting.say(|| format!("{} to connect", missing.join(", ")));
            std::thread::sleep(LOOK);
        }
        if let Some(leader) = &mut seats[0] {
            leader.say(&Line::Ready).map_err(|e| self.again(0, e))?;
        }
        loop {
            match self.hear(&mut seats, 0)? {
                Some(Line::Go) => return Ok(seats),
                Some(_) => return Err(self.again(0, "it said something unexpected")),
                None => {}
            }
            self.waiting.say(|| "other processes to be ready".into());
            std::thread::sleep(LOOK);
        }
    }

    fn empty_seats(&self) -> Seats {
        self.member.hosts.iter().map(|_| None).collect()
    }

    fn missing(&self, seats: &Seats) -> Vec<String> {
        let absent = seats
            .iter()
            .enumerate()
            .filter(|(i, seat)| *i != self.member.process && seat.is_none());
        absent
            .map(|(i, _)| format!("process {i} ({})", self.member.host(i)))
            .collect()
    }

    fn again(&self, process: usize, why: impl std::fmt::Display) -> Trouble {
        Trouble::Again(format!("process {process} ({}): {why}", self.member.host(process)))
    }

    fn tell(&self, seats: &mut Seats, line: &Line) -> Result<(), Trouble> {
        for (process, seat) in seats.iter_mut().enumerate() {
            if let Some(talk) = seat {
                talk.say(line).map_err(|e| self.again(process, e))?;
            }
        }
        Ok(())
    }

    fn hear(&self, seats: &mut Seats, process: usize) -> Result<Option<Line>, Trouble> {
        match seats.get_mut(process).and_then(Option::as_mut) {
            None => Ok(None),
            Some(talk) => talk.hear().map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => self.again(process, "it went away"),
                _ => self.again(process, e),
            }),
        }
    }

    /// Calls a process before us.
    fn call(&self, process: usize, session: Option<&str>) -> Result<Talk, Trouble> {
        let host = self.member.host(process);
        let again = |e: io::Error| self.again(process, format_args!("cannot be reached: {e}"));
        let mut talk = connect(host).and_then(Talk::new).map_err(again)?;
        talk.say(&Line::Hello(self.member.hello(process, session)))
            .map_err(again)?;
        match talk.hear_within(PATIENCE) {
            Ok(Line::Accepted) => Ok(talk),
            Ok(Line::Refused { why, lasting: true }) => Err(ClusterError::Refused {
                by: process,
                host: host.to_owned(),
                why,
            }
            .into()),
            Ok(Line::Refused { why, lasting: false }) => Err(self.again(process, why)),
            Ok(_) => Err(self.again(process, "it said something unexpected")),
            Err(e) if e.kind() == ErrorKind::InvalidData => {
                Err(self.again(process, "what answers there is not groundswell; look at the hosts file"))
            }
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(self.again(process, "it closed the connection")),
            Err(e) => Err(self.again(process, e)),
        }
    }

    /// Callers that have said who they are.
    fn hellos(&mut self) -> Vec<(Talk, Hello)> {
        while let Ok((stream, _)) = self.listener.accept() {
            match Talk::new(stream) {
                Ok(talk) if self.callers.len() < CALLERS => self.callers.push(talk),
                _ => {}
            }
        }
        let mut known = Vec::new();
        let callers = std::mem::take(&mut self.callers);
        for mut talk in callers {
            match talk.hear() {
                Ok(Some(Line::Hello(hello))) => known.push((talk, hello)),
                Ok(None) if talk.age() < PATIENCE => self.callers.push(talk),
                Ok(_) | Err(_) => {
                    tracing::debug!(from = talk.addr(), "somebody who is no process of the cluster called");
                }
            }
        }
        known
    }

    /// The leader's answer to a hello.
    fn seat(&mut self, seats: &mut Seats, talk: Talk, hello: &Hello) {
        if let Some(why) = self.member.hello(0, None).differs(hello) {
            return self.refuse(talk, why, true);
        }
        let Some(seat) = seats.get_mut(hello.from) else { return };
        match seat {
            Some(other) if !other.is_gone() => {
                let why = format!("process {} is here already, from {}", hello.from, other.addr());
                self.refuse(talk, why, false);
            }
            _ => *seat = accept(talk),
        }
    }

    /// A follower's answer to a hello of one after it.
    fn take(&mut self, seats: &mut Seats, talk: Talk, hello: &Hello, session: &str) {
        let me = self.member.process;
        if let Some(why) = self.member.hello(me, None).differs(hello) {
            return self.refuse(talk, why, true);
        }
        if hello.session.as_deref() != Some(session) || hello.from <= me {
            return self.refuse(talk, format!("process {me} is in another session"), false);
        }
        if let Some(seat) = seats.get_mut(hello.from) {
            *seat = accept(talk);
        }
    }

    fn refuse(&mut self, mut talk: Talk, why: String, lasting: bool) {
        let fresh = self
            .refused
            .as_ref()
            .is_none_or(|(said, at)| *said != why || at.elapsed() > Waiting::LONGEST);
        if fresh {
            tracing::warn!(from = talk.addr(), %why, "a process is refused");
            self.refused = Some((why.clone(), Instant::now()));
        }
        // It may be gone; then it has nothing to be told.
        let _ = talk.say(&Line::Refused { why, lasting });
    }
}

/// Whether somebody who had a seat left it.
fn is_gone(seats: &Seats, process: usize) -> bool {
    seats.get(process).and_then(Option::as_ref).is_some_and(Talk::is_gone)
}

fn accept(mut talk: Talk) -> Option<Talk> {
    talk.say(&Line::Accepted).is_ok().then_some(talk)
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for addr in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Says what is waited for: after a second, then at intervals that double up to a minute.
struct Waiting {
    began: Instant,
    next: Duration,
    pause: Duration,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting {
            began: Instant::now(),
            next: Duration::from_secs(1),
            pause: Duration::from_secs(1),
        }
    }
}

impl Waiting {
    const LONGEST: Duration = Duration::from_secs(60);

    fn say(&mut self, what: impl FnOnce() -> String) {
        let waited = self.began.elapsed();
        if waited >= self.next {
            tracing::warn!(seconds = waited.as_secs(), "waiting for {}", what());
            self.pause = (self.pause * 2).min(Self::LONGEST);
            self.next = waited + self.pause;
        }
    }
}
