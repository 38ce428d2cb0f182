//! Changes → records: keys, values and headers. Pure.

use super::Encode;
use crate::dlq::{ATTEMPT, Facts, Origin};
use crate::json::event::{NewsJson, event_id, news_json};
use crate::json::{PostIds, TimeJson, alert_json, key_json, row_json};
use crate::kafka::producer::Outgoing;
use crate::kafka::{
    CODE, ENGINE_VERSION, MESSAGE, MODEL, OFFSET, PARTITION, RECORD_ID, SOURCE, STAGE, TICK, TIMESTAMP, TOPIC,
};
use groundswell_core::id::Names;
use groundswell_core::serving::{AlertChange, AlertState, DeadChange, RowChange, TickChanges};
use groundswell_core::spec::{ViewSpec, WindowSpec};
use groundswell_core::time::Tick;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Headers = Vec<(Cow<'static, str>, Option<Vec<u8>>)>;

fn header(headers: &mut Headers, name: &'static str, value: impl ToString) {
    headers.push((Cow::Borrowed(name), Some(value.to_string().into_bytes())));
}

/// A tick as a record's timestamp.
fn timestamp(tick: Tick) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|e| e.to_string())
}

/// Alert transitions.
pub(super) struct Alerts {
    pub views: Arc<[ViewSpec]>,
    pub names: Arc<Names>,
    pub post_ids: PostIds,
}

impl Alerts {
    fn record(&self, alert: &AlertChange, tick: Tick) -> Result<Outgoing, String> {
        let Some(view) = self.views.iter().find(|v| *v.name == *alert.view) else {
            return Err(format!(
                "rule \"{}\" watches a view \"{}\" that the pipeline lacks",
                alert.rule, alert.view
            ));
        };
        let value = alert_json(view, &self.names, &self.post_ids, alert).map_err(|e| e.to_string())?;
        let id = format!("{:032x}", alert.id);
        let state = match alert.state {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
            AlertState::Retracted => "retracted",
        };
        let mut headers = Headers::new();
        header(&mut headers, "groundswell-id", format_args!("{id}/{tick}/{state}"));
        header(&mut headers, TICK, tick);
        header(&mut headers, "groundswell-state", state);
        Ok(Outgoing {
            key: Some(id.into_bytes()),
            value: Some(json(&value)?),
            headers,
            timestamp: timestamp(tick),
        })
    }
}

impl Encode for Alerts {
    fn encode(&self, changes: &TickChanges, out: &mut Vec<Outgoing>) -> Result<(), String> {
        for alert in changes.told_alerts() {
            out.push(self.record(alert, changes.tick)?);
        }
        Ok(())
    }
}

/// The changes of a view.
pub(super) struct Rows {
    pub index: usize,
    pub view: ViewSpec,
    pub names: Arc<Names>,
    pub post_ids: PostIds,
}

impl Rows {
    /// Group and window with their names in alphabetical order, so that a row has one key for ever.
    fn key(&self, change: &RowChange) -> Result<Vec<u8>, String> {
        let group = key_json(&self.view, &self.names, &change.key).map_err(|e| e.to_string())?;
        let group = serde_json::to_value(&group).map_err(|e| e.to_string())?;
        let mut key: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        if let serde_json::Value::Object(columns) = group {
            key.extend(columns);
        }
        // A sliding window moves with the clock: the row is the group's, whenever.
        if !matches!(self.view.window, WindowSpec::Sliding { .. }) {
            let start = serde_json::to_value(TimeJson(change.key.start)).map_err(|e| e.to_string())?;
            key.insert("window_start".to_owned(), start);
        }
        json(&key)
    }
}

impl Encode for Rows {
    fn encode(&self, changes: &TickChanges, out: &mut Vec<Outgoing>) -> Result<(), String> {
        let rows = changes.views.get(self.index).map(Vec::as_slice).unwrap_or_default();
        // A window whose end moved has the key it had: its old row is replaced and not taken back.
        let moved: BTreeSet<_> = match self.view.window.is_regular() {
            true => BTreeSet::new(),
            false => rows
                .iter()
                .filter(|row| row.acc.is_some())
                .map(RowChange::place)
                .collect(),
        };
        for change in rows
            .iter()
            .filter(|row| row.acc.is_some() || !moved.contains(&row.place()))
        {
            let value = match change.acc {
                None => None,
                Some(_) => {
                    let strings = (&*self.names, &self.post_ids);
                    let row = row_json(&self.view, strings, change, changes.tick, changes.clock);
                    Some(json(&row.map_err(|e| e.to_string())?)?)
                }
            };
            let mut headers = Headers::new();
            header(&mut headers, TICK, changes.tick);
            out.push(Outgoing {
                key: Some(self.key(change)?),
                value,
                headers,
                timestamp: timestamp(changes.tick),
            });
        }
        Ok(())
    }
}

