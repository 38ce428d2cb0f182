//! The port: binding it, accepting connections, closing them.

use super::auth::Peer;
use super::tls::Acceptor;
use super::{App, ServeError, routes, stopped};
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A TLS handshake must be done within this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What is buffered of a request's head; the exact limits are the guard's.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 100;

/// Binds an address.
pub fn bind(addr: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    let bound = std::net::TcpListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ServeError::AddressInUse {
            addr,
            alternative: free_near(addr),
        },
        _ => ServeError::Bind { addr, source },
    })
}

fn free_near(addr: SocketAddr) -> Option<SocketAddr> {
    (1..=20)
        .filter_map(|step| addr.port().checked_add(step))
        .map(|port| SocketAddr::new(addr.ip(), port))
        .find(|candidate| std::net::TcpListener::bind(candidate).is_ok())
}

/// Serves metrics on an address of their own until asked to stop.
pub async fn only_metrics(listener: TcpListener, app: App) {
    let mut stop = app.stop.clone();
    let served = axum::serve(listener, routes::metrics_only(app)).with_graceful_shutdown(async move {
        stopped(&mut stop).await;
    });
    if let Err(error) = served.await {
        tracing::error!(%error, "metrics are not served on their own address any more");
    }
}

/// Serves until asked to stop, then lets what is under way finish.
pub async fn run(listener: TcpListener, acceptor: Option<Acceptor>, app: App) {
    let router = routes::router(app.clone());
    let mut stop = app.stop.clone();
    loop {
        let full = app.open.load(Ordering::Relaxed) >= app.options.max_connections;
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            () = tokio::time::sleep(Duration::from_millis(20)), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, peer)) => {
                    let (open, router) = (Open::new(&app), router.clone());
                    let tls = acceptor.as_ref().map(Acceptor::current);
                    tokio::spawn(async move {
                        // Frames are small and wanted at once.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "could not switch off Nagle's algorithm");
                        }
                        let peer = Peer(peer.ip().to_canonical());
                        match tls {
                            None => connection(stream, peer, router, open).await,
                            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                                Ok(Ok(stream)) => connection(stream, peer, router, open).await,
                                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                                Err(_) => tracing::debug!("a TLS handshake took too long"),
                            },
                        }
                    });
                }
                // Out of file handles or a connection that is gone already: others may still come.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let deadline = tokio::time::Instant::now() + app.options.drain;
    while app.open.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn connection<S>(stream: S, peer: Peer, router: axum::Router, open: Open)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(open.0.options.patience)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let mut stop = open.0.stop.clone();
    let mut stopping = false;
    loop {
        tokio::select! {
            done = served.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection ended early");
                }
                break;
            }
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Counts something open until dropped.
pub struct Open(App);

impl Open {
    /// One more.
    pub fn new(app: &App) -> Self {
        app.open.fetch_add(1, Ordering::AcqRel);
        Open(app.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
