//! What a manifest can say that no bundle can mean. Pure; what depends on the checkpoints is checked when they are read.

use super::{HeadSpec, Manifest, TaskSpec};

/// The first mistake.
pub(super) fn problem(manifest: &Manifest) -> Option<String> {
    let encoders = manifest.encoders.iter().find_map(|(name, encoder)| {
        let at = |key: &str| {
            if manifest.encoders.len() == 1 {
                key.to_owned()
            } else {
                format!("encoders.{name}.{key}")
            }
        };
        if let Some(n) = encoder.max_tokens.filter(|n| *n < 3) {
            return Some(format!("{} is {n}; a text needs at least 3", at("max_tokens")));
        }
        if encoder.features.as_ref().is_some_and(|f| f.layers.is_empty()) {
            return Some(format!(
                "{} is empty; name at least one hidden state",
                at("features.layers")
            ));
        }
        if encoder.base.package.is_some() == encoder.base.path.is_some() {
            return Some(format!("{} needs either a package or a path", at("base")));
        }
        None
    });
    encoders.or_else(|| {
        manifest
            .tasks
            .all()
            .find_map(|(name, task)| task_problem(manifest, name, task))
    })
}

fn task_problem(manifest: &Manifest, name: &str, task: &TaskSpec) -> Option<String> {
    let flag = matches!(name, "toxicity" | "sarcasm");
    let known = || manifest.encoders.keys().cloned().collect::<Vec<_>>().join(", ");
    match &task.encoder {
        Some(encoder) if !manifest.encoders.contains_key(encoder) => {
            return Some(format!("tasks.{name}.encoder is \"{encoder}\"; there are {}", known()));
        }
        None if manifest.encoders.len() > 1 => {
            return Some(format!("tasks.{name}.encoder is not said; there are {}", known()));
        }
        _ => {}
    }
    if task.head == Some(HeadSpec::Mlp) && manifest.heads.is_none() {
        return Some(format!(
            "tasks.{name}.head is mlp; such heads are in a file that `heads` names"
        ));
    }
    if let Some(t) = task.temperature.filter(|t| !(t.is_finite() && *t > 0.0)) {
        return Some(format!("tasks.{name}.temperature is {t}; it must be above 0"));
    }
    if let Some(cutoff) = task.cutoff {
        if !flag {
            return Some(format!("tasks.{name}.cutoff: only toxicity and sarcasm have one"));
        }
        if !(0.0..=1.0).contains(&cutoff) {
            return Some(format!("tasks.{name}.cutoff is {cutoff}; it must be between 0 and 1"));
        }
    }
    if task.yes.is_some() && !flag {
        return Some(format!("tasks.{name}.yes: only toxicity and sarcasm have one"));
    }
    if let Some(band) = task.neutral_band {
        if name != "sentiment" {
            return Some(format!("tasks.{name}.neutral_band: only sentiment has one"));
        }
        if !(band > 0.0 && band < 0.5) {
            return Some(format!(
                "tasks.sentiment.neutral_band is {band}; it must be between 0 and 0.5"
            ));
        }
    }
    None
}
