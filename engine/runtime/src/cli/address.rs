//! Where a running pipeline answers: what its file says, or what the user says.

use super::Failure;
use crate::config::Pipeline;

/// Where the pipeline serves HTTP. `what` goes through there, as in "letters are replayed".
pub(super) fn address(what: &str, pipeline: &Pipeline, url: Option<&str>) -> Result<String, Failure> {
    let usage = |why: &str| {
        Err(Failure::Usage(format!(
            "{what} through the running pipeline's HTTP address, and {why}"
        )))
    };
    match (url, &pipeline.serve) {
        (Some(url), _) => Ok(url.trim_end_matches('/').to_owned()),
        (None, None) => {
            usage("this one has `serve: false`; give it an address, such as `serve: {http: \"127.0.0.1:8080\"}`")
        }
        (None, Some(serve)) if serve.http.port() == 0 => {
            usage("this one takes any free port; name the one it took with --url http://127.0.0.1:PORT")
        }
        (None, Some(serve)) => {
            let scheme = if serve.tls.is_some() { "https" } else { "http" };
            Ok(format!("{scheme}://{}", serve.http))
        }
    }
}
