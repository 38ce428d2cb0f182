//! The manifest: which objects are the state. Its numbered chain is both the atomic swap and the fence.
//!
//! A manifest is one small JSON object, `manifest/<n>.json`, written only if there is none of that number; the highest
//! number wins. Pure here: encoding, and the rule that says which log objects count ([`Manifest::is_live`]). Reading and
//! swapping go through [`Objects`].

use super::error::StoreError;
use super::log::LogName;
use super::objects::{Created, Objects};
use super::snapshot::Snapshot;
use crate::time::Tick;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, Hasher};

/// The format this build writes, and the newest it reads.
pub const FORMAT: u32 = 3;

/// Where the log of an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochStart {
    /// The epoch.
    pub epoch: u64,
    /// The last tick recorded when it began; older epochs end there.
    pub after: Option<Tick>,
}

/// The state of a state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Format version.
    pub format: u32,
    /// The state's own name, drawn when it was created; states of earlier builds get one when they are opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its own number.
    pub number: u64,
    /// Who may append.
    pub epoch: u64,
    /// The process that wrote it: tells two processes apart that reach for the same epoch.
    pub writer: String,
    /// Where epochs began, as far back as it matters; the current one is missing while it is still being opened.
    pub epochs: Vec<EpochStart>,
    /// The snapshot, once there was a fold.
    pub snapshot: Option<Snapshot>,
    /// The live log is what comes after this tick: the snapshot's.
    pub log_after: Option<Tick>,
    /// Digest of this object with this field empty.
    #[serde(default)]
    pub blake3: String,
}

