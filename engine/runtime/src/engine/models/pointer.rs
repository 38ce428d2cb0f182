//! Which model is live, according to the record and the configuration. Pure: what comes out is what is to be recorded.
//!
//! The record decides. A model that was promoted stays live over restarts as long as the configuration names the same live
//! model as it did then; a configuration that names another one means it.

use super::{Known, SwitchError};
use groundswell_core::id::ModelKey;
use groundswell_core::record::{Past, Record};

/// Promotions that can be rolled back, one after the other.
const STEPS: usize = 16;

/// See the module documentation.
#[derive(Default)]
pub(crate) struct Pointer {
    live: Option<(ModelKey, Past)>,
    /// The configured models, the live one first.
    known: Vec<Known>,
    /// The configured model becomes live, whatever was promoted.
    as_configured: bool,
}

impl Pointer {
    pub(crate) fn new(known: Vec<Known>, as_configured: bool) -> Self {
        Pointer {
            live: None,
            known,
            as_configured,
        }
    }

    /// Learns what the record says.
    pub(crate) fn remember(&mut self, model: ModelKey, past: &Past) {
        self.live = Some((model, past.clone()));
    }

    pub(crate) fn live(&self) -> Option<ModelKey> {
        self.live.as_ref().map(|(model, _)| *model)
    }

    /// What the configuration says and the record does not.
    pub(crate) fn configure(&self, configured: Option<ModelKey>) -> Result<Option<Record>, String> {
        let Some(model) = configured else { return Ok(None) };
        let record = |past| Ok(Some(Record::LiveModel { model, past }));
        match &self.live {
            None => record(Past::default()),
            Some((live, past)) if *live == model => match past.configured {
                // The promoted model has come into the file: from now on the file speaks for it.
                Some(before) if before != model => record(Past {
                    configured: None,
                    ..past.clone()
                }),
                _ => Ok(None),
            },
            Some((live, past)) if past.configured == Some(model) && !self.as_configured => {
                if self.known.iter().any(|known| known.key == *live) {
                    let name = self.name(*live);
                    tracing::info!(model = %live, name, "the model that was promoted is live");
                    return Ok(None);
                }
                let has: Vec<String> = self.known.iter().map(|k| format!("{} ({})", k.name, k.key)).collect();
                Err(format!(
                    "the live model is {live}, which was promoted, and none of the models in the pipeline file is it: {}. Put it \
                     back under models.shadow (a folder that was changed is another model), name in models.live what is to be \
                     live from now on, or start once with --live-as-configured",
                    has.join(", ")
                ))
            }
            Some(_) => record(Past::default()),
        }
    }

    /// The record that makes a model live, and the model that was.
    pub(crate) fn promote(&self, model: ModelKey) -> Result<(Record, ModelKey), SwitchError> {
        let Some((live, past)) = &self.live else {
            return Err(SwitchError::NotNow("no model is live yet".into()));
        };
        if *live == model {
            return Err(SwitchError::AlreadyLive(self.name(model)));
        }
        let mut before = past.before.clone();
        before.push(*live);
        if before.len() > STEPS {
            before.remove(0);
        }
        Ok((self.record(model, before), *live))
    }

    /// The record that makes the model live that was before, and the model that was.
    pub(crate) fn back(&self) -> Result<(Record, ModelKey), SwitchError> {
        let Some((live, past)) = &self.live else {
            return Err(SwitchError::NothingBefore);
        };
        let mut before = past.before.clone();
        let model = before.pop().ok_or(SwitchError::NothingBefore)?;
        Ok((self.record(model, before), *live))
    }

    fn record(&self, model: ModelKey, before: Vec<ModelKey>) -> Record {
        let configured = self.known.first().map(|known| known.key);
        let past = Past { before, configured };
        Record::LiveModel { model, past }
    }

