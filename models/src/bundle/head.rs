//! The heads of a bundle: which encoder each stands on, and which tensors it is made of.

use super::names::{Shaped, linear};
use super::tasks::{Answerer, Tasks};
use super::tensors::{Blob, Stored};
use super::{BundleError, Encoder, EncoderSpec, HeadSpec, Manifest};
use serde::Serialize;
use std::path::Path;

/// What answers a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// `sentiment`, `toxicity`, `sarcasm` or `emotion`.
    pub task: &'static str,
    /// Place of its encoder in the bundle.
    pub encoder: usize,
    /// Its form.
    pub form: HeadSpec,
    /// Its logits.
    pub outputs: usize,
}

impl Head {
    /// Its tensors in its encoder's checkpoint.
    pub(super) fn in_checkpoint(&self, encoder: &Encoder) -> Vec<Shaped> {
        let width = encoder.config.width;
        match &self.form {
            HeadSpec::Mlp => Vec::new(),
            HeadSpec::Linear(name) => linear(name, self.outputs, width).into(),
            HeadSpec::Classifier => {
                let [dense, last] = encoder.names.classifier();
                let (dense, last) = (linear(&dense, width, width), linear(&last, self.outputs, width));
                dense.into_iter().chain(last).collect()
            }
        }
    }

    /// Its tensors in the bundle's file of heads. How wide such a head is inside, its own `fc1.bias` says.
    fn in_file(&self, encoder: &Encoder, file: &Stored<'_>) -> Result<Vec<Shaped>, BundleError> {
        if self.form != HeadSpec::Mlp {
            return Ok(Vec::new());
        }
        let layers = encoder.features.as_ref().map_or(0, |features| features.layers.len());
        let task = self.task;
        let inner = file.floats(&format!("{task}.fc1.bias"))?.shape().iter().product();
        let (first, second) = (
            linear(&format!("{task}.fc1"), inner, encoder.config.width * layers),
            linear(&format!("{task}.fc2"), self.outputs, inner),
        );
        Ok(first.into_iter().chain(second).collect())
    }
}

/// Finds the head of every task, and how its logits are read.
pub(super) fn resolve(
    manifest: &Manifest,
    named: &[(String, EncoderSpec)],
    encoders: &[Encoder],
    path: &Path,
) -> Result<(Tasks, Vec<Head>), BundleError> {
    let wrong = |why| BundleError::Labels { path: path.into(), why };
    let mut found = Vec::new();
    for (task, spec) in manifest.tasks.all() {
        let name = spec.encoder.as_ref();
        let place = named
            .iter()
            .position(|(n, _)| name.is_none_or(|name| name == n))
            .unwrap_or(0);
        let features = encoders[place].features.is_some();
        let default = if manifest.heads.is_some() && features {
            HeadSpec::Mlp
        } else {
            HeadSpec::Classifier
        };
        let form = spec.head.clone().unwrap_or(default);
        if form == HeadSpec::Mlp && !features {
            let why = format!("tasks.{task}.head is mlp; its encoder needs `features`, the hidden states it looks at");
            return Err(wrong(why));
        }
        found.push((task, spec, place, form));
    }
    let answerers: Vec<Answerer<'_>> = found
        .iter()
        .map(|(task, spec, place, head)| Answerer {
            task,
            spec,
            head,
            config: &encoders[*place].config,
        })
        .collect();
    let tasks = super::tasks::resolve(&answerers).map_err(wrong)?;
    let heads = found.iter().map(|(task, _, encoder, form)| Head {
        task,
        encoder: *encoder,
        form: form.clone(),
        outputs: tasks.outputs(task),
    });
    let heads = heads.collect();
    Ok((tasks, heads))
}

/// Checks the bundle's file of heads.
pub(super) fn check_file(heads: &[Head], encoders: &[Encoder], file: Option<&Blob>) -> Result<(), BundleError> {
    let Some(file) = file else { return Ok(()) };
    let stored = Stored::of([file])?;
    let mut wanted = Vec::new();
    for head in heads {
        wanted.extend(head.in_file(&encoders[head.encoder], &stored)?);
    }
    stored.check_exactly(&wanted, |_| false, "task of the bundle")
}
