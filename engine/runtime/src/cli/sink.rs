//! `groundswell sink`: tells a sink of a running pipeline to pause, go on or compare itself, through its HTTP address.

use super::Failure;
use super::out::say;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(super) enum SinkCommand {
    /// How all sinks of a running pipeline are, as JSON.
    List {
        /// Where the pipeline serves HTTP.
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: String,
    },
    /// Let it finish its transaction and take nothing more, until it is resumed or the pipeline starts again.
    Pause(One),
    /// Let it go on, at once even if it waits after failures.
    Resume(One),
    /// Let it compare what it holds with the views and write the difference.
    Resync(One),
}

#[derive(Args)]
pub(super) struct One {
    /// The sink's name.
    name: String,
    /// Where the pipeline serves HTTP.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
}

/// Sinks answer at once.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) fn run(command: &SinkCommand) -> Result<(), Failure> {
    let (one, word) = match command {
        SinkCommand::List { url } => {
            let url = format!("{}/api/v1/sinks", url.trim_end_matches('/'));
            return finish(agent(PATIENCE).get(&url).call(), &url);
        }
        SinkCommand::Pause(one) => (one, "pause"),
        SinkCommand::Resume(one) => (one, "resume"),
        SinkCommand::Resync(one) => (one, "resync"),
    };
    // A name that could not be a sink's must not reach another route.
    if !one.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Failure::Usage(format!("\"{}\" is not the name of a sink", one.name)));
    }
    let url = format!("{}/api/v1/sinks/{}/{word}", one.url.trim_end_matches('/'), one.name);
    finish(agent(PATIENCE).post(&url).send_empty(), &url)
}

/// A client that brings the operator's key or token.
pub(super) fn agent(patience: std::time::Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .middleware(with_token);
    config.build().into()
}

pub(super) fn finish(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, url: &str) -> Result<(), Failure> {
    let unreachable = |e: ureq::Error| {
        Failure::Unreachable(format!(
            "cannot reach {url}: {e}; is the pipeline running, and is --url its address?"
        ))
    };
    let mut answer = answer.map_err(unreachable)?;
    let text = answer.body_mut().read_to_string().map_err(unreachable)?;
    let body: serde_json::Value = serde_json::from_str(&text)
        .map_err(|_| Failure::Other(format!("{url} did not answer as groundswell does: {}", answer.status())))?;
    if answer.status().is_success() {
        return say(serde_json::to_string_pretty(&body["data"])?);
    }
    let message = body["error"]["message"].as_str().unwrap_or("no message");
    Err(Failure::Other(format!("{}: {message}", answer.status())))
}

/// Brings the key or token in `GROUNDSWELL_TOKEN`, if there is one, to a server that wants to know who asks.
pub(super) fn with_token(
    mut request: ureq::http::Request<ureq::SendBody<'_>>,
    next: ureq::middleware::MiddlewareNext<'_>,
) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    if let Ok(token) = std::env::var("GROUNDSWELL_TOKEN") {
        let mut value = ureq::http::HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| ureq::Error::Other("GROUNDSWELL_TOKEN holds no key and no token".into()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(ureq::http::header::AUTHORIZATION, value);
    }
    next.handle(request)
}
