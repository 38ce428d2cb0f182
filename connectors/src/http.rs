//! The server: REST, WebSocket, metrics, health and the console on one port.
//!
//! In: a [`Hub`], [`Metrics`], somebody who knows whether the engine is ready. Out: a listening port on threads of its own,
//! until the [`ServerHandle`] is shut down. State: open connections, all bounded. It reads the hub
//! and changes nothing; what operators tell sinks, dead letters they give again, erasures, and switches of models it hands on.
//!
//! Who may ask what is decided by [`auth`]; without it everybody who reaches the port may do everything, which is for the
//! loopback, where the server is by default. Against other people's pages in the same browser it checks `Host` on a loopback
//! bind and `Origin` on WebSocket upgrades, and pages of origins that are not named may read nothing. TLS is by rustls
//! ([`tls`]), with certificates that may be replaced while it runs.

mod alerts;
mod analytics;
mod api;
pub mod auth;
mod compat;
mod console;
mod dead_letters;
mod docs;
mod erasures;
mod error;
mod events;
mod export;
mod feeds;
mod guard;
mod health;
mod listener;
mod me;
mod models;
mod posts;
mod predict;
mod query;
mod reply;
mod routes;
mod rules;
mod sinks;
pub mod tls;
mod views;
mod ws;

pub use compat::{CompatRoutes, SentimentViews, ThreadViews};
pub use docs::document as openapi;
pub use erasures::EraseRefusal;
pub use error::{ApiError, nearest};
pub use health::{Health, HealthReport, Service, SinkAction, SinkRefusal, SinkStatus};
pub use models::{
    Labels, ModelComparison, ModelControl, ModelDifference, ModelRefusal, ModelRefusalKind, ModelStatus, ModelSwitch,
};
pub use predict::{PredictFailure, PredictRefusal, Predicted, Predicting};
pub use rules::RuleInForce;

use crate::hub::Hub;
use crate::metrics::Metrics;
use auth::{Auth, AuthError, AuthOptions, Limiter, Quota};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread::JoinHandle;
use std::time::Duration;
use tls::{Acceptor, TlsError, TlsFiles};
use tokio::sync::{Semaphore, watch};

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Address to listen on; port 0 takes any free one.
    pub addr: SocketAddr,
    /// Another address where only metrics are.
    pub metrics: Option<SocketAddr>,
    /// Who may ask; `None` lets everybody do everything.
    pub auth: Option<AuthOptions>,
    /// How often somebody may ask.
    pub quota: Option<Quota>,
    /// Certificate and key; `None` serves without TLS.
    pub tls: Option<TlsFiles>,
    /// Names besides `localhost` under which a loopback server may be addressed.
    pub allowed_hosts: Vec<String>,
    /// Origins of other sites whose pages may read and open a WebSocket, such as `https://dashboard.example.com`.
    pub allowed_origins: Vec<String>,
    /// Most open connections; others wait to be accepted.
    pub max_connections: usize,
    /// How long a request's head may take, and how long its body; an idle connection is closed after as long.
    pub patience: Duration,
    /// Threads that answer.
    pub workers: usize,
    /// How long a shutdown waits for answers under way.
    pub drain: Duration,
    /// WebSocket limits.
    pub socket: SocketLimits,
    /// Which views answer the routes of the first systems; `None` serves none of those.
    pub compat: Option<CompatRoutes>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics: None,
            auth: None,
            quota: None,
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_connections: 16_384,
            patience: Duration::from_secs(30),
            workers: 2,
            drain: Duration::from_secs(5),
            socket: SocketLimits::default(),
            compat: None,
        }
    }
}

