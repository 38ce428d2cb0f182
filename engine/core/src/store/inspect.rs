//! Looking at a state from outside: what is there ([`inspect`]), and whether it is what was written ([`verify`]).
//!
//! Both read only and take no lock, so they work beside a running engine; if a fold replaces objects while they are being
//! read, they start again with the newer manifest.

use super::decode::{Competitor, Rows, competitors, kinds};
use super::error::StoreError;
use super::fold::{NetBindings, Source};
use super::log::Header;
use super::manifest::Manifest;
use super::objects::Objects;
use super::recover::{follows, read_header, split_log};
use crate::record::{Binding, Identity};
use crate::time::{EventTime, Tick};
use hashbrown::HashSet;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a state holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub state: String,
    /// Its own name.
    pub id: String,
    /// Its format version.
    pub format: u32,
    /// How often it has been opened for writing.
    pub epoch: u64,
    /// The last recorded tick.
    pub upper: Option<Tick>,
    /// The clock at that tick.
    pub clock: Option<EventTime>,
    /// Where every source continues.
    pub bindings: Vec<Binding>,
    /// The snapshot, once there was a fold.
    pub snapshot: Option<SnapshotSummary>,
    /// The log after it.
    pub log: LogSummary,
    /// Records in snapshot and log together, by kind.
    pub rows_by_kind: BTreeMap<&'static str, u64>,
}

/// The snapshot in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    /// The last tick folded into it.
    pub tick: Tick,
    /// Its records.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its objects.
    pub objects: usize,
}

/// The log in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// Its objects, one per tick.
    pub objects: usize,
    /// Its first tick.
    pub first_tick: Option<Tick>,
    /// Its last tick.
    pub last_tick: Option<Tick>,
    /// Its records.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// The result of reading everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Where the state is.
    pub state: String,
    /// Objects read.
    pub objects: u64,
    /// Records read.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Objects that are no part of the state; the next opening removes them.
    pub leftovers: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Problem>,
}

impl Verification {
    /// Whether everything is as it was written.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The object.
    pub object: String,
    /// What is wrong.
    pub problem: String,
}

/// Tells what a state holds.
///
/// # Errors
/// If there is no state, or it cannot be read far enough to tell.
pub fn inspect(url: &str) -> Result<Inspection, StoreError> {
    let objects = Objects::existing(url)?;
    settled(&objects, |manifest| inspect_once(&objects, manifest))
}

/// Reads everything and lists what is wrong.
///
/// # Errors
/// If there is no state, it was written by a newer version, or the storage does not answer. Damage is no error but a
/// [`Problem`].
pub fn verify(url: &str) -> Result<Verification, StoreError> {
    let objects = Objects::existing(url)?;
    match settled(&objects, |manifest| verify_once(&objects, manifest)) {
        Err(StoreError::Damaged { object, problem }) => Ok(Verification {
            state: objects.place().to_owned(),
            problems: vec![Problem { object, problem }],
            ..Verification::default()
        }),
        result => result,
    }
}

/// Runs `read` on the newest manifest, again if a newer one came while something was missing.
fn settled<T>(objects: &Objects, read: impl Fn(&Manifest) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let none = || match objects.folder() {
        Some(folder) => StoreError::NotAStateFolder {
            folder: folder.to_owned(),
            problem: "it holds no manifest".into(),
        },
        None => StoreError::damaged(objects.full("manifest"), "it is missing"),
    };
    let mut manifest = Manifest::newest(objects)?.ok_or_else(none)?;
    for _ in 0..8 {
        let result = read(&manifest);
        let newest = Manifest::newest(objects)?.ok_or_else(none)?;
        if newest.number == manifest.number {
            return result;
        }
        manifest = newest;
    }
    read(&manifest)
}

fn inspect_once(objects: &Objects, manifest: &Manifest) -> Result<Inspection, StoreError> {
    let (live, _) = split_log(objects, manifest)?;
    let mut net = NetBindings::default();
    let mut log = LogSummary {
        objects: live.len(),
        ..LogSummary::default()
    };
    let (mut upper, mut clock) = (None, None);
    let mut sources = Vec::new();
    if let Some(snapshot) = &manifest.snapshot {
        net.apply(&snapshot.bindings);
        (upper, clock) = (Some(snapshot.tick), Some(snapshot.clock));
        sources.extend(snapshot.parts.iter().cloned().map(Source::Part));
    }
    for (name, object) in &live {
        let header = read_header(objects, *name, object)?;
        net.apply(&header.bindings);
        (upper, clock) = (Some(name.tick), Some(header.clock));
        log.first_tick = log.first_tick.or(upper);
        log.last_tick = upper;
        log.rows += header.rows;
        log.bytes += object.bytes;
        sources.push(Source::Log(*name));
    }
    let mut rows_by_kind = BTreeMap::new();
    for source in sources {
        for batch in source.open(objects, Some(&["kind"]))?.1 {
            let damaged = |problem| StoreError::damaged(objects.full(&source.object()), problem);
            for kind in kinds(&batch?).map_err(damaged)? {
                *rows_by_kind.entry(kind.label()).or_default() += 1;
            }
        }
    }
    Ok(Inspection {
        state: objects.place().to_owned(),
        id: manifest.id.clone(),
        format: manifest.format,
        epoch: manifest.epoch,
        upper,
        clock,
        bindings: net.to_vec(),
        snapshot: manifest.snapshot.as_ref().map(|s| SnapshotSummary {
            tick: s.tick,
            rows: s.rows,
            bytes: s.bytes(),
            objects: s.parts.len(),
        }),
        log,
        rows_by_kind,
    })
}

