//! `groundswell models`: which models a running pipeline has, and which of them is live, through its HTTP address.

use super::Failure;
use super::sink::{agent, finish};
use clap::{Args, Subcommand};

/// A promotion waits for the model and for the graph.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

#[derive(Subcommand)]
pub(super) enum ModelsCommand {
    /// All models, as JSON: which is live, what each has scored, how they differ.
    List(Where),
    /// How a model's answers differ from the live one's, over all posts and by entity, as JSON.
    Compare {
        /// Its name, or the first letters (at least 8) of its key.
        model: String,
        #[command(flatten)]
        at: Where,
    },
    /// Make a model the live one, at one tick.
    Promote {
        /// Its name, or the first letters (at least 8) of its key.
        model: String,
        /// Even if it has not scored everything: posts it lacks are unscored until it has.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Go back to the model that was live before the last promotion, at one tick.
    Rollback(Where),
}

#[derive(Args)]
pub(super) struct Where {
    /// Where the pipeline serves HTTP.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

impl Where {
    fn models(&self) -> String {
        format!("{}/api/v1/models", self.url.trim_end_matches('/'))
    }

    fn of(&self, model: &str, what: &str) -> Result<String, Failure> {
        // A name that could not be a model's must not reach another route.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if model.is_empty() || model.starts_with('.') || !model.chars().all(plain) {
            return Err(Failure::Usage(format!("\"{model}\" is not the name of a model")));
        }
        Ok(format!("{}/{model}/{what}", self.models()))
    }
}

pub(super) fn run(command: &ModelsCommand) -> Result<(), Failure> {
    let agent = agent(PATIENCE);
    match command {
        ModelsCommand::List(at) => finish(agent.get(at.models()).call(), &at.models()),
        ModelsCommand::Compare { model, at } => {
            let url = at.of(model, "comparison")?;
            finish(agent.get(&url).call(), &url)
        }
        ModelsCommand::Promote { model, force, at } => {
            let url = at.of(model, "promote")?;
            let body = serde_json::json!({ "force": force }).to_string();
            finish(agent.post(&url).content_type("application/json").send(body), &url)
        }
        ModelsCommand::Rollback(at) => {
            let url = format!("{}/rollback", at.models());
            finish(agent.post(&url).send_empty(), &url)
        }
    }
}
