//! `/ws/sentiment`, `/ws/thread/{thread}` and `/ws/notifications/{user}`: rooms in which everybody hears the same.
//!
//! A room is a task that follows the hub and puts each frame once into a bounded channel; everybody in it takes from there.
//! Who does not take loses the oldest frames, and nobody waits for them: every frame stands for itself. A room without
//! anybody in it ends. What a client says only shows that it is there.

use super::room::{Place, Room, Wanted};
use super::{sentiment_views, tenancy, thread_views, visible};
use crate::http::api::answers::{BadRequest, ErrorBody, Guarded, NotFound};
use crate::http::api::params::OfThread;
use crate::http::api::shapes::RoomFrame;
use crate::http::auth::{Principal, SUBPROTOCOL, Tenancy};
use crate::http::error::ApiError;
use crate::http::listener::Open;
use crate::http::posts::may_be_seen;
use crate::http::query::Params;
use crate::http::ws::{self, Seat};
use crate::http::{App, stopped};
use crate::hub::feeds::news::What;
use crate::hub::filter::Invalid;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::id::Dim;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Most rooms open at once.
const MOST: usize = 1_024;
/// Most of them in which one user is told what happened to them.
const MOST_PERSONAL: usize = 12_000;
/// New posts that wait for somebody slow.
const WAITING: usize = 256;
/// States of a thread that wait: the next one says everything.
const STATES: usize = 2;
/// Most users muted in one room.
const MOST_MUTES: usize = 500;
/// How often the card is sent.
const REGULARLY: Duration = Duration::from_secs(10);
/// Least time between two states of a thread.
const PACE: Duration = Duration::from_millis(250);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Key = (Place, Option<Tenancy>);

/// The rooms somebody is in.
#[derive(Default)]
pub(in crate::http) struct Rooms(Mutex<HashMap<Key, Sender<Utf8Bytes>>>);

impl Rooms {
    /// Comes into a room; the first one opens it.
    fn enter(app: &App, key: Key) -> Result<Receiver<Utf8Bytes>, ApiError> {
        let mut rooms = app.rooms.0.lock();
        if let Some(room) = rooms.get(&key) {
            return Ok(room.subscribe());
        }
        let personal = |place: &Place| matches!(place, Place::Notifications(_));
        let alike = rooms
            .keys()
            .filter(|(place, _)| personal(place) == personal(&key.0))
            .count();
        if alike >= if personal(&key.0) { MOST_PERSONAL } else { MOST } {
            let message = "There are as many rooms as allowed";
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "TOO_MANY_ROOMS",
                message,
            ));
        }
        let (sender, receiver) = broadcast::channel(match key.0 {
            Place::Sentiment | Place::Notifications(_) => WAITING,
            Place::Thread(_) => STATES,
        });
        rooms.insert(key.clone(), sender.clone());
        tokio::spawn(keep(app.clone(), key, sender));
        Ok(receiver)
    }

    /// Closes a room that nobody is in; whether it did.
    fn close(app: &App, key: &Key, sender: &Sender<Utf8Bytes>) -> bool {
        // Under the lock nobody comes in meanwhile.
        let mut rooms = app.rooms.0.lock();
        let empty = sender.receiver_count() == 0;
        if empty {
            rooms.remove(key);
        }
        empty
    }
}

/// Speaks in a room until nobody is in it.
async fn keep(app: App, key: Key, sender: Sender<Utf8Bytes>) {
    let (place, tenancy) = key.clone();
    let paced = matches!(place, Place::Thread(_));
    let mut room = Room::new(app.clone(), place, tenancy);
    let mut ticks = app.hub.ticks();
    let mut stop = app.stop.clone();
    let mut regularly = interval(REGULARLY);
    regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick of an interval is at once; who comes in is told the state anyway.
    regularly.tick().await;
    loop {
        let frames = tokio::select! {
            () = stopped(&mut stop) => return,
            changed = ticks.changed() => {
                if changed.is_err() {
                    return;
                }
                // A large view is looked through: not while others wait for this thread.
                tokio::task::block_in_place(|| room.news())
            }
            _ = regularly.tick() => tokio::task::block_in_place(|| room.regularly().into_iter().collect()),
        };
        if Rooms::close(&app, &key, &sender) {
            return;
        }
        let any = !frames.is_empty();
        for frame in frames {
            // Nobody may be left to hear it.
            drop(sender.send(frame));
        }
        if any && paced {
            sleep(PACE).await;
        }
    }
}

