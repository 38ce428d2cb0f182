//! What forgotten windows leave behind in alerts, and which alerts are muted, on its way from the graph into the record.
//!
//! The dispatcher puts what a tick said, the recorder takes it all when it seals the next one. One entry per rule, view and
//! group, the newest: a buffer that cannot grow beyond what the graph holds itself, and that makes nobody wait.
//!
//! A snapshot has no log to compute these facts from, so a fold may not cover a tick without the facts it led to. They are
//! recorded at a later tick than the one that said them; [`Bounds`] keeps the ticks between which a fold must not end.

use groundswell_core::id::{Dim, Names};
use groundswell_core::record::{AlertFloor, CONTROL, Envelope, Identity, Record};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use groundswell_operators::threshold::Carry;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

type Key = (String, u16, [Dim; 4]);

struct Said {
    tick: Tick,
    view: String,
    columns: usize,
    shape: u64,
    carry: Carry,
}

/// What was said and not recorded yet.
#[derive(Default)]
pub(crate) struct Floors {
    floors: Mutex<BTreeMap<Key, Said>>,
    /// By alert: the tick that said it, and whether it is muted.
    muted: Mutex<BTreeMap<u128, (Tick, bool)>>,
}

impl Floors {
    /// What a tick said about alerts on a declared view, over windows of this shape.
    pub(crate) fn put(&self, tick: Tick, view: &ViewSpec, shape: u64, carry: Carry) {
        let key = (carry.rule.clone(), carry.view, carry.group);
        let said = Said {
            tick,
            view: view.name.clone(),
            columns: view.group_by.len(),
            shape,
            carry,
        };
        self.floors.lock().insert(key, said);
    }

    /// A tick muted an alert, or took it back.
    pub(crate) fn put_muted(&self, tick: Tick, id: u128, muted: bool) {
        self.muted.lock().insert(id, (tick, muted));
    }

    /// Takes everything as records, each with the tick that said it as its order.
    fn take(&self, names: &Names) -> Vec<Envelope> {
        let said = std::mem::take(&mut *self.floors.lock());
        let muted = std::mem::take(&mut *self.muted.lock());
        let record = |(offset, said): (u64, Said)| {
            let group = said.carry.group.iter().take(said.columns);
            let values: Vec<_> = group.map(|dim| names.get(*dim).unwrap_or_default()).collect();
            let values: Vec<&str> = values.iter().map(|v| &**v).collect();
            Envelope {
                source: CONTROL,
                partition: 0,
                offset,
                order: said.tick,
                record: Record::AlertFloor(AlertFloor {
                    key: AlertFloor::key(&said.carry.rule, &said.view, &values),
                    shape: said.shape,
                    up_to: said.carry.up_to,
                    state: said.carry.state,
                }),
            }
        };
        let floors = (0..).zip(said.into_values()).map(record);
        let muted = (0..).zip(muted).map(|(offset, (id, (tick, muted)))| Envelope {
            source: CONTROL,
            partition: 0,
            offset,
            order: tick,
            record: Record::AlertMuted { id, muted },
        });
        floors.chain(muted).collect()
    }
}

/// What is recorded of it, and where a fold may end.
#[derive(Default)]
pub(crate) struct Bounds {
    /// The tick that said what is recorded, by identity.
    known: HashMap<Identity, Tick>,
    /// A fold must not end at or after the first and before the second: said, but not recorded.
    between: VecDeque<(Tick, Tick)>,
}

impl Bounds {
    /// Learns what the record says.
    pub(crate) fn remember(&mut self, envelope: &Envelope) {
        let said = self.known.entry(envelope.record.identity()).or_default();
        *said = (*said).max(envelope.order);
    }

    /// Takes what is to be recorded at `tick`. What replayed ticks say again is known already.
    pub(crate) fn take(&mut self, floors: &Floors, names: &Names, tick: Tick) -> Vec<Envelope> {
        let mut news = floors.take(names);
        news.retain(|e| self.known.get(&e.record.identity()).is_none_or(|said| *said < e.order));
        if let Some(first) = news.iter().map(|e| e.order).min() {
            self.between.push_back((first, tick));
        }
        news.iter().for_each(|e| self.remember(e));
        news
    }