/// A name that no other state has: two keyed hashes, each keyed by the system's random numbers.
fn fresh_id() -> String {
    let random = || std::hash::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl Manifest {
    /// What stands for "no manifest yet".
    pub fn blank() -> Self {
        Manifest {
            format: FORMAT,
            id: String::new(),
            number: 0,
            epoch: 0,
            writer: String::new(),
            epochs: Vec::new(),
            snapshot: None,
            log_after: None,
            blake3: String::new(),
        }
    }

    /// The name of a manifest.
    pub fn object(number: u64) -> String {
        format!("manifest/{number:020}.json")
    }

    /// The number in a name, if it is a manifest's.
    pub fn number_of(object: &str) -> Option<u64> {
        let number = object.strip_prefix("manifest/")?.strip_suffix(".json")?.parse().ok()?;
        (Self::object(number) == object).then_some(number)
    }

    /// Whether a log object belongs to the state: not folded yet, and not written by an epoch after it had been fenced.
    pub fn is_live(&self, name: LogName) -> bool {
        self.log_after < Some(name.tick)
            && name.epoch <= self.epoch
            && self
                .epochs
                .iter()
                .all(|later| later.epoch <= name.epoch || later.after >= Some(name.tick))
    }

    /// The next manifest, with the epoch one higher and not begun: the fence.
    pub fn fenced(&self, writer: &str) -> Self {
        let id = if self.id.is_empty() {
            fresh_id()
        } else {
            self.id.clone()
        };
        Manifest {
            // What is written from here on is of this build's format.
            format: FORMAT,
            id,
            number: self.number + 1,
            epoch: self.epoch + 1,
            writer: writer.to_owned(),
            ..self.clone()
        }
    }

    /// The next manifest, in which the epoch begins after `last`.
    pub fn begun(&self, last: Option<Tick>) -> Self {
        let mut next = Manifest {
            number: self.number + 1,
            ..self.clone()
        };
        next.epochs.push(EpochStart {
            epoch: self.epoch,
            after: last,
        });
        next.forget_old_epochs();
        next
    }

    /// The next manifest, in which the snapshot replaces the log up to its tick.
    pub fn folded(&self, snapshot: Snapshot) -> Self {
        let mut next = Manifest {
            number: self.number + 1,
            ..self.clone()
        };
        next.log_after = Some(snapshot.tick);
        next.snapshot = Some(snapshot);
        next.forget_old_epochs();
        next
    }

    /// Of epochs that began at the same place only the newest excludes anything, and the snapshot's end is one place.
    fn forget_old_epochs(&mut self) {
        let all = std::mem::take(&mut self.epochs);
        let bound = |e: &EpochStart| e.after.max(self.log_after);
        let counts = |i: usize, e: &EpochStart| all.get(i + 1).is_none_or(|later| bound(later) > bound(e));
        self.epochs = all
            .iter()
            .enumerate()
            .filter(|(i, e)| counts(*i, e))
            .map(|(_, e)| *e)
            .collect();
    }

    fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let mut sealed = self.clone();
        sealed.blake3 = self.digest()?;
        serde_json::to_vec_pretty(&sealed).map(Bytes::from)
    }

    fn digest(&self) -> Result<String, serde_json::Error> {
        let mut open = self.clone();
        open.blake3.clear();
        Ok(blake3::hash(&serde_json::to_vec(&open)?).to_hex().to_string())
    }

    fn decode(number: u64, bytes: &[u8], objects: &Objects) -> Result<Self, StoreError> {
        let damaged = |problem: String| StoreError::damaged(objects.full(&Self::object(number)), problem);
        let version: Version = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if version.format > u64::from(FORMAT) {
            let place = objects.place().to_owned();
            return Err(StoreError::Newer {
                place,
                format: version.format,
                supported: FORMAT,
            });
        }
        let mut manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if manifest.number != number {
            return Err(damaged(format!("it says that it is number {}", manifest.number)));
        }
        let digest = manifest.digest().map_err(|e| damaged(e.to_string()))?;
        if manifest.blake3 != digest {
            return Err(damaged("its content does not match its digest".into()));
        }
        manifest.blake3.clear();
        Ok(manifest)
    }

    /// The newest manifest's number, if there is one.
    pub fn newest_number(objects: &Objects) -> Result<Option<u64>, StoreError> {
        Ok(objects
            .list("manifest")?
            .iter()
            .filter_map(|o| Self::number_of(&o.name))
            .max())
    }

    /// The newest manifest, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or was written by a newer version.
    pub fn newest(objects: &Objects) -> Result<Option<Self>, StoreError> {
        // A manifest is removed only once there is a newer one, so a list that went stale is worth another look.
        for _ in 0..8 {
            let Some(number) = Self::newest_number(objects)? else {
                return Ok(None);
            };
            if let Some(bytes) = objects.try_get(&Self::object(number))? {
                return Self::decode(number, &bytes, objects).map(Some);
            }
        }
        Err(StoreError::damaged(
            objects.full("manifest"),
            "its objects vanish while they are read",
        ))
    }

    /// Makes this the newest manifest. `false` if somebody else has written this number or a later one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn install(&self, objects: &Objects) -> Result<bool, StoreError> {
        let object = Self::object(self.number);
        let bytes = self
            .encode()
            .map_err(|e| StoreError::from_io("write", objects.full(&object), e))?;
        if objects.create(&object, bytes.clone())? == Created::Exists {
            // An earlier attempt of ours may have been reported as failed after it had landed.
            if objects.try_get(&object)?.as_ref() != Some(&bytes) {
                return Ok(false);
            }
        }
        // The number could be free again because newer manifests came and this one's namesake was collected.
        Ok(Self::newest_number(objects)? == Some(self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(tick: Tick) -> Snapshot {
        Snapshot {
            tick,
            clock: 0,
            bindings: vec![],
            rows: 0,
            parts: vec![],
        }
    }

    fn live(manifest: &Manifest, epoch: u64, tick: Tick) -> bool {
        manifest.is_live(LogName { epoch, tick })
    }

    #[test]
    fn an_old_epoch_ends_where_the_next_began() {
        let first = Manifest::blank().fenced("w").begun(None);
        assert!(live(&first, 1, 0) && live(&first, 1, 900) && !live(&first, 2, 900));
        let second = first.fenced("w").begun(Some(50));
        assert!(live(&second, 1, 50) && !live(&second, 1, 51) && live(&second, 2, 51));
        let third = second.fenced("w").begun(Some(60));
        assert!(
            !live(&third, 1, 55),
            "written by epoch 1 after it was fenced: no later epoch brings it back"
        );
        assert!(live(&third, 2, 60) && !live(&third, 2, 61) && live(&third, 3, 61));
    }

    #[test]
    fn an_epoch_that_began_with_nothing_ends_all_before() {
        let second = Manifest::blank().fenced("w").begun(None).fenced("w").begun(None);
        assert!(!live(&second, 1, 0) && live(&second, 2, 0));
    }

    #[test]
    fn many_restarts_without_progress_leave_one_entry() {
        let mut manifest = Manifest::blank().fenced("w").begun(None).fenced("w").begun(Some(7));
        for _ in 0..100 {
            manifest = manifest.fenced("w").begun(Some(7));
        }
        assert_eq!(
            manifest.epochs,
            [
                EpochStart { epoch: 1, after: None },
                EpochStart {
                    epoch: 102,
                    after: Some(7)
                }
            ]
        );
        assert!(live(&manifest, 1, 7) && live(&manifest, 50, 7) && !live(&manifest, 50, 8) && live(&manifest, 102, 8));
    }

    #[test]
    fn a_fold_ends_the_log_up_to_its_tick_and_forgets_what_no_longer_matters() {
        let third = Manifest::blank()
            .fenced("w")
            .begun(None)
            .fenced("w")
            .begun(Some(50))
            .fenced("w")
            .begun(Some(60));
        let folded = third.folded(snapshot(55));
        assert_eq!(
            folded.epochs,
            [
                EpochStart {
                    epoch: 2,
                    after: Some(50)
                },
                EpochStart {
                    epoch: 3,
                    after: Some(60)
                }
            ]
        );
        assert!(!live(&folded, 2, 55) && live(&folded, 2, 60) && !live(&folded, 1, 56) && live(&folded, 3, 61));
        let folded = folded.folded(snapshot(70));
        assert_eq!(
            folded.epochs,
            [EpochStart {
                epoch: 3,
                after: Some(60)
            }]
        );
        assert!(!live(&folded, 2, 71) && live(&folded, 3, 71));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, _lock) = Objects::locked(&folder.path().display().to_string()).expect("open");
        let manifest = Manifest::blank().fenced("w");
        assert!(manifest.install(&objects).expect("written"));
        assert!(manifest.install(&objects).expect("the same again is the same"));
        let rival = Manifest::blank().fenced("another");
        assert!(!rival.install(&objects).expect("taken"));
        assert_eq!(Manifest::newest(&objects).expect("read"), Some(manifest.clone()));
        let later = Manifest {
            number: 5,
            ..manifest.clone()
        };
        assert!(later.install(&objects).expect("written"));
        assert!(
            !Manifest { number: 4, ..manifest }
                .install(&objects)
                .expect("free, but not the newest")
        );
    }

    #[test]
    fn newer_formats_and_damage_have_names() {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, _lock) = Objects::locked(&folder.path().display().to_string()).expect("open");
        let put = |text: &str| {
            objects
                .put(&Manifest::object(1), Bytes::from(text.to_owned()))
                .expect("put")
        };
        put("{\"format\": 7, \"whatever\": []}");
        assert!(matches!(
            Manifest::newest(&objects),
            Err(StoreError::Newer {
                format: 7,
                supported: FORMAT,
                ..
            })
        ));
        put("{\"form");
        assert!(matches!(Manifest::newest(&objects), Err(StoreError::Damaged { .. })));
        let good = Manifest::blank().fenced("w").encode().expect("encoded");
        let bad = String::from_utf8_lossy(&good).replace("\"epoch\": 1", "\"epoch\": 2");
        put(&bad);
        let error = Manifest::newest(&objects).expect_err("changed by hand");
        assert!(error.to_string().contains("00000000000000000001.json"), "{error}");
    }
}
