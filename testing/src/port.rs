//! Loopback ports for programs that are told where to listen.
//!
//! Asking the kernel for a free port and letting it go again leaves it to whoever asks next: to another test, or to any
//! connection that goes out. What is handed out here lies below the ports that the kernel gives by itself, and stays this
//! process's until it ends, by a locked file per port that every process that asks here sees.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The lowest port handed out: services that a machine may run listen below.
const LOWEST: u16 = 10_000;
/// Where Linux's own range begins, if it does not say.
const KERNELS: u16 = 32_768;

/// The locks this process holds, until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A loopback address that nobody listens on and that nobody else gets here while this process runs.
///
/// # Errors
/// If none is left, or the files that mark them cannot be written.
pub fn free() -> std::io::Result<SocketAddr> {
    let folder = std::env::temp_dir().join("groundswell-ports");
    std::fs::create_dir_all(&folder)?;
    let end = kernels().filter(|end| *end > LOWEST + 1_000).unwrap_or(KERNELS);
    // Processes begin in different places, so that they rarely try the same.
    let count = u32::from(end - LOWEST);
    let first = std::process::id().wrapping_mul(2_654_435_761) % count;
    for n in 0..count {
        let port = LOWEST + u16::try_from((first + n) % count).unwrap_or_default();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Some(lock) = lock(&folder.join(port.to_string()))?
            && TcpListener::bind(at).is_ok()
        {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return Ok(at);
        }
    }
    Err(Error::new(ErrorKind::AddrNotAvailable, "no loopback port is free"))
}

/// First of the ports that the kernel gives to whoever names none.
fn kernels() -> Option<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The file, locked; `None` if another one has it, this process too.
fn lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn ports_are_handed_out_once_and_outside_the_kernels_range() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| [(); 50].map(|()| super::free().map(|at| at.port()))))
            .collect();
        let mut seen = BTreeSet::new();
        for thread in threads {
            for port in thread.join().expect("no panic") {
                let port = port.expect("a port");
                assert!(port >= super::LOWEST && Some(port) < super::kernels(), "{port}");
                assert!(seen.insert(port), "{port} twice");
            }
        }
    }
}