/// WebSocket: new posts as they are scored, and their numbers every 10 seconds.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. Whatever a client says only shows that it
/// is there. A client that is slow misses frames. total_posts is the sum of the three labels, over the hours that
/// /api/sentiment/distribution answers with when not asked for any.
#[utoipa::path(
    get,
    path = "/ws/sentiment",
    tag = "first systems",
    operation_id = "get_ws_sentiment",
    responses(
        (status = 101, description = "Upgraded. Frames are JSON texts; each stands for itself.", body = Vec<RoomFrame>),
        NotFound, (status = 426, description = "The request does not ask for a WebSocket.", body = ErrorBody), (status = 503, description = "As many clients as allowed.", body = ErrorBody), Guarded
    )
)]
pub(in crate::http) async fn sentiment(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let views = sentiment_views(&app)?;
    let tenancy = tenancy(&app, &who);
    if let Some((_, index)) = views.distribution.first() {
        visible(&app, *index, tenancy)?;
    }
    come_in(app, who, &headers, upgrade, (Place::Sentiment, tenancy))
}

/// What happens to a user: likes, reposts and comments of their posts, followers, mentions by name.
#[utoipa::path(
    get,
    path = "/ws/notifications/{user}",
    tag = "feeds",
    operation_id = "get_ws_notifications",
    params(
        ("user" = String, Path, description = "Who is told."),
        ("kind" = Option<Vec<String>>, Query, description = "Of these only: like, repost, comment, follow, mention."),
        ("mute" = Option<Vec<String>>, Query, description = "Of nothing that these users do.")
    ),
    responses(
        (status = 101, description = "Upgraded. Frames are JSON texts; each stands for itself.", body = Vec<RoomFrame>),
        BadRequest, NotFound, (status = 426, description = "The request does not ask for a WebSocket.", body = ErrorBody), (status = 503, description = "As many clients as allowed.", body = ErrorBody), Guarded
    )
)]
pub(in crate::http) async fn notifications(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    user: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if app.hub.feed_options().is_none() {
        return Err(super::not_configured("serve.routes.feeds"));
    }
    may_be_seen(&app)?;
    let tenancy = tenancy(&app, &who);
    let Path(user) = user.map_err(|error| ApiError::not_found(error.body_text()))?;
    let params = Params::parse(&uri, &["kind", "mute"])?;
    let of = |wanted: &'static str| params.iter().filter(move |(name, _)| *name == wanted);
    let known = What::ALL.map(|(name, _)| name);
    let mut kinds = Vec::new();
    for (name, value) in of("kind") {
        let kind = What::ALL.into_iter().find(|(known, _)| *known == value);
        kinds.push(kind.ok_or_else(|| Invalid::value(name, value, &known))?.1);
    }
    if kinds.is_empty() {
        kinds = What::ALL.map(|(_, what)| what).to_vec();
    }
    let mutes: BTreeSet<Dim> = of("mute").map(|(_, user)| Dim::of(user)).collect();
    if mutes.len() > MOST_MUTES {
        return Err(Invalid::value("mute", "…", &[&format!("at most {MOST_MUTES} users")]).into());
    }
    let user = user.into();
    let wanted = Wanted { user, kinds, mutes };
    come_in(
        app,
        who,
        &headers,
        upgrade,
        (Place::Notifications(wanted.into()), tenancy),
    )
}

