//! What answers where the model cannot, as the pipeline file says it.

use super::StartError;
use crate::config::Pipeline;
use crate::engine::Rungs;
use groundswell_models::Scorer;
use groundswell_models::fallback::{Fallback, HttpScorer, NoModel};
use std::sync::Arc;
use std::time::Duration;

/// The rungs below the model.
pub(super) fn rungs(pipeline: &Pipeline) -> Result<Rungs, StartError> {
    let Some(fallback) = &pipeline.model.fallback else {
        return Ok(Rungs::default());
    };
    let http = fallback.http.as_ref().map(|config| {
        let after = config.after_ms.and_then(|ms| u64::try_from(ms).ok());
        let scorer = HttpScorer::new(config.setup())?;
        Ok::<_, StartError>(Fallback {
            neutral: fallback.neutral,
            after: after.map(Duration::from_millis),
            ..Fallback::new(Arc::new(scorer))
        })
    });
    Ok(Rungs {
        http: http.transpose()?,
        neutral: fallback.neutral,
    })
}

/// What stands in the place of a model, so that the rung below it is asked for every text.
pub(super) fn in_its_place(pipeline: &Pipeline) -> Option<Arc<dyn Scorer>> {
    let http = pipeline.model.fallback.as_ref()?.http.as_ref()?;
    Some(Arc::new(NoModel::new(&http.setup())))
}
