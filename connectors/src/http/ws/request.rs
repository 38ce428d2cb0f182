//! What a client may say.

use crate::http::auth::Tenancy;
use crate::hub::events::filter::EventFilter;
use crate::hub::filter::{AlertFilter, Filter, Invalid, view_parameters};
use crate::hub::render::is_sliding;
use crate::hub::{Feed, Hub};
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::serving::AlertChange;
use groundswell_core::spec::{GroupColumn, ViewSpec};
use groundswell_core::time::Tick;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A frame of a client.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Send a feed from now on.
    Subscribe {
        /// Name of the subscription; the feed's name if absent.
        #[serde(default)]
        id: Option<String>,
        /// The feed.
        view: String,
        /// Which rows.
        #[serde(default)]
        filter: Option<Map<String, Value>>,
        /// The tick the client has everything up to.
        #[serde(default)]
        from: Option<Tick>,
    },
    /// Send it no more.
    Unsubscribe {
        /// Name of the subscription.
        #[serde(default)]
        id: Option<String>,
        /// The feed, for a subscription without a name.
        #[serde(default)]
        view: Option<String>,
    },
}

/// Which rows of a feed a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Rows of a view.
    Rows(Filter),
    /// Posts.
    Posts(Filter),
    /// Alerts.
    Alerts(AlertFilter),
    /// Keyword events.
    Events(EventFilter),
}

impl Wanted {
    /// Reads a filter for a feed.
    ///
    /// # Errors
    /// [`Invalid`] with the names the feed's filter may use.
    pub fn parse(hub: &Hub, feed: Feed, filter: &Map<String, Value>) -> Result<Self, Invalid> {
        match feed {
            Feed::View(index) => {
                let spec = hub.specs().get(index);
                spec.map_or(Ok(Filter::default()), |spec| rows(spec, filter))
                    .map(Wanted::Rows)
            }
            Feed::Posts => columns(&GroupColumn::OF_POSTS, filter).map(Wanted::Posts),
            Feed::Alerts => {
                let mut wanted = AlertFilter::default();
                for (name, value) in values(filter)? {
                    let value = value.ok_or_else(|| Invalid::value(name, "null", &["a string"]))?;
                    wanted.add(name, value)?;
                }
                Ok(Wanted::Alerts(wanted))
            }
            Feed::Events => events(filter).map(Wanted::Events),
        }
    }

    /// Leaves what a tenant may see.
    pub fn narrow(&mut self, hub: &Hub, feed: Feed, tenancy: Tenancy) {
        match (self, feed) {
            (Wanted::Rows(filter), Feed::View(index)) => {
                if let Some(spec) = hub.specs().get(index) {
                    tenancy.rows(spec, filter);
                }
            }
            (Wanted::Posts(filter), _) => tenancy.posts(filter),
            (Wanted::Alerts(filter), _) => tenancy.alerts(hub, filter),
            (Wanted::Events(filter), _) => tenancy.events(filter),
            (Wanted::Rows(_), _) => {}
        }
    }

    /// Whether no filter was given, so that all such subscriptions can share frames.
    pub fn is_all(&self) -> bool {
        match self {
            Wanted::Rows(f) | Wanted::Posts(f) => f.is_empty(),
            Wanted::Alerts(f) => f.is_empty(),
            Wanted::Events(f) => f.is_empty(),
        }
    }

    /// The filter on rows; everything for other feeds.
    pub fn rows(&self) -> Filter {
        if let Wanted::Rows(f) = self {
            f.clone()
        } else {
            Filter::default()
        }
    }

    /// Whether a post is wanted.
    pub fn post(&self, post: &groundswell_core::serving::LivePost) -> bool {
        if let Wanted::Posts(f) = self {
            f.post(post)
        } else {
            true
        }
    }

    /// Whether an alert is wanted.
    pub fn alert(&self, alert: &AlertChange) -> bool {
        if let Wanted::Alerts(f) = self {
            f.alert(alert)
        } else {
            true
        }
    }

    /// Whether a keyword event is wanted.
    pub fn event(&self, event: &KeywordEvent) -> bool {
        if let Wanted::Events(f) = self {
            f.event(event)
        } else {
            true
        }
    }
}

fn rows(spec: &ViewSpec, filter: &Map<String, Value>) -> Result<Filter, Invalid> {
    let mut bounds = Filter::default();
    let mut rest = filter.clone();
    for name in ["since", "until"] {
        let Some(value) = rest.remove(name) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if is_sliding(spec) {
            // Its window moves: rows would have to come and go with nothing but the clock.
            let names: Vec<&str> = spec.group_by.iter().map(|c| c.name()).collect();
            return Err(Invalid::unknown(name, &text, &names));
        }
        bounds.bound(name, &text)?;
    }
    let mut all = columns(&spec.group_by, &rest).map_err(|mut invalid| {
        if invalid.message.starts_with("Unknown") {
            invalid.allowed = view_parameters(spec).into_iter().map(str::to_owned).collect();
        }
        invalid
    })?;
    (all.since, all.until) = (bounds.since, bounds.until);
    Ok(all)
}