/// Limits of WebSocket connections and of streams of events.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Most of both that are open.
    pub clients: usize,
    /// Most subscriptions of one connection.
    pub subscriptions: usize,
    /// Greatest frame a client may send, in bytes.
    pub frame_bytes: usize,
    /// Frames that cannot be understood before the connection is closed.
    pub bad_frames: usize,
    /// Most rows of a snapshot.
    pub snapshot_rows: usize,
    /// A client this many deltas behind gets a fresh snapshot instead.
    pub deltas_behind: usize,
    /// Snapshots in a row, each instead of what was missed, before the connection is closed.
    pub resyncs: usize,
    /// How long one frame may take to be taken by the network.
    pub send_timeout: Duration,
    /// Time between pings; a client that answers none of two is gone.
    pub heartbeat: Duration,
    /// Longest time between `progress` frames while nothing a client subscribed to changes.
    pub progress: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        SocketLimits {
            clients: 12_000,
            subscriptions: 64,
            frame_bytes: 64 << 10,
            bad_frames: 10,
            snapshot_rows: 50_000,
            deltas_behind: 256,
            resyncs: 3,
            send_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            progress: Duration::from_secs(1),
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else listens there.
    #[error(
        "could not listen on {addr}: the address is in use{}; stop the program that holds it or set another port",
        alternative.map(|a| format!(" ({a} is free)")).unwrap_or_default()
    )]
    AddressInUse {
        /// The address asked for.
        addr: SocketAddr,
        /// A free one nearby.
        alternative: Option<SocketAddr>,
    },
    /// The address cannot be bound.
    #[error("could not listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody could be let in as configured.
    #[error("could not set up who may ask: {0}")]
    Auth(#[from] AuthError),
    /// The certificate or its key cannot be used.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] TlsError),
    /// No threads to serve on.
    #[error("could not start the threads of the server on {addr}: {source}")]
    Threads {
        /// The address asked for.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A running server. Dropping it stops it without waiting.
pub struct ServerHandle {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nothing new, tells WebSocket clients where to resume, lets answers under way finish, and returns when all
    /// is closed or the drain time is over.
    pub fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread had panicked");
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Waits until the server is asked to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The handle sends before it goes, so an error means the same.
    drop(stop.wait_for(|stop| *stop).await);
}

/// What handlers share.
pub(crate) struct Shared {
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    health: Arc<dyn Health>,
    options: ServeOptions,
    auth: Option<Auth>,
    /// Whether the port speaks TLS.
    secure: bool,
    limiter: Option<Limiter>,
    stop: watch::Receiver<bool>,
    /// Connections and WebSocket sessions still open.
    open: AtomicUsize,
    sockets: AtomicUsize,
    rooms: compat::Rooms,
    requests: AtomicU64,
    exports: Arc<Semaphore>,
    boot: i64,
}

/// A handle on [`Shared`] for handlers.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// Data routes answer as soon as there is something to answer from: the first tick, or an engine that says it is
    /// ready and simply has nothing yet.
    fn require_served(&self) -> Result<(), ApiError> {
        if self.hub.tick().is_some() {
            return Ok(());
        }
        let report = self.health.report();
        if report.ready {
            return Ok(());
        }
        let message = "The engine is not ready yet: nothing has been served";
        Err(
            ApiError::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", message)
                .with(serde_json::json!({ "reasons": report.reasons })),
        )
    }
}

/// Starts serving on threads of its own.
///
/// # Errors
/// [`ServeError`] if the address cannot be had or no thread can be started.
pub fn serve(
    mut options: ServeOptions,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    health: Arc<dyn Health>,
) -> Result<ServerHandle, ServeError> {
    let asked = options.addr;
    let auth = options.auth.take().map(Auth::new).transpose()?;
    let acceptor = options.tls.take().map(Acceptor::open).transpose()?;
    let listener = listener::bind(asked)?;
    let metrics_listener = options.metrics.map(listener::bind).transpose()?;
    let threads = |source| ServeError::Threads { addr: asked, source };
    let addr = listener.local_addr().map_err(threads)?;
    if !addr.ip().is_loopback() && auth.is_none() {
        tracing::warn!(%addr, "listening beyond this host, and whoever reaches it may do everything");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.workers.max(1))
        .max_blocking_threads(8)
        .thread_name("groundswell-http")
        .enable_all()
        .build()
        .map_err(threads)?;
    let (stop, stopping) = watch::channel(false);
    let app = App(Arc::new(Shared {
        hub,
        metrics,
        health,
        limiter: options.quota.map(Limiter::new),
        auth,
        secure: acceptor.is_some(),
        options,
        stop: stopping,
        open: AtomicUsize::new(0),
        sockets: AtomicUsize::new(0),
        rooms: compat::Rooms::default(),
        requests: AtomicU64::new(0),
        exports: Arc::new(Semaphore::new(export::MOST)),
        boot: groundswell_core::time::wall_now(),
    }));
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(threads)?
    };
    if let Some(listener) = metrics_listener {
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(threads)?;
        runtime.spawn(listener::only_metrics(listener, app.clone()));
    }
    let thread = std::thread::Builder::new()
        .name("groundswell-serve".into())
        .spawn(move || {
            runtime.block_on(listener::run(listener, acceptor, app));
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
        .map_err(threads)?;
    Ok(ServerHandle {
        addr,
        stop,
        thread: Some(thread),
    })
}

#[cfg(test)]
mod tests;
