//! Taking over a state: fence, look, begin.
//!
//! In: the objects as the last process left them. Out: a manifest with a new epoch, the live log in order, and the names
//! of what no longer counts. The three steps are separate so that a crash between any two can be tested: each leaves a
//! state that the next opening takes over in the same way.

use super::error::StoreError;
use super::log::{self, HEAD_BYTES, Header, LogName};
use super::manifest::Manifest;
use super::objects::{Listed, Objects};
use super::snapshot::part_epoch;
use crate::time::Tick;
use std::hash::{BuildHasher, Hasher};

/// What a state consists of.
pub(super) struct Found {
    /// The live log, ascending by tick.
    pub log: Vec<Live>,
    /// Objects that are no part of the state and may be removed.
    pub garbage: Vec<String>,
}

/// A live log object.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// What it says about itself.
    pub header: Header,
    /// Its size.
    pub bytes: u64,
}

impl Found {
    /// The last recorded tick, given where the snapshot ends.
    pub fn last_tick(&self, manifest: &Manifest) -> Option<Tick> {
        self.log.last().map(|l| l.header.name.tick).or(manifest.log_after)
    }
}

/// Step 1: raises the epoch. From here on no append of an older epoch is acknowledged.
///
/// # Errors
/// If the state cannot be read or was written by a newer version.
pub(super) fn fence(objects: &Objects) -> Result<Manifest, StoreError> {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let writer = format!("{}-{random:016x}", std::process::id());
    // Somebody else may fence at the same moment; whoever comes second sees the first and goes one higher.
    for _ in 0..16 {
        let newest = match Manifest::newest(objects)? {
            Some(newest) => newest,
            None => {
                refuse_orphans(objects)?;
                Manifest::blank()
            }
        };
        let fenced = newest.fenced(&writer);
        if fenced.install(objects)? {
            return Ok(fenced);
        }
    }
    Err(StoreError::damaged(
        objects.full("manifest"),
        "too many processes are taking it over at the same time",
    ))
}

/// Data without a manifest is not a new state: starting over would throw it away.
fn refuse_orphans(objects: &Objects) -> Result<(), StoreError> {
    for folder in ["log", "snapshot"] {
        if let Some(orphan) = objects.list(folder)?.first() {
            let problem = format!("there is no manifest, but \"{}\"", orphan.name);
            return Err(StoreError::damaged(objects.full("manifest"), problem));
        }
    }
    Ok(())
}

/// Step 2: finds the live log and checks that no tick is missing.
///
/// # Errors
/// [`StoreError::Damaged`] if an object does not say what its name says, or a tick is missing.
pub(super) fn scan(objects: &Objects, manifest: &Manifest) -> Result<Found, StoreError> {
    let mut garbage = dead(objects, manifest)?;
    let (live, void) = split_log(objects, manifest)?;
    garbage.extend(
        void.into_iter()
            .filter(|(name, _)| name.epoch <= manifest.epoch)
            .map(|(_, o)| o.name),
    );
    let mut log = Vec::with_capacity(live.len());
    let mut last = manifest.log_after;
    for (name, object) in live {
        let header = read_header(objects, name, &object)?;
        follows(&header, last).map_err(|problem| StoreError::damaged(objects.full(&object.name), problem))?;
        last = Some(name.tick);
        log.push(Live {
            header,
            bytes: object.bytes,
        });
    }
    Ok(Found { log, garbage })
}

/// Step 3: the epoch begins after `last`; whatever an older one writes from here on is void.
///
/// # Errors
/// [`StoreError::Fenced`] if somebody took over in between.
pub(super) fn begin(objects: &Objects, fenced: &Manifest, last: Option<Tick>) -> Result<Manifest, StoreError> {
    let begun = fenced.begun(last);
    if begun.install(objects)? {
        Ok(begun)
    } else {
        Err(fenced_by_another(objects, fenced.epoch)?)
    }
}

/// The error for having been fenced, naming the epoch that did it.
pub(super) fn fenced_by_another(objects: &Objects, epoch: u64) -> Result<StoreError, StoreError> {
    let by = Manifest::newest(objects)?.map_or(epoch, |m| m.epoch);
    Ok(StoreError::Fenced {
        place: objects.place().to_owned(),
        epoch,
        by,
    })
}

/// Log objects with their names.
type Named = Vec<(LogName, Listed)>;

/// The live log, ascending by tick, and the log objects that are not live.
pub(super) fn split_log(objects: &Objects, manifest: &Manifest) -> Result<(Named, Named), StoreError> {
    let named = objects
        .list("log")?
        .into_iter()
        .filter_map(|o| LogName::parse(&o.name).map(|name| (name, o)));
    let (mut live, void): (Named, Named) = named.partition(|(name, _)| manifest.is_live(*name));
    live.sort_by_key(|(name, _)| (name.tick, name.epoch));
    Ok((live, void))
}

/// Checks that a log object continues where `last` ended.
pub(super) fn follows(header: &Header, last: Option<Tick>) -> Result<(), String> {
    let show = |tick: Option<Tick>| tick.map_or("nothing".to_owned(), |t| format!("tick {t}"));
    if header.previous == last {
        Ok(())
    } else {
        Err(format!(
            "it follows {}, but here it comes after {}: a tick is missing",
            show(header.previous),
            show(last)
        ))
    }
}

/// Reads a log object's header from its first bytes.
pub(super) fn read_header(objects: &Objects, name: LogName, object: &Listed) -> Result<Header, StoreError> {
    let damaged = |problem: String| StoreError::damaged(objects.full(&object.name), problem);
    let front = objects.get_head(object, HEAD_BYTES)?;
    let whole = object.bytes <= HEAD_BYTES;
    let header = match log::header(&front, whole).map_err(damaged)? {
        Some(header) => header,
        None => log::header(&objects.get(&object.name)?, true)
            .map_err(damaged)?
            .ok_or_else(|| damaged("it has no header".into()))?,
    };
    if header.name == name {
        Ok(header)
    } else {
        Err(damaged(format!("it says that it is {}", header.name.object())))
    }
}

/// Manifests before this one, and parts that no manifest will ever name. Those of a later epoch are not ours to judge.
fn dead(objects: &Objects, manifest: &Manifest) -> Result<Vec<String>, StoreError> {
    let mut dead: Vec<String> = objects
        .list("manifest")?
        .into_iter()
        .map(|o| o.name)
        .filter(|name| Manifest::number_of(name).is_some_and(|n| n < manifest.number))
        .collect();
    let referenced = |name: &str| {
        manifest
            .snapshot
            .iter()
            .flat_map(|s| &s.parts)
            .any(|p| p.object == name)
    };
    let parts = objects.list("snapshot")?.into_iter().map(|o| o.name);
    dead.extend(parts.filter(|name| part_epoch(name).is_some_and(|e| e <= manifest.epoch) && !referenced(name)));
    Ok(dead)
}
