//! The single sections: `name`, `state`, `time`, `link`, `models`, `weight`, `serve`, `workers`.

use super::error::quoted;
use super::fallback::fallback;
use super::field::Field;
use super::pipeline::{Clock, Device, LiveModel, ModelConfig, Precision, StateConfig, TimeConfig};
use super::read::Section;
use groundswell_core::acc::UNIT;
use groundswell_core::spec::{LinkSpec, MAX_WEIGHT, WeightSpec};

/// Longest name: what Postgres allows for tables and schemas.
const MAX_NAME: usize = 63;

/// Whether a name is a lower-case letter, then letters, digits, `_` (and, where allowed, `-`).
pub(super) fn is_name(name: &str, hyphen: bool) -> bool {
    let mut chars = name.chars();
    name.len() <= MAX_NAME
        && chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || (hyphen && c == '-'))
}

/// `name:`
pub(super) fn name(root: &Section<'_>) -> Option<String> {
    let field = root.required("name")?;
    let name = field.text()?;
    if !is_name(&name, true) {
        let rule = format!("use a lower-case letter, then letters, digits, \"_\" or \"-\"; at most {MAX_NAME}");
        field.error(format!("{} is not a name", quoted(&name)), Some(rule));
        return None;
    }
    Some(name)
}

/// `state:`
pub(super) fn state(root: &Section<'_>) -> Option<StateConfig> {
    let section = root.section("state")?;
    let folder = section.get("url").and_then(|f| state_folder(&f));
    let fold_after = section.get("fold_after").and_then(|f| f.size());
    Some(StateConfig {
        folder: folder?,
        fold_after: u64::try_from(fold_after?).ok()?,
    })
}

fn state_folder(field: &Field<'_>) -> Option<std::path::PathBuf> {
    let url = field.text()?;
    let Some(path) = url.strip_prefix("file:") else {
        match url.split_once("://") {
            Some((scheme, _)) => {
                let message = format!(
                    "not supported in this build: state in {}",
                    quoted(&format!("{scheme}://…"))
                );
                field.error(message, Some("use a folder, as in \"file:./state\"".to_owned()));
            }
            None => field.error(
                format!("{} is not a URL", quoted(&url)),
                Some("write \"file:./state\"".to_owned()),
            ),
        }
        return None;
    };
    // `file:///var/state` and `file:/var/state` are the same; a host is not.
    let path = match path.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => {
            field.error(
                format!("{} names a host", quoted(&url)),
                Some("write \"file:./state\" or \"file:/var/state\"".to_owned()),
            );
            return None;
        }
        None => path,
    };
    let folder = field.resolve(path)?;
    if folder.is_file() {
        field.error(format!("{} is a file, not a folder", folder.display()), None);
        return None;
    }
    Some(folder)
}

/// `time:`
pub(super) fn time(root: &Section<'_>) -> Option<TimeConfig> {
    let section = root.section("time")?;
    let clock = section.get("clock").and_then(|f| f.choice()).and_then(Clock::named);
    let tick = section.get("tick").and_then(|f| f.duration());
    let skew = section.get("max_future_skew").and_then(|f| f.duration());
    let strict = section.get("strict").and_then(|f| f.bool());
    Some(TimeConfig {
        clock: clock?,
        tick_ms: tick?,
        max_future_skew_ms: skew?,
        strict: strict?,
    })
}

/// `link:`
#[allow(clippy::cast_possible_truncation)] // the table keeps confidence within 0 and 1
pub(super) fn link(root: &Section<'_>) -> Option<LinkSpec> {
    let section = root.section("link")?;
    let confidence = section.section("exact").and_then(|s| s.get("confidence")?.number());
    let fuzzy = match section.given("fuzzy") {
        Some(field) if field.is("false") => Some(None),
        _ => section
            .section("fuzzy")
            .and_then(|s| s.get("min")?.integer())
            .and_then(|v| u8::try_from(v).ok())
            .map(Some),
    };
    let inherit = section.get("inherit_from_parent").and_then(|f| f.bool());
    let compat = section.get("compat").and_then(|f| f.choice());
    Some(LinkSpec {
        exact_confidence: (confidence? * 1e6).round() as i32,
        fuzzy_min: fuzzy?,
        inherit_from_parent: inherit?,
        seed_compat: compat? == "seed",
    })
}

