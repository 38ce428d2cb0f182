//! What one client is subscribed to and how far it is; no network here.
//!
//! In: the client's frames, and calls to [`Session::pull`] whenever the network has room. Out: frames to send, in order.
//! State: per subscription the tick the client has everything up to. What a client has missed is looked up in the hub's
//! history when it can take it; if that is no longer there, or is more than the feed itself, a fresh snapshot replaces it.

use super::frames::{self, Held};
use super::request::{Request, Wanted};
use crate::http::SocketLimits;
use crate::http::auth::Tenancy;
use crate::http::error::{ApiError, nearest};
use crate::hub::frame::{Encoding, Frame};
use crate::hub::history::Delta;
use crate::hub::render;
use crate::hub::{ALERTS_FEED, EVENTS_FEED, Feed, Hub, Missed, POSTS_FEED};
use crate::metrics::Metrics;
use axum::http::StatusCode;
use groundswell_core::time::{EventTime, Tick};
use serde_json::json;
use std::sync::Arc;

/// A client may be this many rows behind before the size of its feed matters.
const ROWS_BEHIND: usize = 4_096;
const ID_CHARS: usize = 64;

/// Why a session has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Too many frames that could not be understood.
    Malformed,
    /// Too many snapshots in a row instead of what was missed.
    Slow,
}

struct Subscription {
    /// As the client named it, or the feed's name.
    name: String,
    id: Option<String>,
    feed: Feed,
    wanted: Wanted,
    /// What the client has of posts or alerts, if it sees one tenant's only: nobody else's ids are named to it.
    held: Option<Held>,
    /// The client has everything up to here.
    at: Tick,
    /// Bounds last sent, of a sliding view.
    window: Option<(EventTime, EventTime)>,
    resyncs: usize,
}

/// One client.
pub struct Session {
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    limits: SocketLimits,
    tenancy: Option<Tenancy>,
    encoding: Encoding,
    subscriptions: Vec<Subscription>,
    out: Vec<Frame>,
    bad_frames: usize,
    told: Tick,
    end: Option<End>,
}

impl Session {
    /// A client that just connected.
    pub fn new(
        (hub, metrics): (Arc<Hub>, Arc<Metrics>),
        limits: SocketLimits,
        tenancy: Option<Tenancy>,
        encoding: Encoding,
    ) -> Self {
        let (subscriptions, out) = (Vec::new(), Vec::new());
        Session {
            hub,
            metrics,
            limits,
            tenancy,
            encoding,
            subscriptions,
            out,
            bad_frames: 0,
            told: 0,
            end: None,
        }
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// The frames to send now.
    pub fn take(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.out)
    }

    /// Whether the session has to end.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The tick the client has everything up to.
    pub fn resume_point(&self) -> Tick {
        self.subscriptions
            .iter()
            .map(|s| s.at)
            .min()
            .unwrap_or_else(|| self.hub.tick().unwrap_or(0))
    }

    /// Whether all feeds of the client are at one tick.
    pub fn is_level(&self) -> bool {
        self.subscriptions.windows(2).all(|pair| pair[0].at == pair[1].at)
    }

    /// A text frame came.
    pub fn text(&mut self, text: &str) {
        let request = serde_json::from_str(text).map_err(|error| error.to_string());
        self.hear(request);
    }

    /// A binary frame came.
    pub fn binary(&mut self, bytes: &[u8]) {
        match self.encoding {
            Encoding::Json => self.bad("Frames must be text"),
            Encoding::MessagePack => {
                let request = rmp_serde::from_slice(bytes).map_err(|error| error.to_string());
                self.hear(request);
            }
        }
    }

    fn hear(&mut self, request: Result<Request, String>) {
        match request {
            Ok(Request::Subscribe { id, view, filter, from }) => {
                if let Err(error) = self.subscribe(id.clone(), &view, &filter.unwrap_or_default(), from) {
                    let frame = frames::error(self.encoding, &error, Some(id.as_deref().unwrap_or(&view)));
                    self.out.push(frame);
                }
            }
            Ok(Request::Unsubscribe { id, view }) => self.unsubscribe(id, view),
            Err(error) => self.bad(&format!("The frame could not be understood: {error}")),
        }
    }

    fn bad(&mut self, message: &str) {
        self.bad_frames += 1;
        let allowed = [
            "{\"op\":\"subscribe\",\"view\":…}",
            "{\"op\":\"unsubscribe\",\"view\":…}",
        ];
        let left = self.limits.bad_frames.saturating_sub(self.bad_frames);
        let error = invalid("INVALID_FRAME", message).with(json!({ "allowed": allowed, "left": left }));
        self.out.push(frames::error(self.encoding, &error, None));
        if left == 0 {
            self.end = Some(End::Malformed);
        }
    }