/// WebSocket: a thread's whole cast whenever it changes.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. The rows are those of
/// /api/threads/{thread}/cast; at most four frames a second.
#[utoipa::path(
    get,
    path = "/ws/thread/{thread}",
    tag = "first systems",
    operation_id = "get_ws_thread_thread",
    params(OfThread),
    responses(
        (status = 101, description = "Upgraded. Frames are JSON texts; each stands for itself.", body = Vec<RoomFrame>),
        NotFound, (status = 426, description = "The request does not ask for a WebSocket.", body = ErrorBody), (status = 503, description = "As many clients as allowed.", body = ErrorBody), Guarded
    )
)]
pub(in crate::http) async fn thread(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    thread: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let index = thread_views(&app)?
        .cast
        .ok_or_else(|| super::not_configured("serve.routes.threads.cast"))?;
    let tenancy = tenancy(&app, &who);
    visible(&app, index, tenancy)?;
    let Path(thread) = thread.map_err(|error| ApiError::not_found(error.body_text()))?;
    come_in(app, who, &headers, upgrade, (Place::Thread(thread.into()), tenancy))
}

fn come_in(
    app: App,
    who: Principal,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    key: Key,
) -> Result<Response, ApiError> {
    let (upgrade, seat) = ws::admit(&app, headers, upgrade)?;
    // Before the upgrade, so that a refusal is an answer.
    let room = Rooms::enter(&app, key.clone())?;
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .on_upgrade(move |socket| listen(app, who, socket, key, room, seat)))
}

/// Why a connection ends.
enum Over {
    Gone,
    Close(u16, &'static str, Option<&'static str>),
}

async fn listen(
    app: App,
    who: Principal,
    mut socket: WebSocket,
    key: Key,
    mut room: Receiver<Utf8Bytes>,
    seat: (Seat, Open),
) {
    let client = app.metrics.websocket_client();
    if let Err(Over::Close(code, reason, counted)) = serve(&app, &who, &mut socket, &key, &mut room).await {
        if let Some(counted) = counted {
            app.metrics.websocket_dropped(counted);
        }
        let close = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        // Who takes nothing will not take this either.
        drop(timeout(CLOSE_TIMEOUT, socket.send(close)).await);
    }
    drop((client, seat));
}

/// Runs until the connection is over; never returns `Ok`.
async fn serve(
    app: &App,
    who: &Principal,
    socket: &mut WebSocket,
    (place, tenancy): &Key,
    room: &mut Receiver<Utf8Bytes>,
) -> Result<std::convert::Infallible, Over> {
    let limits = &app.options.socket;
    let mut stop = app.stop.clone();
    let mut heartbeat = interval(limits.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let welcome = tokio::task::block_in_place(|| Room::welcome(app, place, *tenancy));
    for frame in welcome {
        send(app, socket, Message::Text(frame)).await?;
    }
    let mut expired = std::pin::pin!(who.expired());
    loop {
        tokio::select! {
            () = &mut expired => {
                return Err(Over::Close(close_code::POLICY, "the token has expired", Some("expired")));
            }
            () = stopped(&mut stop) => return Err(Over::Close(close_code::AWAY, "shutting down", None)),
            message = socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Gone),
                    Some(Ok(_)) => {}
                }
            }
            frame = room.recv() => match frame {
                Ok(frame) => send(app, socket, Message::Text(frame)).await?,
                // It was slow; what comes next stands for itself.
                Err(RecvError::Lagged(_)) => app.metrics.websocket_resync(),
                Err(RecvError::Closed) => return Err(Over::Close(close_code::AWAY, "shutting down", None)),
            },
            _ = heartbeat.tick() => {
                if heard.elapsed() > limits.heartbeat * 2 + limits.heartbeat / 2 {
                    return Err(Over::Close(close_code::AWAY, "no answer to pings", Some("silent")));
                }
                send(app, socket, Message::Ping(axum::body::Bytes::new())).await?;
            }
        }
    }
}

async fn send(app: &App, socket: &mut WebSocket, message: Message) -> Result<(), Over> {
    let is_frame = matches!(message, Message::Text(_));
    match timeout(app.options.socket.send_timeout, socket.send(message)).await {
        Ok(Ok(())) => {
            app.metrics.websocket_frames(u64::from(is_frame));
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
