//! `/api/v1/events`: one feed as server-sent events (HTML Living Standard, 9.2), for `curl -N` and `EventSource`.
//!
//! In: a feed, its filter and a tick to go on from, in the query; or the last event's id, as browsers send it when they come
//! back. Out: the frames of `/ws` in JSON, each as an event named after its type, but that an error is a `problem`, as
//! `EventSource` calls lost connections `error`. The id of an event is the tick up to which its reader has everything, so
//! that coming back with it neither misses nor repeats anything. State: a [`Session`] with one subscription, one event being
//! made and one being sent; what a slow reader misses stays in the hub, and one that takes nothing is let go.

use super::api::answers::{BadRequest, ErrorBody, Guarded, NotFound};
use super::api::params::{Groups, Windows};
use super::auth::Principal;
use super::error::ApiError;
use super::query::Params;
use super::ws::Seat;
use super::ws::frames;
use super::ws::session::{End, Session};
use super::{App, stopped};
use crate::hub::filter::Invalid;
use crate::hub::frame::{Encoding, Frame, Kind};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use groundswell_core::time::Tick;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Told to browsers: how long to wait before coming back.
const RETRY: Duration = Duration::from_secs(2);

/// Server-sent events: a view, the newest posts (_posts), the alerts (_alerts) or keyword events (_events), and changes.
///
/// The frames of /ws in JSON, each as an event named after its type (snapshot, delta, progress, resumed, resync);
/// an error after the beginning is a problem event. The id of an event is the tick up to which everything was sent:
/// whoever comes back with it (Last-Event-ID, or from) gets a resumed event and what was missed, or, if that is too
/// long ago, a resync event and a fresh snapshot. Comments are heartbeats. Further parameters filter: the group
/// columns of a view, since and until of one with fixed windows; thread, entity, source and author of _posts; rule,
/// state and view of _alerts; those of /api/v1/tge-events for _events.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "push",
    operation_id = "get_events",
    params(("view" = String, Query, description = "Name of a view, _posts, _alerts or _events."), Groups, Windows, ("from" = Option<u64>, Query, description = "The tick up to which the client has everything."), ("Last-Event-ID" = Option<u64>, Header, description = "The same, as browsers send it; stands above from.")),
    responses(
        (status = 200, description = "The stream, until the client, its token or the server ends.", content_type = "text/event-stream", body = String),
        NotFound, BadRequest, (status = 503, description = "As many clients that follow feeds as allowed.", body = ErrorBody), Guarded
    )
)]
pub async fn stream(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (view, filter, from) = asked(&uri, &headers)?;
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that collect answers would keep events to themselves.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let seat = Seat::take(&app)?;
    let shared = (Arc::clone(&app.hub), Arc::clone(&app.metrics));
    let limits = app.options.socket.clone();
    let mut session = Session::new(shared, limits, who.tenancy(&app), Encoding::Json);
    session.subscribe(None, &view, &filter, from)?;
    if method == Method::HEAD {
        return Ok(head.into_response());
    }
    let (to_client, events) = mpsc::channel(1);
    tokio::spawn(async move {
        let open = app.metrics.websocket_client();
        let mut reader = Reader {
            app: app.clone(),
            session,
            to_client,
        };
        reader.serve(who).await;
        drop((open, seat));
    });
    let events = futures::stream::unfold(events, |mut events: mpsc::Receiver<Event>| async move {
        let event = events.recv().await?;
        Some((
            futures::stream::iter(event.map(Ok::<_, std::convert::Infallible>)),
            events,
        ))
    });
    Ok((head, Body::from_stream(events.flatten())).into_response())
}

/// The feed, its filter as a subscription has it, and the tick to go on from.
type Asked = (String, Map<String, Value>, Option<Tick>);

fn asked(uri: &Uri, headers: &HeaderMap) -> Result<Asked, ApiError> {
    let params = Params::any(uri)?;
    let view = params.one("view")?;
    let view = view.ok_or_else(|| Invalid::value("view", "", &["the name of a view, _posts, _alerts or _events"]))?;
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    // Who comes back asks with the address it asked with before.
    let (name, from) = match last.filter(|id| !id.is_empty()) {
        Some(id) => ("Last-Event-ID", Some(id)),
        None => ("from", params.one("from")?),
    };
    let from = from
        .map(|text| {
            text.parse::<Tick>()
                .map_err(|_| Invalid::value(name, text, &["the tick of an earlier event"]))
        })
        .transpose()?;
    let mut filter = Map::new();
    for (name, value) in params.iter().filter(|(name, _)| !["view", "from"].contains(name)) {
        if ["since", "until"].contains(&name) {
            params.one(name)?;
            filter.insert(name.to_owned(), value.into());
            continue;
        }
        let value = match value {
            "" => Value::Null,
            value => value.into(),
        };
        if let Some(values) = filter
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()))
            .as_array_mut()
        {
            values.push(value);
        }
    }
    Ok((view.to_owned(), filter, from))
}