fn columns(allowed: &[GroupColumn], filter: &Map<String, Value>) -> Result<Filter, Invalid> {
    let mut wanted = Filter::default();
    for (name, value) in values(filter)? {
        wanted.column(allowed, name, value)?;
    }
    Ok(wanted)
}

/// A filter on keyword events: as over HTTP, and numbers and flags as they are.
fn events(filter: &Map<String, Value>) -> Result<EventFilter, Invalid> {
    let mut wanted = EventFilter::default();
    for (name, value) in filter {
        let one = std::slice::from_ref(value);
        for value in value.as_array().map_or(one, Vec::as_slice) {
            match value {
                Value::String(text) => wanted.add(name, text)?,
                Value::Number(_) | Value::Bool(_) => wanted.add(name, &value.to_string())?,
                other => {
                    return Err(Invalid::value(
                        name,
                        &other.to_string(),
                        &["a string", "a number", "a flag"],
                    ));
                }
            }
        }
    }
    Ok(wanted)
}

/// The values of a filter: a string, null, or a list of them, which are alternatives.
fn values(filter: &Map<String, Value>) -> Result<Vec<(&str, Option<&str>)>, Invalid> {
    const MOST: usize = 1_000;
    let allowed = ["a string", "null", "a list of up to 1000 strings"];
    let mut all = Vec::new();
    for (name, value) in filter {
        let one = std::slice::from_ref(value);
        let list = value.as_array().map_or(one, Vec::as_slice);
        if list.is_empty() || list.len() > MOST {
            return Err(Invalid::value(name, &format!("a list of {}", list.len()), &allowed));
        }
        for item in list {
            match item {
                Value::String(text) => all.push((name.as_str(), Some(text.as_str()))),
                Value::Null => all.push((name.as_str(), None)),
                other => return Err(Invalid::value(name, &other.to_string(), &allowed)),
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubLimits;
    use crate::hub::testing::{VIEWS, hub};
    use serde_json::json;

    fn parse(view: &str, filter: &Value) -> Result<Wanted, Invalid> {
        let hub = hub(HubLimits::default());
        let feed = hub.feed(view).expect("known");
        Wanted::parse(&hub, feed, filter.as_object().expect("object"))
    }

    #[test]
    fn filters_are_read_strictly() {
        assert!(parse(VIEWS[0], &json!({})).expect("valid").is_all());
        for good in [
            (
                VIEWS[0],
                json!({"thread": "t1", "entity": ["a", "b", null], "since": 0, "until": "2026-01-01T00:00:00Z"}),
            ),
            ("_posts", json!({"author": null, "source": "x"})),
            ("_alerts", json!({"rule": "r", "state": ["firing", "resolved"]})),
            (
                "_events",
                json!({"company": ["a", "b"], "confidence_min": 0.9, "suppressed": true, "duplicates": "true", "since": 0}),
            ),
        ] {
            assert!(!parse(good.0, &good.1).expect("valid").is_all());
        }
        for (view, bad, parameter) in [
            (VIEWS[0], json!({"author": "x"}), "author"),
            (VIEWS[0], json!({"thread": 5}), "thread"),
            (VIEWS[0], json!({"thread": []}), "thread"),
            (VIEWS[0], json!({"since": "noon"}), "since"),
            (VIEWS[1], json!({"since": 0}), "since"),
            ("_alerts", json!({"state": "gone"}), "state"),
            ("_posts", json!({"since": "0"}), "since"),
            ("_events", json!({"companies": "a"}), "companies"),
            ("_events", json!({"company": null}), "company"),
            ("_events", json!({"confidence_min": 2}), "confidence_min"),
            ("_events", json!({"suppressed": "yes"}), "suppressed"),
            ("_events", json!({"until": ["0", "1"]}), "until"),
        ] {
            assert_eq!(parse(view, &bad).expect_err("invalid").parameter, parameter, "{bad}");
        }
    }

    #[test]
    fn unknown_operations_and_fields_are_refused() {
        let read = |text: &str| serde_json::from_str::<Request>(text).map_err(|e| e.to_string());
        assert!(read(r#"{"op":"subscribe","view":"v","filter":null,"from":null}"#).is_ok());
        assert!(
            read(r#"{"op":"subscribe","view":"v","form":5}"#)
                .expect_err("typo")
                .contains("form")
        );
        assert!(read(r#"{"op":"publish"}"#).is_err());
        assert!(read(r#"{"op":"subscribe","view":"v","from":-1}"#).is_err());
    }
}
