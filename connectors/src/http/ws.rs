//! `/ws`: one task per client that moves frames between the network and a [`Session`].
//!
//! In: text frames of the client, "tick T is complete" from the hub. Out: frames, in order. State: the session. The task
//! pulls what its client has missed whenever the network takes more, so a client that does not read keeps one frame
//! waiting, not a queue; when even that one waits too long the client is dropped.

mod frames;
mod request;
mod session;

use super::auth::{Principal, SUBPROTOCOL, Tenancy};
use super::error::ApiError;
use super::listener::Open;
use super::{App, guard, stopped};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use session::{End, Session};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// After a client said something, `progress` waits this long: what it says next may be another subscription, and progress
/// speaks for all of those it has by then.
const GRACE: Duration = Duration::from_millis(20);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Upgrades a connection.
pub async fn upgrade(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let (upgrade, seat) = admit(&app, &headers, upgrade)?;
    let tenancy = who.tenancy(&app);
    Ok(upgrade.protocols([SUBPROTOCOL]).on_upgrade(move |socket| async move {
        let client = app.metrics.websocket_client();
        Client::new(app.clone(), tenancy, socket).run().await;
        drop((client, seat));
    }))
}

/// Lets a connection in, if the page it comes from may have it and there is room.
///
/// # Errors
/// Why not, as an answer in place of the upgrade.
pub(super) fn admit(
    app: &App,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<(WebSocketUpgrade, Seat), ApiError> {
    if !guard::same_origin(headers, &app.options.allowed_origins) {
        let message = "Pages of this origin may not subscribe: add it to the allowed origins";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", message));
    }
    let upgrade = upgrade
        .map_err(|rejection| ApiError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", rejection.body_text()))?;
    let limits = &app.options.socket;
    if app.sockets.load(Ordering::Relaxed) >= limits.clients {
        app.metrics.websocket_dropped("full");
        let message = "There are as many WebSocket clients as allowed";
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TOO_MANY_CLIENTS",
            message,
        ));
    }
    let bytes = limits.frame_bytes;
    let upgrade = upgrade.max_message_size(bytes).max_frame_size(bytes);
    Ok((upgrade, Seat::new(app)))
}

/// A place among the clients, from the upgrade on.
pub(super) struct Seat(App, #[allow(dead_code)] Open);

impl Seat {
    fn new(app: &App) -> Self {
        app.sockets.fetch_add(1, Ordering::AcqRel);
        Seat(app.clone(), Open::new(app))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a connection ends.
enum Over {
    /// The client left or the network broke.
    Gone,
    /// We end it: code, reason, and what to count it as.
    Close(u16, &'static str, Option<&'static str>),
}

struct Client {
    app: App,
    socket: WebSocket,
    session: Session,
    heard: Instant,
    /// No `progress` before this.
    quiet: Instant,
    /// A `progress` is due even if nothing changes.
    owed: bool,
}

impl Client {
    fn new(app: App, tenancy: Option<Tenancy>, socket: WebSocket) -> Self {
        let (hub, metrics) = (Arc::clone(&app.hub), Arc::clone(&app.metrics));
        let session = Session::new(hub, metrics, app.options.socket.clone(), tenancy);
        Client {
            app,
            socket,
            session,
            heard: Instant::now(),
            quiet: Instant::now(),
            owed: false,
        }
    }

    async fn run(mut self) {
        let Err(Over::Close(code, why, counted)) = self.serve().await else {
            return;
        };
        if let Some(reason) = counted {
            self.app.metrics.websocket_dropped(reason);
        }
        let reason = format!("{why}; resume from {}", self.session.resume_point());
        let close = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        // A client that takes nothing will not take this either; it knows its last progress frame.
        if timeout(CLOSE_TIMEOUT, self.socket.send(close)).await.is_err() {
            tracing::debug!("a client did not take the close frame");
        }
    }

    /// Runs until the connection is over; never returns `Ok`.
    async fn serve(&mut self) -> Result<std::convert::Infallible, Over> {
        let limits = self.app.options.socket.clone();
        let mut ticks = self.app.hub.ticks();
        let mut stop = self.app.stop.clone();
        let mut heartbeat = interval(limits.heartbeat);
        let mut progress = interval(limits.progress);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return Err(Over::Close(close_code::AWAY, "shutting down", None)),
                message = self.socket.recv() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            self.session.text(&text);
                            self.quiet = Instant::now() + GRACE;
                            progress.reset_after(GRACE);
                            self.flush(true).await?;
                        }
                        Some(Ok(Message::Binary(_))) => {
                            self.session.binary();
                            self.flush(false).await?;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) | None => return Err(Over::Gone),
                        Some(Err(error)) => return Err(self.broken(&error)),
                    }
                }
                changed = ticks.changed() => {
                    changed.map_err(|_| Over::Gone)?;
                    self.flush(false).await?;
                }
                _ = progress.tick() => self.flush(true).await?,
                _ = heartbeat.tick() => {
                    if self.heard.elapsed() > limits.heartbeat * 2 + limits.heartbeat / 2 {
                        return Err(Over::Close(close_code::AWAY, "no answer to pings", Some("silent")));
                    }
                    self.send(Message::Ping(axum::body::Bytes::new())).await?;
                }
            }
        }
    }

    /// Sends whatever the client has missed, feed by feed, then how far it is.
    async fn flush(&mut self, progress: bool) -> Result<(), Over> {
        let mut changed = self.send_all().await?;
        let upto = self.app.hub.tick().unwrap_or(0);
        for subscription in 0..self.session.subscriptions() {
            self.session.pull(subscription, upto);
            changed |= self.send_all().await?;
        }
        self.owed |= changed || progress;
        if self.owed && self.session.is_level() && Instant::now() >= self.quiet {
            self.owed = false;
            if let Some(frame) = self.session.progress() {
                self.send(Message::Text(frame)).await?;
            }
        }
        match self.session.end() {
            None => Ok(()),
            Some(End::Malformed) => Err(Over::Close(
                close_code::POLICY,
                "too many frames that cannot be understood",
                Some("malformed"),
            )),
            Some(End::Slow) => Err(Over::Close(close_code::AGAIN, "too slow", Some("slow"))),
        }
    }

    async fn send_all(&mut self) -> Result<bool, Over> {
        let frames: Vec<Utf8Bytes> = self.session.take();
        let any = !frames.is_empty();
        for frame in frames {
            self.send(Message::Text(frame)).await?;
        }
        Ok(any)
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        let is_frame = matches!(message, Message::Text(_));
        match timeout(self.app.options.socket.send_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => {
                self.app.metrics.websocket_frames(u64::from(is_frame));
                Ok(())
            }
            Ok(Err(_)) => Err(Over::Gone),
            Err(_) => Err(Over::Close(
                close_code::AGAIN,
                "the client takes nothing",
                Some("stuck"),
            )),
        }
    }

    fn broken(&self, error: &axum::Error) -> Over {
        tracing::debug!(%error, "a WebSocket ended early");
        if error.to_string().contains("too long") {
            return Over::Close(close_code::SIZE, "frame too large", Some("oversized"));
        }
        Over::Gone
    }
}