fn verify_once(objects: &Objects, manifest: &Manifest) -> Result<Verification, StoreError> {
    let mut verification = Verification {
        state: objects.place().to_owned(),
        ..Verification::default()
    };
    let mut report = |object: &str, problem: String| {
        verification.problems.push(Problem {
            object: objects.full(object),
            problem,
        });
    };
    let (mut read, mut rows, mut bytes) = (1, 0, 0);
    let mut clock = EventTime::MIN;

    if let Some(snapshot) = &manifest.snapshot {
        clock = snapshot.clock;
        let mut identities = HashSet::new();
        let mut total = 0;
        for part in &snapshot.parts {
            let counted = match check(objects, &Source::Part(part.clone()), Some(&mut identities)) {
                Ok((_, counted)) => counted,
                Err(problem) => {
                    report(&part.object, damage(problem)?);
                    continue;
                }
            };
            if counted != part.rows {
                report(&part.object, format!("it holds {counted} records, not {}", part.rows));
            }
            read += 1;
            total += counted;
            bytes += part.bytes;
        }
        let listed = snapshot.parts.iter().map(|p| p.rows).sum::<u64>();
        if listed != snapshot.rows {
            report(
                &Manifest::object(manifest.number),
                format!("its parts have {listed} records, not {}", snapshot.rows),
            );
        }
        rows += total;
    }

    let (live, void) = split_log(objects, manifest)?;
    let mut last = manifest.log_after;
    for (name, object) in &live {
        match check(objects, &Source::Log(*name), None) {
            Ok((header, counted)) => {
                if let Some(header) = header {
                    if let Err(problem) = follows(&header, last) {
                        report(&object.name, problem);
                    }
                    if counted != header.rows {
                        report(&object.name, format!("it holds {counted} records, not {}", header.rows));
                    }
                    if header.clock < clock {
                        report(
                            &object.name,
                            format!("its clock {} is before that of the tick before", header.clock),
                        );
                    }
                    clock = header.clock;
                }
                read += 1;
                rows += counted;
                bytes += object.bytes;
            }
            Err(problem) => report(&object.name, damage(problem)?),
        }
        last = Some(name.tick);
    }

    let used: HashSet<_> = manifest
        .snapshot
        .iter()
        .flat_map(|s| &s.parts)
        .map(|p| p.object.as_str())
        .collect();
    let unused = objects
        .list("snapshot")?
        .iter()
        .filter(|o| !used.contains(o.name.as_str()))
        .count();
    let leftovers = (void.len() + unused) as u64;
    (verification.objects, verification.rows, verification.bytes) = (read, rows, bytes);
    verification.leftovers = leftovers;
    Ok(verification)
}

/// Damage is what a verification is about; anything else ends it.
fn damage(error: StoreError) -> Result<String, StoreError> {
    match error {
        StoreError::Damaged { problem, .. } => Ok(problem),
        other => Err(other),
    }
}

/// Decodes every record of an object; with `identities`, none may compete with another.
fn check(
    objects: &Objects,
    source: &Source,
    mut identities: Option<&mut HashSet<Identity>>,
) -> Result<(Option<Header>, u64), StoreError> {
    let damaged = |problem: String| StoreError::damaged(objects.full(&source.object()), problem);
    let (header, batches) = source.open(objects, None)?;
    let mut rows = 0;
    let mut records = Vec::new();
    for batch in batches {
        let batch = batch?;
        records.clear();
        Rows::of(&batch)
            .and_then(|r| r.append_to(&mut records))
            .map_err(damaged)?;
        let competing = competitors(&batch).map_err(damaged)?;
        for (record, Competitor { identity, rank, .. }) in records.iter().zip(competing) {
            if (record.record.identity(), record.rank()) != (identity, rank) {
                return Err(damaged(format!("record {rows} competes as another one")));
            }
            let folded_away = |seen: &mut HashSet<Identity>| identity == Identity::None || !seen.insert(identity);
            if identities.as_deref_mut().is_some_and(folded_away) {
                return Err(damaged(format!(
                    "record {rows} should have been folded away: {identity:?}"
                )));
            }
            rows += 1;
        }
    }
    Ok((header, rows))
}
