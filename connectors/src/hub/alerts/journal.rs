//! What was told of alerts, in a file beside the record.
//!
//! A restart from the log tells every transition again, at its tick and as it was. One from a snapshot cannot: it tells of the
//! alerts that stand, at the snapshot's tick and with the sums of that time, and of alerts whose windows are forgotten hardly
//! anything. This file has what the snapshot lacks.
//!
//! In: transitions as they are told, and at the first tick what is told of the past. Out: the transitions that make the alerts
//! what they were before the restart. State: the file, each entry with its length and a digest, cut where it ends badly; for
//! a while after a restart which of its entries come again. It is no part of the record: without it alerts are what the
//! snapshot says, and where the two disagree on whether an alert stands the snapshot is right, as transitions may have been
//! lost with a crash or told while nobody served.

use super::HISTORY;
use groundswell_core::id::PostKey;
use groundswell_core::serving::{AlertChange, AlertState};
use groundswell_core::spec::{ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, HOUR, Tick};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Length and digest.
const HEAD: usize = 12;
/// No entry is nearly as long.
const LONGEST: usize = 1 << 20;
/// The file may hold this many entries more than are of use.
const SLACK: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// How the view cuts time and groups: an alert of a view that has changed is no longer one of its rows.
    shape: u64,
    change: AlertChange,
}

type Identity = (u128, Tick, AlertState);

fn identity(change: &AlertChange) -> Identity {
    (change.id, change.at, change.state)
}

/// The file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: usize,
    /// What was in it when it was opened, until the first tick.
    past: Vec<Entry>,
    /// Entries that are told again, and the last of their ticks.
    again: HashSet<Identity>,
    upto: Tick,
}

impl Journal {
    /// Opens the file, or begins it.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (past, good) = decode(&bytes);
        if good < bytes.len() {
            let lost = bytes.len() - good;
            tracing::warn!(file = %path.display(), lost, "the journal of alerts ends badly, as after a crash; it is cut there");
            file.set_len(good as u64)?;
        }
        file.seek(SeekFrom::Start(good as u64))?;
        Ok(Journal {
            path: path.to_owned(),
            file,
            entries: past.len(),
            past,
            again: HashSet::new(),
            upto: 0,
        })
    }

    /// The first tick, and what is told of alerts at it: what is to be told instead.
    pub fn begin(
        &mut self,
        views: &[ViewSpec],
        (tick, clock): (Tick, EventTime),
        told: &[AlertChange],
    ) -> Vec<AlertChange> {
        let past = std::mem::take(&mut self.past);
        let spec = |change: &AlertChange| views.iter().find(|v| *v.name == *change.view);
        let same = past
            .into_iter()
            .filter(|e| spec(&e.change).is_some_and(|s| s.shape() == e.shape));
        let (before, after): (Vec<Entry>, Vec<Entry>) = same.partition(|e| e.change.at <= tick);
        self.again = after.iter().map(|e| identity(&e.change)).collect();
        self.upto = after.iter().map(|e| e.change.at).max().unwrap_or(tick);
        let mut known = HashMap::new();
        for entry in &before {
            known.insert(entry.change.id, entry.change.state);
        }
        let mut now = HashMap::new();
        for change in told {
            now.insert(change.id, change.state);
        }
        // A snapshot does not tell of alerts that were retracted, nor of resolved ones whose window is forgotten.
        let holds = |change: &AlertChange| match (known.get(&change.id), now.get(&change.id)) {
            (known, Some(state)) => known == Some(state),
            (Some(AlertState::Retracted), None) => true,
            (Some(AlertState::Resolved), None) => spec(change).is_some_and(|s| forgotten(s, change, clock)),
            (_, None) => false,
        };
        let kept = before.into_iter().map(|e| e.change).filter(|c| holds(c));
        let kept: Vec<AlertChange> = kept.collect();
        self.again.extend(kept.iter().map(identity));
        let fresh = told.iter().filter(|c| known.get(&c.id) != now.get(&c.id)).cloned();
        kept.into_iter().chain(fresh).collect()
    }

    /// Takes down what is told; what comes again after a restart is there already.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, views: &[ViewSpec], told: &[AlertChange]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for change in told {
            if self.again.remove(&identity(change)) {
                continue;
            }
            if let Some(spec) = views.iter().find(|v| *v.name == *change.view) {
                let entry = Entry {
                    shape: spec.shape(),
                    change: change.clone(),
                };
                encode(&entry, &mut bytes)?;
                self.entries += 1;
            }
        }
        if told.first().is_some_and(|change| change.at > self.upto) {
            self.again.clear();
        }
        self.file.write_all(&bytes)
    }

    /// Makes the file anew when it holds much that is of no use any more: alerts that are no longer kept, and of those that are
    /// all but the latest transitions.
    ///
    /// # Errors
    /// If it cannot be read or written; the old one is there then.
    pub fn compact(&mut self, kept: impl Fn(u128) -> bool, alerts: usize) -> io::Result<()> {
        if self.entries <= 4 * alerts + SLACK {
            return Ok(());
        }
        let (entries, _) = decode(&std::fs::read(&self.path)?);
        let mut left: HashMap<u128, usize> = HashMap::new();
        for entry in entries.iter().filter(|e| kept(e.change.id)) {
            *left.entry(entry.change.id).or_default() += 1;
        }
        let (mut bytes, mut count) = (Vec::new(), 0);
        for entry in &entries {
            let Some(left) = left.get_mut(&entry.change.id) else {
                continue;
            };
            *left -= 1;
            if *left < HISTORY {
                encode(entry, &mut bytes)?;
                count += 1;
            }
        }
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        (self.file, self.entries) = (file, count);
        Ok(())
    }
}