/// `models:`
pub(super) fn model(root: &Section<'_>) -> Option<ModelConfig> {
    let section = root.section("models")?;
    let live = section.get("live").and_then(|f| live_model(&f));
    let threads = section.get("threads").and_then(|f| {
        if f.is("auto") {
            Some(None)
        } else {
            f.integer().and_then(|v| usize::try_from(v).ok()).map(Some)
        }
    });
    let batch = section.section("batch");
    let max = batch
        .as_ref()
        .and_then(|b| b.get("max")?.integer())
        .and_then(|v| usize::try_from(v).ok());
    let age = batch.as_ref().and_then(|b| b.get("age")?.duration());
    let fallback = fallback(&section);
    Some(ModelConfig {
        fallback: fallback?,
        live: live?,
        threads: threads?,
        batch_max: max?,
        batch_age_ms: age?,
    })
}

fn live_model(field: &Field<'_>) -> Option<LiveModel> {
    if field.is("given") {
        return Some(LiveModel::Given);
    }
    if field.is("fixture") {
        return Some(LiveModel::Fixture);
    }
    bundle(&field.section()?)
}

/// The model whose folder a section names.
pub(super) fn bundle(section: &Section<'_>) -> Option<LiveModel> {
    let device = section.get("device").and_then(|f| device(&f));
    let precision = section
        .get("precision")
        .and_then(|f| f.choice())
        .and_then(Precision::named);
    let path = section.required("path").and_then(|f| {
        let path = f.path()?;
        if !path.is_dir() {
            f.error(format!("no model folder at {}", path.display()), None);
            return None;
        }
        Some(path)
    });
    Some(LiveModel::Bundle {
        path: path?,
        device: device?,
        precision: precision?,
    })
}

fn device(field: &Field<'_>) -> Option<Device> {
    let word = field.text()?;
    let device = Device::named(&word);
    if device.is_none() {
        let hint = "write auto, cpu, or cuda:N with the number of a GPU".to_owned();
        field.error(format!("{} is not a device", quoted(&word)), Some(hint));
    }
    device
}

/// `weight:`
pub(super) fn weight(root: &Section<'_>) -> Option<WeightSpec> {
    let Some(field) = root.given("weight") else {
        return Some(WeightSpec::default());
    };
    let (section, kind) = field.variant("kind")?;
    match kind {
        "linear_clamped" => Some(WeightSpec::LinearClamped {
            max: section.required("max")?.integer()?,
        }),
        "uniform" => Some(WeightSpec::Uniform),
        "table" => Some(WeightSpec::Table {
            steps: steps(&section.required("table")?)?,
        }),
        _ => Some(WeightSpec::Log1p),
    }
}

/// `[[votes, weight], …]`, thresholds ascending.
fn steps(field: &Field<'_>) -> Option<Vec<(i64, i64)>> {
    let expected = "a list of [votes, weight]";
    let mut steps: Vec<(i64, i64)> = Vec::new();
    let mut good = true;
    for item in field.list(expected)? {
        match step(&item, steps.last().map(|s| s.0)) {
            Some(step) => steps.push(step),
            None => good = false,
        }
    }
    if good && steps.is_empty() {
        field.error("has no steps", None);
        good = false;
    }
    good.then_some(steps)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // weights are checked to be small
fn step(item: &Field<'_>, before: Option<i64>) -> Option<(i64, i64)> {
    let pair = item.list("a pair [votes, weight]")?;
    let [votes, weight] = pair.as_slice() else {
        item.error(
            format!("expected a pair [votes, weight], found {} values", pair.len()),
            None,
        );
        return None;
    };
    let (from, units) = (votes.whole(), weight.real());
    if let (Some(from), Some(before)) = (from, before)
        && from <= before
    {
        votes.error(format!("thresholds must ascend, and {from} follows {before}"), None);
        return None;
    }
    let units = units?;
    if !(0.0..=MAX_WEIGHT as f64).contains(&units) {
        weight.error(format!("must be between 0 and {MAX_WEIGHT}, not {units}"), None);
        return None;
    }
    Some((from?, (units * UNIT as f64).round() as i64))
}

/// `workers:`
pub(super) fn workers(root: &Section<'_>) -> Option<usize> {
    root.get("workers")?.integer().and_then(|v| usize::try_from(v).ok())
}