    fn name(&self, model: ModelKey) -> String {
        let known = self.known.iter().find(|known| known.key == model);
        known.map_or_else(|| model.to_string(), |known| known.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ModelKey = ModelKey(1);
    const B: ModelKey = ModelKey(2);
    const C: ModelKey = ModelKey(3);

    fn pointer(keys: &[ModelKey]) -> Pointer {
        let known = |key: &ModelKey| Known {
            name: format!("m{}", { key.0 }),
            key: *key,
            share: 0,
        };
        Pointer::new(keys.iter().map(known).collect(), false)
    }

    /// Applies a record, as the recorder does.
    fn apply(pointer: &mut Pointer, record: Record) {
        let Record::LiveModel { model, past } = record else {
            panic!("{record:?}")
        };
        pointer.remember(model, &past);
    }

    /// The same record, seen by a process with these models.
    fn restarted(pointer: &Pointer, keys: &[ModelKey]) -> Pointer {
        let mut next = self::pointer(keys);
        if let Some((model, past)) = &pointer.live {
            next.remember(*model, past);
        }
        next
    }

    fn promoted(keys: &[ModelKey], to: ModelKey) -> Pointer {
        let mut p = pointer(keys);
        let first = p.configure(Some(keys[0])).expect("taken").expect("recorded");
        apply(&mut p, first);
        let (record, was) = p.promote(to).expect("promoted");
        assert_eq!(was, keys[0]);
        apply(&mut p, record);
        p
    }

    #[test]
    fn without_promotions_the_file_decides() {
        let mut p = pointer(&[A]);
        let first = p.configure(Some(A)).expect("taken").expect("recorded");
        apply(&mut p, first);
        assert_eq!(p.configure(Some(A)), Ok(None));
        let p = restarted(&p, &[C]);
        let changed = p.configure(Some(C)).expect("taken").expect("recorded");
        let past = Past::default();
        assert_eq!(changed, Record::LiveModel { model: C, past });
        assert_eq!(p.configure(None), Ok(None), "records bring their sentiment now");
    }

    #[test]
    fn what_was_promoted_stays_until_the_file_names_another() {
        let p = promoted(&[A, B], B);
        assert_eq!(restarted(&p, &[A, B]).configure(Some(A)), Ok(None));
        // The file names it: it is live as if it had always been.
        let mut graduated = restarted(&p, &[B, A]);
        let record = graduated.configure(Some(B)).expect("taken").expect("recorded");
        apply(&mut graduated, record);
        assert_eq!(graduated.configure(Some(B)), Ok(None));
        // From then on the old one in the file is a change.
        let back = restarted(&graduated, &[A, B]).configure(Some(A)).expect("taken");
        assert_eq!(
            back,
            Some(Record::LiveModel {
                model: A,
                past: Past::default()
            })
        );
        // A third one is a change at any time.
        let other = restarted(&p, &[C, A, B]).configure(Some(C)).expect("taken");
        assert!(matches!(other, Some(Record::LiveModel { model: C, .. })), "{other:?}");
    }

    #[test]
    fn a_promoted_model_that_is_gone_is_not_replaced_silently() {
        let p = promoted(&[A, B], B);
        let why = restarted(&p, &[A]).configure(Some(A)).expect_err("refused");
        assert!(
            why.contains("none of the models") && why.contains("--live-as-configured"),
            "{why}"
        );
        let mut asked = restarted(&p, &[A]);
        asked.as_configured = true;
        let record = asked.configure(Some(A)).expect("taken");
        assert!(matches!(record, Some(Record::LiveModel { model: A, .. })), "{record:?}");
    }

    #[test]
    fn rollbacks_go_back_step_by_step() {
        let mut p = promoted(&[A, B, C], B);
        assert_eq!(p.promote(B), Err(SwitchError::AlreadyLive("m2".into())));
        let (record, _) = p.promote(C).expect("promoted");
        apply(&mut p, record);
        for (live, was) in [(B, C), (A, B)] {
            let (record, left) = restarted(&p, &[A, B, C]).back().expect("back");
            assert_eq!(left, was);
            apply(&mut p, record);
            assert_eq!(p.live(), Some(live));
        }
        assert_eq!(p.back(), Err(SwitchError::NothingBefore));
        assert_eq!(pointer(&[A]).back(), Err(SwitchError::NothingBefore));
    }
}
