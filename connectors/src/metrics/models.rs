//! How far each model is, by what it is to the views.

use super::registrar::Registrar;
use super::{Metrics, MetricsError, whole};
use parking_lot::Mutex;
use prometheus::IntGaugeVec;

/// A model's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLoad {
    /// Its name in the pipeline.
    pub model: String,
    /// `live`, `shadow` or `standby`.
    pub role: &'static str,
    /// Texts that wait for it.
    pub waiting: usize,
    /// Texts that the live model has answered and it has not.
    pub behind: u64,
}

/// Gauges by model and role.
pub(super) struct ModelMetrics {
    waiting: IntGaugeVec,
    behind: IntGaugeVec,
    /// The models and roles that are shown.
    shown: Mutex<Vec<(String, &'static str)>>,
}

impl ModelMetrics {
    pub(super) fn new(r: &mut Registrar) -> Result<Self, MetricsError> {
        let labels = &["model", "role"];
        Ok(ModelMetrics {
            waiting: r.gauges(
                "model_waiting_texts",
                "Texts that wait for a model, by its role.",
                labels,
            )?,
            behind: r.gauges(
                "model_missing_texts",
                "Texts that the live model has answered and this one has not.",
                labels,
            )?,
            shown: Mutex::default(),
        })
    }
}

impl Metrics {
    /// How far each model is; one that has another role now is shown under that alone.
    pub fn models(&self, loads: &[ModelLoad]) {
        let metrics = &self.models;
        let now: Vec<_> = loads.iter().map(|load| (load.model.clone(), load.role)).collect();
        let mut shown = metrics.shown.lock();
        if *shown != now {
            metrics.waiting.reset();
            metrics.behind.reset();
            *shown = now;
        }
        for load in loads {
            let labels = &[load.model.as_str(), load.role];
            metrics.waiting.with_label_values(labels).set(whole(load.waiting));
            let behind = i64::try_from(load.behind).unwrap_or(i64::MAX);
            metrics.behind.with_label_values(labels).set(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_shown_in_one_role() {
        let metrics = Metrics::new().expect("no clash");
        let load = |model: &str, role| ModelLoad {
            model: model.into(),
            role,
            waiting: 3,
            behind: 2,
        };
        metrics.models(&[load("a", "live"), load("b", "shadow")]);
        metrics.models(&[load("a", "standby"), load("b", "live")]);
        let text = metrics.text().expect("text");
        let waiting: Vec<_> = text
            .lines()
            .filter(|l| l.starts_with("groundswell_model_waiting_texts{"))
            .collect();
        assert_eq!(
            waiting,
            [
                "groundswell_model_waiting_texts{model=\"a\",role=\"standby\"} 3",
                "groundswell_model_waiting_texts{model=\"b\",role=\"live\"} 3"
            ]
        );
    }
}
