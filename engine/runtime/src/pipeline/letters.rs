//! The dead letters of a pipeline, wherever its sink keeps them.

use super::kafka::cluster;
use crate::config::{Pipeline, SinkConfig, SinkFrom, SinkKind};
use groundswell_connectors::dlq::{Letters, LettersError};
use groundswell_connectors::kafka::KafkaLetters;
use groundswell_connectors::postgres::TableLetters;
use groundswell_connectors::sink_file::FileLetters;
use std::time::Duration;

/// Longest attempt to connect to a database.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a pipeline's dead letters cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoLetters {
    /// There is no such sink.
    #[error("the pipeline has no sink \"{name}\"; its dead letters are in {}", .taking.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Sinks that take dead letters.
        taking: Vec<String>,
    },
    /// The sink takes something else.
    #[error(
        "the sink \"{name}\" takes {takes}, not dead letters: its dead letters are in {}; to have them there, add `{add}`",
        .taking.join(", ")
    )]
    Other {
        /// The sink.
        name: String,
        /// What it takes.
        takes: String,
        /// What would change that.
        add: &'static str,
        /// Sinks that take dead letters.
        taking: Vec<String>,
    },
    /// No sink takes them.
    #[error(
        "the pipeline \"{0}\" keeps its dead letters nowhere; add a sink for them, such as `dead: {{type: file, path: dead.jsonl, \
         from: dead_letters}}`"
    )]
    None(String),
    /// It cannot be opened.
    #[error("{0}")]
    Open(#[from] LettersError),
}

/// The letters of the sink `name`, or of the first that takes dead letters; with the sink's name.
///
/// # Errors
/// [`NoLetters`], saying what to add.
pub fn letters(pipeline: &Pipeline, name: Option<&str>) -> Result<(String, Box<dyn Letters>), NoLetters> {
    let sink = choose(pipeline, name)?;
    let letters: Box<dyn Letters> = match &sink.kind {
        SinkKind::File { path } => Box::new(FileLetters::new(path)),
        SinkKind::Kafka(config) => Box::new(KafkaLetters::new(cluster(&config.brokers), &config.topic)),
        SinkKind::Postgres { url, .. } => {
            let opened = TableLetters::new(url.expose(), &pipeline.graph.name, &sink.name, CONNECT);
            Box::new(opened.map_err(|e| LettersError::new(e.to_string()))?)
        }
        // None of them is chosen.
        SinkKind::Webhook(_) => return Err(NoLetters::None(pipeline.graph.name.clone())),
    };
    Ok((sink.name.clone(), letters))
}

fn choose<'p>(pipeline: &'p Pipeline, name: Option<&str>) -> Result<&'p SinkConfig, NoLetters> {
    let taking = || pipeline.sinks.iter().filter(|sink| sink.takes_dead_letters());
    let Some(name) = name else {
        return taking()
            .next()
            .ok_or_else(|| NoLetters::None(pipeline.graph.name.clone()));
    };
    let names = || taking().map(|sink| format!("\"{}\"", sink.name)).collect();
    match pipeline.sinks.iter().find(|sink| sink.name == name) {
        Some(sink) if sink.takes_dead_letters() => Ok(sink),
        Some(sink) => Err(NoLetters::Other {
            name: name.to_owned(),
            takes: match &sink.from {
                SinkFrom::Rules => "alerts".to_owned(),
                SinkFrom::Events => "keyword events".to_owned(),
                SinkFrom::View(view) => format!("the view \"{view}\""),
                SinkFrom::Tables | SinkFrom::DeadLetters => "tables".to_owned(),
            },
            add: match &sink.kind {
                SinkKind::Postgres { .. } => "dead_letters: true",
                SinkKind::File { .. } | SinkKind::Kafka(_) => "from: dead_letters",
                SinkKind::Webhook(_) => "a sink of another type",
            },
            taking: names(),
        }),
        None => Err(NoLetters::Unknown {
            name: name.to_owned(),
            taking: names(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(sinks: &str) -> Pipeline {
        let text = format!(
            "name: p\nsources: {{posts: {{type: generator, seed: 1}}}}\nmodels: {{live: fixture}}\n\
             views: {{v: {{group_by: [], window: {{tumble: 1m}}}}}}\nrules: {{r: {{view: v, when: posts > 1}}}}\n{sinks}"
        );
        let folder = std::env::temp_dir();
        crate::config::parse(&text, "p.yaml", &folder, &|_| None).unwrap_or_else(|e| panic!("{e}"))
    }

    fn chosen(pipeline: &Pipeline, name: Option<&str>) -> Result<String, String> {
        choose(pipeline, name)
            .map(|sink| sink.name.clone())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_sink_of_the_dead_letters_is_found_and_others_are_refused_by_name() {
        let plain = pipeline("");
        assert_eq!(chosen(&plain, None).as_deref(), Ok("dead_letters"));
        let two = pipeline(
            "sinks: {out: {type: file, path: a, from: rules}, bad: {type: file, path: b, from: dead_letters}, pg: {type: \
             postgres, url: \"postgres://a@b/c\", dead_letters: false}}",
        );
        assert_eq!(chosen(&two, None).as_deref(), Ok("bad"));
        assert_eq!(chosen(&two, Some("bad")).as_deref(), Ok("bad"));
        let other = chosen(&two, Some("out")).expect_err("alerts");
        assert!(
            other.contains("\"out\" takes alerts") && other.contains("\"bad\""),
            "{other}"
        );
        let tables = chosen(&two, Some("pg")).expect_err("no dead letters");
        assert!(tables.contains("dead_letters: true"), "{tables}");
        let none = chosen(&two, Some("nope")).expect_err("none");
        assert!(none.contains("no sink \"nope\"") && none.contains("\"bad\""), "{none}");
    }
}
