//! `/ws`: one task per client that moves frames between the network and a [`Session`].
//!
//! In: frames of the client, "tick T is complete" from the hub. Frames are JSON texts, or MessagePack for a client that asks for
//! it. Out: frames, in order. State: the session. The task
//! pulls what its client has missed whenever the network takes more, so a client that does not read keeps one frame
//! waiting, not a queue; when even that one waits too long the client is dropped.

pub(super) mod frames;
mod request;
pub(super) mod session;

use super::api::answers::{BadRequest, ErrorBody, Guarded};
use super::api::params::FrameEncoding;
use super::api::shapes;
use super::auth::{Principal, SUBPROTOCOL};
use super::error::ApiError;
use super::listener::Open;
use super::query::Params;
use super::{App, guard, stopped};
use crate::hub::filter::Invalid;
use crate::hub::frame::{Encoding, Frame};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use futures::SinkExt;
use session::{End, Session};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// The subprotocol of clients that want MessagePack.
const BINARY_SUBPROTOCOL: &str = "groundswell.msgpack";
/// After a client said something, `progress` waits this long: what it says next may be another subscription, and progress
/// speaks for all of those it has by then.
const GRACE: Duration = Duration::from_millis(20);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is read from a client at once, in bytes; longer frames are put together.
const READ_BUFFER: usize = 4 << 10;