/// Whether the graph no longer knows the window of an alert.
fn forgotten(spec: &ViewSpec, change: &AlertChange, clock: EventTime) -> bool {
    let keep = match spec.window {
        // Sliding views are watched as hopping ones that are kept this long.
        WindowSpec::Sliding { size, .. } => Some((2 * size).max(HOUR)),
        _ => spec.keep,
    };
    keep.is_some_and(|keep| change.window_end.saturating_add(keep) <= clock)
}

fn encode(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(entry).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&digest(&bytes));
    out.extend_from_slice(&bytes);
    Ok(())
}

/// The entries up to where the file ends badly, and where that is.
fn decode(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some((head, rest)) = bytes.get(at..).and_then(|rest| rest.split_at_checked(HEAD)) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = rest.get(..length).filter(|_| length <= LONGEST) else {
            break;
        };
        if digest(body) != head[4..] {
            break;
        }
        let Ok(entry) = rmp_serde::from_slice(body) else {
            break;
        };
        entries.push(entry);
        at += HEAD + length;
    }
    (entries, at)
}

fn digest(bytes: &[u8]) -> [u8; 8] {
    let mut digest = [0; 8];
    digest.copy_from_slice(&PostKey::of(bytes).0.to_le_bytes()[..8]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::{VIEWS, alert, hub};
    use groundswell_core::serving::EvidenceSums;

    fn views() -> Vec<ViewSpec> {
        hub(crate::hub::HubLimits::default()).specs().to_vec()
    }

    /// An alert that tells itself from others of its id.
    fn told(id: u128, state: AlertState, at: Tick) -> AlertChange {
        AlertChange {
            value: Some(0.1 + at as f64 / 3.0),
            sums: EvidenceSums {
                weight: i64::MAX - 1,
                weighted: i128::MIN / 3,
            },
            ..alert(id, state, at)
        }
    }

    use AlertState::{Firing, Resolved, Retracted};

    #[test]
    fn what_a_snapshot_cannot_tell_is_told_from_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.journal");
        let views = views();
        let all = [
            told(1, Firing, 10),
            told(2, Firing, 20),
            told(2, Resolved, 30),
            told(3, Firing, 40),
            told(3, Retracted, 50),
            told(4, Firing, 60),
            told(1, Resolved, 100),
        ];
        let mut journal = Journal::open(&path).expect("begun");
        assert_eq!(journal.begin(&views, (10, 0), &all[..1]), all[..1]);
        for change in &all {
            journal.write(&views, std::slice::from_ref(change)).expect("written");
        }
        let begin = |told: &[AlertChange]| {
            let mut journal = Journal::open(&path).expect("opened");
            assert_eq!(journal.past.len(), all.len());
            let instead = journal.begin(&views, (70, 0), told);
            (journal, instead)
        };
        // As a snapshot at tick 70 tells it: what stands, with the sums of then.
        let at_70 = |id, state| alert(id, state, 70);
        let standing = [at_70(1, Firing), at_70(2, Firing), at_70(2, Resolved), at_70(4, Firing)];
        let (mut journal, instead) = begin(&standing);
        assert_eq!(instead, all[..6]);
        // What comes again is not written again; what is new is.
        let length = || std::fs::metadata(&path).expect("a file").len();
        let before = length();
        journal.write(&views, &instead).expect("written");
        journal.write(&views, &all[6..]).expect("written");
        assert_eq!(length(), before);
        journal.write(&views, &[told(4, Resolved, 110)]).expect("written");
        assert!(length() > before);

        // Where they disagree the snapshot is right: 1 has resolved, 2 is gone, 4 too.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(before))
            .expect("cut");
        let other = [at_70(1, Firing), at_70(1, Resolved)];
        let (_, instead) = begin(&other);
        assert_eq!(instead, [&all[3..5], &other].concat());
    }

    #[test]
    fn a_resolved_alert_whose_window_is_forgotten_is_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.journal");
        let mut views = views();
        views[0].keep = Some(60_000);
        let all = [told(1, Firing, 10), told(1, Resolved, 20), told(2, Firing, 30)];
        Journal::open(&path)
            .and_then(|mut journal| journal.write(&views, &all))
            .expect("written");
        let begin = |views: &[ViewSpec], clock| {
            let mut journal = Journal::open(&path).expect("opened");
            journal.begin(views, (50, clock), &[])
        };
        assert_eq!(begin(&views, 119_999), []);
        assert_eq!(begin(&views, 120_000), all[..2]);
        // Another view of that name is not the one that was watched.
        views[0].window = WindowSpec::Tumble { size: 1_000 };
        assert_eq!(begin(&views, 120_000), []);
    }

    #[test]
    fn a_torn_or_damaged_end_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.journal");
        let views = views();
        let all = [told(1, Firing, 10), told(2, Firing, 20), told(3, Firing, 30)];
        Journal::open(&path)
            .and_then(|mut journal| journal.write(&views, &all))
            .expect("written");
        let whole = std::fs::read(&path).expect("a file");
        let entry = whole.len() / 3;
        for (cut, entries) in [(whole.len() - 1, 2), (2 * entry + 3, 2), (entry, 1), (5, 0)] {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let mut journal = Journal::open(&path).expect("opened");
            assert_eq!(journal.past.len(), entries, "{cut}");
            journal.write(&views, &all[2..]).expect("written");
            assert_eq!(Journal::open(&path).expect("opened").past.len(), entries + 1, "{cut}");
        }
        let mut damaged = whole.clone();
        damaged[entry + HEAD + 9] ^= 1;
        std::fs::write(&path, &damaged).expect("written");
        assert_eq!(Journal::open(&path).expect("opened").past.len(), 1);
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.journal");
        let views = views();
        let mut journal = Journal::open(&path).expect("begun");
        for at in 0..10_000 {
            let id = u128::from(at % 20);
            journal.write(&views, &[told(id, Firing, at)]).expect("written");
            journal.compact(|id| id < 10, 10).expect("compacted");
            assert!(journal.entries <= SLACK + 41);
        }
        let past = Journal::open(&path).expect("opened").past;
        assert_eq!(past.len(), journal.entries);
        assert_eq!(past.last().map(|e| e.change.at), Some(9_999));
        assert_eq!(views[0].name, VIEWS[0]);
    }
}