/// The keyword events that are news.
pub(super) struct Events;

impl Encode for Events {
    fn encode(&self, changes: &TickChanges, out: &mut Vec<Outgoing>) -> Result<(), String> {
        for change in &changes.events {
            let value = match news_json(change, changes.tick) {
                None => continue,
                Some(NewsJson::Gone { .. }) => None,
                Some(news) => Some(json(&news)?),
            };
            let mut headers = Headers::new();
            header(&mut headers, TICK, changes.tick);
            out.push(Outgoing {
                key: Some(event_id(change.id).into_bytes()),
                value,
                headers,
                timestamp: timestamp(changes.tick),
            });
        }
        Ok(())
    }
}

/// Dead letters with their original bytes.
pub(super) struct DeadLetters {
    pub origin: Origin,
}

impl DeadLetters {
    fn record(&self, dead: &DeadChange, tick: Tick) -> Outgoing {
        let facts = Facts::of(dead, tick, &self.origin);
        let mut headers: Headers = facts
            .headers
            .iter()
            .map(|h| {
                (
                    Cow::Owned(h.name.clone()),
                    h.value.as_ref().map(|v| v.as_bytes().to_vec()),
                )
            })
            .collect();
        for (name, value) in [
            (STAGE, Some(facts.stage)),
            (CODE, Some(facts.code)),
            (MESSAGE, Some(facts.message)),
            (RECORD_ID, facts.id),
            (SOURCE, Some(facts.source)),
            (TOPIC, facts.topic),
            (ENGINE_VERSION, facts.engine_version),
            (MODEL, facts.model.as_deref()),
        ] {
            if let Some(value) = value {
                header(&mut headers, name, value);
            }
        }
        header(&mut headers, PARTITION, facts.partition);
        header(&mut headers, OFFSET, facts.offset);
        if let Some(at) = facts.written_at {
            header(&mut headers, TIMESTAMP, at);
        }
        header(&mut headers, ATTEMPT, facts.attempt);
        header(&mut headers, TICK, tick);
        Outgoing {
            key: Some(facts.key.to_vec()).filter(|key| !key.is_empty()),
            value: Some(facts.payload.to_vec()),
            headers,
            timestamp: timestamp(tick),
        }
    }
}