/// WebSocket: a view, the newest posts (_posts), the alerts (_alerts) or keyword events (_events), and changes.
///
/// Send {"op":"subscribe","view":…,"id":…,"filter":{column: value | [values] | null, since, until},"from":T|null}
/// and {"op":"unsubscribe","id"|"view":…}. Rows of a frame replace those with the same key columns (named in the
/// snapshot); keys in gone are removed. progress at T: everything up to T has been sent for the subscriptions
/// answered on this connection, by a snapshot or, with from, by a resumed frame; continue later with from: T, and
/// if that is too long ago, a resync frame and a fresh snapshot come. Frames of sliding views carry window_start
/// and window_end, which hold for every row. _events takes the filters of /api/v1/tge-events.
#[utoipa::path(
    get,
    path = "/ws",
    tag = "push",
    operation_id = "get_ws",
    params(("encoding" = inline(Option<FrameEncoding>), Query, description = "How frames are written, json if not said; the subprotocol groundswell.msgpack asks for MessagePack too. Such a client may send its own frames as text or as binary MessagePack.")),
    responses(
        (status = 101, description = "Upgraded. Frames are JSON texts, or MessagePack in binary frames: the same maps, one after another.", body = Vec<shapes::Frame>),
        BadRequest, (status = 426, description = "The request does not ask for a WebSocket.", body = ErrorBody), (status = 503, description = "As many clients that follow feeds as allowed.", body = ErrorBody), Guarded
    )
)]
pub async fn upgrade(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let (upgrade, seat) = admit(&app, &headers, upgrade)?;
    let asked = encoding(&uri)?;
    let upgrade = upgrade.protocols([BINARY_SUBPROTOCOL, SUBPROTOCOL]);
    let binary = upgrade.selected_protocol().is_some_and(|p| p == BINARY_SUBPROTOCOL);
    let encoding = asked.unwrap_or(if binary { Encoding::MessagePack } else { Encoding::Json });
    Ok(upgrade.on_upgrade(move |socket| async move {
        let client = app.metrics.websocket_client();
        Client::new(app.clone(), who, socket, encoding).run().await;
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
) -> Result<(WebSocketUpgrade, (Seat, Open)), ApiError> {
    if !guard::same_origin(headers, &app.options.allowed_origins) {
        let message = "Pages of this origin may not subscribe: add it to the allowed origins";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", message));
    }
    let upgrade = upgrade
        .map_err(|rejection| ApiError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", rejection.body_text()))?;
    let seat = Seat::take(app)?;
    let bytes = app.options.socket.frame_bytes;
    let upgrade = upgrade
        .max_message_size(bytes)
        .max_frame_size(bytes)
        // Clients say little: the default of 128 KiB is most of what a connection takes, and nearly all of it stays empty.
        .read_buffer_size(READ_BUFFER);
    Ok((upgrade, (seat, Open::new(app))))
}

/// The encoding that the address asks for.
fn encoding(uri: &Uri) -> Result<Option<Encoding>, ApiError> {
    match Params::parse(uri, &["encoding"])?.one("encoding")? {
        None => Ok(None),
        Some("json") => Ok(Some(Encoding::Json)),
        Some("msgpack") => Ok(Some(Encoding::MessagePack)),
        Some(other) => Err(Invalid::value("encoding", other, &["json", "msgpack"]).into()),
    }
}

/// A place among those who follow feeds.
pub(super) struct Seat(App);

impl Seat {
    /// Takes one.
    ///
    /// # Errors
    /// 503 if all are taken.
    pub(super) fn take(app: &App) -> Result<Self, ApiError> {
        if app.sockets.fetch_add(1, Ordering::AcqRel) >= app.options.socket.clients {
            app.sockets.fetch_sub(1, Ordering::AcqRel);
            app.metrics.websocket_dropped("full");
            let message = "There are as many clients that follow feeds as allowed";
            let full = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_CLIENTS", message);
            return Err(full);
        }
        Ok(Seat(app.clone()))
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
    who: Principal,
    socket: WebSocket,
    session: Session,
    heard: Instant,
    /// No `progress` before this.
    quiet: Instant,
    /// A `progress` is due even if nothing changes.
    owed: bool,
}

impl Client {
    fn new(app: App, who: Principal, socket: WebSocket, encoding: Encoding) -> Self {
        let shared = (Arc::clone(&app.hub), Arc::clone(&app.metrics));
        let session = Session::new(shared, app.options.socket.clone(), who.tenancy(&app), encoding);
        Client {
            app,
            who,
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
        let who = self.who.clone();
        let mut expired = std::pin::pin!(who.expired());
        loop {
            tokio::select! {
                () = &mut expired => {
                    return Err(Over::Close(close_code::POLICY, "the token has expired", Some("expired")));
                }
                () = stopped(&mut stop) => return Err(Over::Close(close_code::AWAY, "shutting down", None)),
                message = self.socket.recv() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                            match message {
                                Message::Binary(bytes) => self.session.binary(&bytes),
                                message => self.session.text(message.to_text().unwrap_or_default()),
                            }
                            self.quiet = Instant::now() + GRACE;
                            progress.reset_after(GRACE);
                            self.flush(true).await?;
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
                    self.out().await?;
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
                self.send(frame.into()).await?;
            }
        }
        // All at once: a frame of a tick and how far it is cost one call of the system, not two.
        self.out().await?;
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
        let frames: Vec<Frame> = self.session.take();
        let any = !frames.is_empty();
        for frame in frames {
            self.send(frame.into()).await?;
        }
        Ok(any)
    }

    /// Puts a message where the network takes it from, when there is room.
    async fn send(&mut self, message: Message) -> Result<(), Over> {
        let frames = u64::from(matches!(message, Message::Text(_) | Message::Binary(_)));
        in_time(self.app.options.socket.send_timeout, self.socket.feed(message)).await?;
        self.app.metrics.websocket_frames(frames);
        Ok(())
    }

    /// Lets the network take all there is.
    async fn out(&mut self) -> Result<(), Over> {
        in_time(self.app.options.socket.send_timeout, self.socket.flush()).await
    }

    fn broken(&self, error: &axum::Error) -> Over {
        tracing::debug!(%error, "a WebSocket ended early");
        if error.to_string().contains("too long") {
            return Over::Close(close_code::SIZE, "frame too large", Some("oversized"));
        }
        Over::Gone
    }
}

/// What the network does with a frame, if it does it in time.
async fn in_time(limit: Duration, sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Over> {
    match timeout(limit, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Over::Gone),
        Err(_) => Err(Over::Close(
            close_code::AGAIN,
            "the client takes nothing",
            Some("stuck"),
        )),
    }
}
