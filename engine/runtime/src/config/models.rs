//! `models.shadow`, `models.standby_share`, `models.rescore_rate` and `alerts`: models beside the live one.

use super::error::quoted;
use super::field::Field;
use super::pipeline::{LifecycleConfig, LiveModel, ModelConfig, ShadowConfig, ShadowModel};
use super::read::Section;
use super::settings::bundle;
use groundswell_core::score::PPM;

/// All of them; `live` is what `models.live` says, if that could be read.
pub(super) fn lifecycle(root: &Section<'_>, model: Option<&ModelConfig>) -> Option<LifecycleConfig> {
    let section = root.section("models")?;
    let live = model.map(|model| &model.live);
    let shadows = match section.given("shadow") {
        None => Some(Vec::new()),
        Some(field) => shadows(&field, live),
    };
    let standby = section.get("standby_share").and_then(|f| share(&f));
    let rate = section.get("rescore_rate").and_then(|f| {
        if f.is("unlimited") {
            Some(None)
        } else {
            f.integer().and_then(|v| u32::try_from(v).ok()).map(Some)
        }
    });
    let changes = root.section("alerts")?.get("model_changes").and_then(|f| f.choice());
    Some(LifecycleConfig {
        shadows: shadows?,
        standby_share: standby?,
        rescore_rate: rate?,
        deliver_alerts: changes? == "deliver",
    })
}

/// A share of one as ppm.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the table keeps it within 0 and 1
fn share(field: &Field<'_>) -> Option<u32> {
    Some((field.number()? * f64::from(PPM)).round() as u32)
}

fn shadows(field: &Field<'_>, live: Option<&LiveModel>) -> Option<Vec<ShadowConfig>> {
    let items = field.list("a list of models")?;
    if !items.is_empty() && live == Some(&LiveModel::Given) {
        let hint = "name a model in models.live, or leave the shadows out".to_owned();
        field.error(
            "there is no live model to compare with: models.live is \"given\"",
            Some(hint),
        );
        return None;
    }
    let mut all: Vec<ShadowConfig> = Vec::new();
    let mut good = true;
    for item in items {
        let Some(shadow) = shadow(&item) else {
            good = false;
            continue;
        };
        let twin = |other: &ShadowConfig| other.model == shadow.model;
        if live.is_some_and(|live| shadow.model == ShadowModel::Bundle(live.clone())) {
            let hint = "a shadow is another folder, or another precision".to_owned();
            item.error("this is the live model itself", Some(hint));
            good = false;
        } else if let Some(other) = all.iter().find(|other| twin(other)) {
            item.error(format!("this is the same model as {}", quoted(&other.name)), None);
            good = false;
        }
        let mut names = all
            .iter()
            .map(|other| other.name.clone())
            .chain(live.map(LiveModel::name));
        if names.any(|name| name == shadow.name) {
            let hint = "give this one a `name` of its own".to_owned();
            item.error(
                format!("another model is called {} too", quoted(&shadow.name)),
                Some(hint),
            );
            good = false;
        }
        all.push(shadow);
    }
    good.then_some(all)
}

fn shadow(item: &Field<'_>) -> Option<ShadowConfig> {
    let section = item.section()?;
    let share = section.get("share").and_then(|f| share(&f));
    let given = section.given("name").map(|f| name(&f));
    let model = match (section.given("fixture"), section.given("path")) {
        (Some(_), Some(path)) => {
            path.error("a shadow has a `path` or a `fixture`, not both", None);
            None
        }
        (Some(fixture), None) => fixture.text().map(ShadowModel::Fixture),
        (None, _) => bundle(&section).map(ShadowModel::Bundle),
    }?;
    let name = match given {
        Some(name) => name?,
        None => model.name(),
    };
    Some(ShadowConfig {
        name,
        model,
        share: share?,
    })
}

/// What a model is called in paths of the API and on the command line.
fn name(field: &Field<'_>) -> Option<String> {
    let name = field.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() <= 63 && name.chars().all(plain) {
        return Some(name);
    }
    let rule = "use letters, digits, \"_\", \"-\" or \".\"; at most 63".to_owned();
    field.error(format!("{} is not a name", quoted(&name)), Some(rule));
    None
}