impl Encode for DeadLetters {
    fn encode(&self, changes: &TickChanges, out: &mut Vec<Outgoing>) -> Result<(), String> {
        out.extend(changes.dead.iter().map(|dead| self.record(dead, changes.tick)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::acc::Acc;
    use groundswell_core::id::{Dim, ModelKey};
    use groundswell_core::keywords::{EventChange, KeywordEvent};
    use groundswell_core::record::{DeadLetter, Header, HeaderValue};
    use groundswell_core::spec::{GroupColumn, Measure, Sessions, ViewKey};

    fn rows(window: WindowSpec) -> Rows {
        let names = Names::default();
        for name in ["t3_x", "lebron"] {
            names.intern(name).expect("new");
        }
        let view = ViewSpec {
            name: "by_minute".into(),
            group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
            window,
            measures: vec![Measure::Posts],
            keep: None,
            extras: groundswell_core::spec::Extras::default(),
        };
        Rows {
            index: 0,
            view,
            names: Arc::new(names),
            post_ids: Arc::new(|_| None),
        }
    }

    fn change(acc: Option<Acc>) -> TickChanges {
        let mut key = ViewKey::default();
        key.group[0] = Dim::of("t3_x");
        key.group[1] = Dim::of("lebron");
        key.start = 60_000;
        TickChanges {
            tick: 100,
            clock: 119_000,
            views: vec![vec![RowChange::new(key, acc)]],
            ..TickChanges::default()
        }
    }

    fn encoded(encode: &impl Encode, changes: &TickChanges) -> Outgoing {
        let mut out = Vec::new();
        encode.encode(changes, &mut out).expect("encoded");
        out.remove(0)
    }

    fn text(bytes: Option<&Vec<u8>>) -> &str {
        std::str::from_utf8(bytes.expect("there")).expect("text")
    }

    #[test]
    fn a_row_has_one_key_whether_it_is_there_or_gone() {
        let rows_of = rows(WindowSpec::Tumble { size: 60_000 });
        let there = encoded(&rows_of, &change(Some(Acc::default())));
        let gone = encoded(&rows_of, &change(None));
        let key = r#"{"entity":"lebron","thread":"t3_x","window_start":"1970-01-01T00:01:00.000Z"}"#;
        assert_eq!((text(there.key.as_ref()), gone.value), (key, None));
        assert_eq!(there.key, gone.key);
        assert!(
            text(there.value.as_ref()).starts_with(r#"{"key":{"thread":"t3_x","entity":"lebron"},"window_start":"#)
        );
        let sliding = rows(WindowSpec::Sliding {
            size: 60_000,
            every: 1_000,
        });
        let row = encoded(&sliding, &change(Some(Acc::default())));
        assert_eq!(text(row.key.as_ref()), r#"{"entity":"lebron","thread":"t3_x"}"#);
    }

    #[test]
    fn a_session_whose_end_moves_is_replaced_under_its_key() {
        let rows_of = rows(WindowSpec::Session(Sessions { gap: 10, max: 100 }));
        let key =
            |start, end| ViewKey::with_end([Dim::of("t3_x"), Dim::of("lebron"), Dim::NONE, Dim::NONE], start, end);
        let acc = Some(Acc::default());
        let views = [
            RowChange::new(key(0, 50), None),
            RowChange::new(key(0, 60), acc),
            RowChange::new(key(80, 90), None),
        ];
        let changes = TickChanges {
            views: vec![views.into()],
            ..TickChanges::default()
        };
        let mut out = Vec::new();
        rows_of.encode(&changes, &mut out).expect("encoded");
        let start = |record: &Outgoing| text(record.key.as_ref()).contains("00:00:00.080Z");
        assert_eq!(out.iter().map(start).collect::<Vec<_>>(), [false, true]);
        assert!(text(out[0].value.as_ref()).contains(r#""window_end":"1970-01-01T00:00:00.060Z""#));
        assert_eq!(out[1].value, None);
    }

    #[test]
    fn an_event_has_one_key_and_a_topic_of_news_has_no_other() {
        let change = |id, event, was_news| EventChange { id, event, was_news };
        let news = |n| Some(Arc::new(crate::hub::testing::event(n)));
        let suppressed = Some(Arc::new(KeywordEvent {
            suppressed_by: Some("rumor".into()),
            ..crate::hub::testing::event(3)
        }));
        let changes = TickChanges {
            tick: 100,
            events: vec![
                change(1, news(1), false),
                change(2, None, true),
                change(3, suppressed.clone(), true),
                change(4, suppressed, false),
                change(5, None, false),
            ],
            ..TickChanges::default()
        };
        let mut out = Vec::new();
        Events.encode(&changes, &mut out).expect("encoded");
        let keys: Vec<&str> = out.iter().map(|record| text(record.key.as_ref())).collect();
        assert_eq!(keys, [1, 2, 3].map(|id| format!("{id:032x}")));
        assert!(
            text(out[0].value.as_ref())
                .starts_with(r#"{"id":"00000000000000000000000000000001","company":"Other Corp""#)
        );
        assert_eq!((&out[1].value, &out[2].value), (&None, &None));
    }

    #[test]
    fn a_dead_letter_says_where_it_came_from_and_counts_its_lives() {
        let given = |name: &str, value: &[u8]| Header {
            name: name.into(),
            value: Some(HeaderValue::from(value)),
        };
        let letter = DeadLetter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            payload: vec![0xFF, 0],
            written_at: Some(7),
            id: Some("t1_a".into()),
            model: Some(ModelKey(9)),
            headers: vec![
                given("trace", &[0xFE]),
                given(ATTEMPT, b"2"),
                given("groundswell-code", b"old"),
            ],
            ..DeadLetter::default()
        };
        let dead = DeadChange {
            source: "posts".into(),
            partition: 3,
            offset: 9,
            letter,
        };
        let changes = TickChanges {
            tick: 5,
            dead: vec![dead],
            ..TickChanges::default()
        };
        let origin = Origin {
            topics: [("posts".to_owned(), "reddit.comments".to_owned())].into(),
        };
        let record = encoded(&DeadLetters { origin }, &changes);
        assert_eq!((record.key, record.value), (None, Some(vec![0xFF, 0])));
        let all = |name: &str| {
            let found = record.headers.iter().filter(|(n, _)| n == name);
            found.map(|(_, v)| v.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(all("trace"), [vec![0xFE]]);
        for (name, value) in [
            ("groundswell-code", "invalid_json"),
            ("groundswell-topic", "reddit.comments"),
            ("groundswell-partition", "3"),
            ("groundswell-offset", "9"),
            ("groundswell-timestamp", "7"),
            ("groundswell-engine-version", env!("CARGO_PKG_VERSION")),
            ("groundswell-model", "00000000000000000000000000000009"),
            ("groundswell-record-id", "t1_a"),
            (ATTEMPT, "3"),
        ] {
            assert_eq!(all(name), [value.as_bytes()], "{name}");
        }
    }
}