/// What goes before the data, the data, and what goes after it. The data is shared with other clients.
type Event = [Bytes; 3];

fn event(frame: Frame) -> Event {
    let name = match frame.kind {
        Kind::Error => "problem",
        kind => kind.name(),
    };
    let id = frame.at.map(|at| format!("id: {at}\n")).unwrap_or_default();
    [
        format!("{id}event: {name}\ndata: ").into(),
        frame.into(),
        Bytes::from_static(b"\n\n"),
    ]
}

/// The stream is over.
struct Over;

struct Reader {
    app: App,
    session: Session,
    to_client: mpsc::Sender<Event>,
}

impl Reader {
    async fn serve(&mut self, who: Principal) {
        let limits = self.app.options.socket.clone();
        let mut ticks = self.app.hub.ticks();
        let mut stop = self.app.stop.clone();
        let mut heartbeat = interval(limits.heartbeat);
        let mut progress = interval(limits.progress);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hello = format!("retry: {}\n\n", RETRY.as_millis());
        let mut going = self.send([hello.into(), Bytes::new(), Bytes::new()]).await;
        while going.is_ok() {
            let closed = self.to_client.clone();
            going = tokio::select! {
                () = stopped(&mut stop) => Err(Over),
                () = closed.closed() => Err(Over),
                () = who.expired() => {
                    let message = "The token has expired: come back with another one";
                    let error = ApiError::new(StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED", message);
                    self.app.metrics.websocket_dropped("expired");
                    self.send(event(frames::error(Encoding::Json, &error, None))).await.and(Err(Over))
                }
                changed = ticks.changed() => match changed {
                    Ok(()) => self.flush(false).await,
                    Err(_) => Err(Over),
                },
                _ = progress.tick() => self.flush(true).await,
                _ = heartbeat.tick() => self.send([Bytes::from_static(b":\n\n"), Bytes::new(), Bytes::new()]).await,
            };
        }
    }

    /// Sends whatever the reader has missed, then how far it is.
    async fn flush(&mut self, progress: bool) -> Result<(), Over> {
        let mut changed = self.send_all().await?;
        let upto = self.app.hub.tick().unwrap_or(0);
        self.session.pull(0, upto);
        changed |= self.send_all().await?;
        if let Some(frame) = (changed || progress).then(|| self.session.progress()).flatten() {
            self.send(event(frame)).await?;
        }
        match self.session.end() {
            None if self.session.subscriptions() > 0 => Ok(()),
            // A snapshot that would be too large ends the only subscription; it was said why.
            None | Some(End::Malformed) => Err(Over),
            Some(End::Slow) => {
                self.app.metrics.websocket_dropped("slow");
                Err(Over)
            }
        }
    }

    async fn send_all(&mut self) -> Result<bool, Over> {
        let frames = self.session.take();
        let any = !frames.is_empty();
        for frame in frames {
            self.send(event(frame)).await?;
        }
        Ok(any)
    }

    async fn send(&self, event: Event) -> Result<(), Over> {
        let is_frame = !event[1].is_empty();
        match timeout(self.app.options.socket.send_timeout, self.to_client.send(event)).await {
            Ok(Ok(())) => {
                self.app.metrics.websocket_frames(u64::from(is_frame));
                Ok(())
            }
            Ok(Err(_)) => Err(Over),
            Err(_) => {
                self.app.metrics.websocket_dropped("stuck");
                Err(Over)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_subscription() {
        let of = |query: &str, last: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(last) = last {
                headers.insert(LAST_EVENT_ID, last.parse().expect("a header"));
            }
            let uri: Uri = format!("/api/v1/events?{query}").parse().expect("an address");
            asked(&uri, &headers).map(|(view, filter, from)| (view, Value::from(filter).to_string(), from))
        };
        assert_eq!(of("view=v", None), Ok(("v".into(), "{}".into(), None)));
        assert_eq!(
            of("view=v&entity=a&entity=&since=5&from=7", None),
            Ok(("v".into(), r#"{"entity":["a",null],"since":"5"}"#.into(), Some(7)))
        );
        assert_eq!(of("view=v&from=7", Some("9")).map(|(_, _, from)| from), Ok(Some(9)));
        assert_eq!(of("view=v&from=7", Some("")).map(|(_, _, from)| from), Ok(Some(7)));
        for bad in [
            "",
            "view=v&view=w",
            "view=v&from=x",
            "view=v&from=-1",
            "view=v&since=1&since=2",
        ] {
            let error = of(bad, None).expect_err(bad);
            assert_eq!((error.status.as_u16(), error.code), (400, "INVALID_PARAMETER"), "{bad}");
        }
        assert!(of("view=v", Some("x")).is_err());
    }
}