    /// Begins a subscription.
    ///
    /// # Errors
    /// [`ApiError`] for a feed there is not, a filter it does not have, or more than is allowed.
    pub fn subscribe(
        &mut self,
        id: Option<String>,
        view: &str,
        filter: &serde_json::Map<String, serde_json::Value>,
        from: Option<Tick>,
    ) -> Result<(), ApiError> {
        let feed = self.hub.feed(view).filter(|feed| self.sees(*feed));
        let feed = feed.ok_or_else(|| self.unknown(view))?;
        if let Some(id) = id
            .as_deref()
            .filter(|id| id.is_empty() || id.chars().count() > ID_CHARS)
        {
            let details = json!({ "parameter": "id", "provided": id, "allowed": ["1 to 64 characters"] });
            return Err(invalid("INVALID_PARAMETER", "Invalid value for parameter 'id'").with(details));
        }
        let name = id.clone().unwrap_or_else(|| view.to_owned());
        if self.subscriptions.iter().any(|s| s.name == name) {
            let message = "There is a subscription of this name: unsubscribe it first, or give another id";
            return Err(invalid("ALREADY_SUBSCRIBED", message));
        }
        if self.subscriptions.len() >= self.limits.subscriptions {
            let message = format!("A connection may have {} subscriptions", self.limits.subscriptions);
            return Err(invalid("TOO_MANY_SUBSCRIPTIONS", &message));
        }
        let mut wanted = Wanted::parse(&self.hub, feed, filter)?;
        if let Some(tenancy) = self.tenancy {
            wanted.narrow(&self.hub, feed, tenancy);
        }
        let subscription = Subscription {
            name,
            id,
            feed,
            wanted,
            held: (self.tenancy.is_some() && Held::is_needed(feed)).then(Held::default),
            at: 0,
            window: None,
            resyncs: 0,
        };
        // Progress speaks for the subscriptions answered before it: this one needs its own, even at the same tick.
        self.told = 0;
        match from {
            None => {
                let subscription = self.snapshot(subscription)?;
                self.subscriptions.push(subscription);
            }
            Some(from) => match self.hub.since(feed, from, Tick::MAX) {
                // What a tenant's client held before it came back is not known here.
                Missed::Deltas { .. } if subscription.held.is_none() => {
                    self.out
                        .push(frames::resumed(self.encoding, subscription.id.as_deref(), view, from));
                    self.subscriptions.push(Subscription {
                        at: from,
                        ..subscription
                    });
                }
                Missed::Deltas { .. } | Missed::TooMuch => {
                    self.out
                        .push(frames::resync(self.encoding, subscription.id.as_deref(), view, from));
                    let subscription = self.snapshot(subscription)?;
                    self.subscriptions.push(subscription);
                }
            },
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: Option<String>, view: Option<String>) {
        let Some(name) = id.or(view) else {
            return self.bad("`unsubscribe` needs the id or the view");
        };
        match self.subscriptions.iter().position(|s| s.name == name) {
            Some(at) => {
                let subscription = self.subscriptions.remove(at);
                let view = self.hub.feed_name(subscription.feed);
                self.out
                    .push(frames::unsubscribed(self.encoding, subscription.id.as_deref(), view));
            }
            None => {
                let error = invalid("NOT_SUBSCRIBED", "There is no subscription of this name");
                self.out.push(frames::error(self.encoding, &error, Some(&name)));
            }
        }
    }

    fn sees(&self, feed: Feed) -> bool {
        self.tenancy.is_none_or(|t| t.sees_feed(&self.hub, feed))
    }

    fn unknown(&self, view: &str) -> ApiError {
        let specs = self.hub.specs().iter().enumerate();
        let seen = specs.filter(|(index, _)| self.sees(Feed::View(*index)));
        let mut available: Vec<&str> = seen.map(|(_, v)| v.name.as_str()).collect();
        available.extend(
            [POSTS_FEED, ALERTS_FEED, EVENTS_FEED]
                .into_iter()
                .filter(|name| self.hub.feed(name).is_some()),
        );
        ApiError {
            code: "UNKNOWN_VIEW",
            ..ApiError::unknown_view(view, &available)
        }
        .with(json!({ "did_you_mean": nearest(view, &available), "available": available }))
    }

    /// Puts a subscription's whole content out.
    fn snapshot(&mut self, mut subscription: Subscription) -> Result<Subscription, ApiError> {
        let Subscription { feed, .. } = subscription;
        let most = self.limits.snapshot_rows;
        let (hub, wanted, encoding) = (&self.hub, &subscription.wanted, self.encoding);
        // Encoding a large view takes its time: not on the thread that serves the other clients.
        let made = tokio::task::block_in_place(|| {
            if wanted.is_all() {
                let frame = hub.encoded_snapshot(feed, encoding, |s| {
                    frames::snapshot(hub, (feed, encoding), &s, wanted, most)
                });
                return frame.map(|(at, frame)| (at, frame, None, None));
            }
            let snapshot = hub.snapshot(feed);
            let window = window(hub, feed, snapshot.clock);
            let frame = frames::snapshot(hub, (feed, encoding), &snapshot, wanted, most)?;
            Some((snapshot.at, frame, window, Some(Held::of(&snapshot.content, wanted))))
        });
        let Some((at, frame, window, held)) = made else {
            let message = format!("The snapshot has more than {most} rows: add a filter, or `since` to it");
            return Err(invalid("SNAPSHOT_TOO_LARGE", &message));
        };
        self.out.push(frame.named(subscription.id.as_deref()));
        (subscription.at, subscription.window) = (at, window);
        subscription.held = subscription.held.and(held);
        Ok(subscription)
    }

    /// Puts out what a subscription has missed up to a tick. Bringing all of them to one tick before the next keeps what a
    /// client has consistent across its feeds.
    pub fn pull(&mut self, index: usize, upto: Tick) {
        let Some(subscription) = self.subscriptions.get_mut(index) else {
            return;
        };
        if subscription.at > 0 && subscription.at >= upto {
            return;
        }
        match self.hub.since(subscription.feed, subscription.at, upto) {
            Missed::Deltas { deltas, at } if !too_many(&self.hub, subscription.feed, &deltas, &self.limits) => {
                for delta in &deltas {
                    self.out.extend(encode(&self.hub, self.encoding, subscription, delta));
                }
                subscription.at = at;
                subscription.resyncs = 0;
            }
            // Nothing was ever served to it: there is nothing it missed.
            Missed::TooMuch if subscription.at == 0 && self.hub.tick().is_none() => {}
            Missed::Deltas { .. } | Missed::TooMuch => self.resync(index),
        }
    }

    fn resync(&mut self, index: usize) {
        let mut subscription = self.subscriptions.remove(index);
        let view = self.hub.feed_name(subscription.feed);
        if subscription.at > 0 {
            self.out.push(frames::resync(
                self.encoding,
                subscription.id.as_deref(),
                view,
                subscription.at,
            ));
            subscription.resyncs += 1;
            self.metrics.websocket_resync();
        }
        let name = subscription.name.clone();
        if subscription.resyncs > self.limits.resyncs {
            let error = invalid("SLOW_CLIENT", "This client takes less than its subscriptions give");
            let error = error.with(json!({ "resume": subscription.at }));
            self.out.push(frames::error(self.encoding, &error, Some(&name)));
            self.end = Some(End::Slow);
            self.subscriptions.insert(index, subscription);
            return;
        }
        match self.snapshot(subscription) {
            Ok(subscription) => self.subscriptions.insert(index, subscription),
            Err(error) => self.out.push(frames::error(self.encoding, &error, Some(&name))),
        }
    }

    /// How far the client is, if it was not told yet and all its feeds are there.
    pub fn progress(&mut self) -> Option<Frame> {
        let at = self.resume_point();
        if self.subscriptions.is_empty() || at <= self.told || !self.is_level() {
            return None;
        }
        self.told = at;
        Some(frames::progress(self.encoding, at))
    }
}

fn invalid(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

fn window(hub: &Hub, feed: Feed, clock: EventTime) -> Option<(EventTime, EventTime)> {
    let Feed::View(index) = feed else { return None };
    let spec = hub.specs().get(index).filter(|spec| render::is_sliding(spec))?;
    Some(spec.window.sliding_bounds(clock))
}

/// Whether a snapshot is less than the deltas.
fn too_many(hub: &Hub, feed: Feed, deltas: &[Arc<Delta>], limits: &SocketLimits) -> bool {
    if deltas.len() > limits.deltas_behind {
        return true;
    }
    let rows: usize = deltas.iter().map(|d| d.changes.len()).sum();
    deltas.len() > 1 && rows > ROWS_BEHIND && rows > hub.snapshot(feed).content.len()
}

/// The frame of a delta, if there is anything in it for this subscription.
fn encode(hub: &Hub, encoding: Encoding, subscription: &mut Subscription, delta: &Delta) -> Option<Frame> {
    let (feed, wanted) = (subscription.feed, &subscription.wanted);
    if wanted.is_all() {
        let frame = delta.encoded(encoding, || frames::delta(hub, (feed, encoding), delta, wanted, None).0);
        let moved = window(hub, feed, delta.clock).is_some();
        return (moved || frames::concerns(delta, wanted)).then(|| frame.named(subscription.id.as_deref()));
    }
    let held = subscription.held.as_ref();
    let (frame, changed) = frames::delta(hub, (feed, encoding), delta, wanted, held);
    if let Some(held) = &mut subscription.held {
        held.follow(delta, wanted);
    }
    let now = window(hub, feed, delta.clock);
    let moved = now != subscription.window;
    subscription.window = now;
    (changed > 0 || moved).then(|| frame.named(subscription.id.as_deref()))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