    /// The last tick up to `limit` at which a fold may end.
    pub(crate) fn fold_end(&self, limit: Tick) -> Tick {
        // Ticks are taken in order, so the ends ascend; an earlier pair may begin before a later one.
        self.between.iter().rev().fold(limit, |end, (said, recorded)| {
            if *said <= end && end < *recorded {
                said.saturating_sub(1)
            } else {
                end
            }
        })
    }

    /// Forgets what is below a fold.
    pub(crate) fn folded(&mut self, tick: Tick) {
        self.between.retain(|(_, recorded)| *recorded > tick);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::record::Carried;
    use groundswell_core::spec::{GroupColumn, WindowSpec};

    fn view() -> ViewSpec {
        ViewSpec {
            name: "v".into(),
            group_by: vec![GroupColumn::Author],
            window: WindowSpec::Tumble { size: 60 },
            measures: vec![],
            keep: Some(600),
            extras: groundswell_core::spec::Extras::default(),
        }
    }

    fn carry(names: &Names, author: &str, fired: i64) -> Carry {
        let author = names.intern(author).expect("no collision");
        Carry {
            rule: "r".into(),
            view: 0,
            group: [author, Dim::NONE, Dim::NONE, Dim::NONE],
            up_to: 60,
            state: Carried {
                fired: Some(fired),
                ..Carried::default()
            },
        }
    }

    #[test]
    fn the_newest_is_recorded_once_and_replays_add_nothing() {
        let (floors, names, mut bounds) = (Floors::default(), Names::default(), Bounds::default());
        floors.put(10, &view(), 1, carry(&names, "ada", 0));
        floors.put(11, &view(), 1, carry(&names, "ada", 60));
        floors.put(11, &view(), 1, carry(&names, "", 60));
        let recorded = bounds.take(&floors, &names, 13);
        let keys: Vec<_> = recorded
            .iter()
            .map(|e| match &e.record {
                Record::AlertFloor(f) => (f.key.as_str(), e.order, f.state.fired),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            keys,
            [
                (r#"["r","v",[""]]"#, 11, Some(60)),
                (r#"["r","v",["ada"]]"#, 11, Some(60))
            ]
        );
        assert_eq!(bounds.take(&floors, &names, 14), []);
        let mut restarted = Bounds::default();
        recorded.iter().for_each(|e| restarted.remember(e));
        floors.put(10, &view(), 1, carry(&names, "ada", 0));
        floors.put(11, &view(), 1, carry(&names, "ada", 60));
        assert_eq!(restarted.take(&floors, &names, 20), []);
        floors.put(12, &view(), 1, carry(&names, "ada", 120));
        assert_eq!(restarted.take(&floors, &names, 21).len(), 1);
    }

    #[test]
    fn a_fold_ends_where_everything_said_is_recorded() {
        let (floors, names, mut bounds) = (Floors::default(), Names::default(), Bounds::default());
        assert_eq!(bounds.fold_end(9), 9);
        floors.put(10, &view(), 1, carry(&names, "ada", 0));
        bounds.take(&floors, &names, 13);
        floors.put(12, &view(), 1, carry(&names, "bo", 0));
        bounds.take(&floors, &names, 15);
        floors.put(20, &view(), 1, carry(&names, "cy", 0));
        bounds.take(&floors, &names, 22);
        let ends: Vec<_> = [9, 10, 12, 13, 14, 15, 19, 20, 21, 22]
            .map(|t| bounds.fold_end(t))
            .into();
        assert_eq!(ends, [9, 9, 9, 9, 9, 15, 19, 19, 19, 22]);
        bounds.folded(15);
        assert_eq!((bounds.fold_end(21), bounds.between.len()), (19, 1));
    }
}
