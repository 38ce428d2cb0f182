//! `groundswell erase`: lets a running pipeline forget an author, a post or a thread, or takes that back, through its HTTP
//! address.

use super::address::address;
use super::sink::{agent, finish};
use super::{Failure, load};
use clap::Args;
use std::path::PathBuf;

/// Longer than the engine waits for its graph.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

#[derive(Args)]
pub(super) struct EraseArgs {
    /// The pipeline file, which says where the pipeline serves HTTP.
    pipeline: Option<PathBuf>,
    /// Where it does, if there is no file or it says something else [default: http://127.0.0.1:8080].
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    of: Of,
    /// Take the erasure back. What the record has forgotten by then stays forgotten until it comes again.
    #[arg(long)]
    undo: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// All posts of this author, and what the author did as a user.
    #[arg(long, value_name = "ID")]
    author: Option<String>,
    /// The post with this id.
    #[arg(long, value_name = "ID")]
    post: Option<String>,
    /// All posts of this thread.
    #[arg(long, value_name = "ID")]
    thread: Option<String>,
}

pub(super) fn run(args: &EraseArgs) -> Result<(), Failure> {
    let url = match (&args.pipeline, &args.url) {
        (Some(pipeline), url) => address("erasures go", &load(pipeline)?, url.as_deref())?,
        (None, url) => url
            .as_deref()
            .unwrap_or("http://127.0.0.1:8080")
            .trim_end_matches('/')
            .to_owned(),
    };
    let url = format!("{url}/api/v1/erasures");
    let of = [
        ("author", &args.of.author),
        ("post", &args.of.post),
        ("thread", &args.of.thread),
    ];
    let mut body = serde_json::json!({ "undo": args.undo });
    for (kind, id) in of {
        if let Some(id) = id {
            body[kind] = id.as_str().into();
        }
    }
    let answer = agent(PATIENCE)
        .post(&url)
        .content_type("application/json")
        .send(body.to_string());
    finish(answer, &url)
}
