//! `format:` and `registry:` of a topic.

use crate::config::error::quoted;
use crate::config::field::Field;
use crate::config::pipeline::Schemas;
use crate::config::read::Section;
use crate::config::secret::Secret;
use crate::config::tree::Value;
use groundswell_connectors::registry::{Encoding, Registry, RegistrySpec, check_url};
use std::path::PathBuf;
use std::time::Duration;

/// A topic in Avro or Protobuf, and the registry that has its schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// How records are written.
    pub schemas: Schemas,
    /// What comes before `/schemas/ids/1`.
    pub url: String,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
    /// A PEM file of authorities; `None` trusts those of the system.
    pub ca: Option<PathBuf>,
    /// How long a request waits for its answer (ms).
    pub timeout_ms: i64,
}

impl RegistryConfig {
    /// What the connector makes a registry of.
    pub(crate) fn spec(&self) -> (Encoding, RegistrySpec) {
        let encoding = match self.schemas {
            Schemas::Avro => Encoding::Avro,
            Schemas::Protobuf => Encoding::Protobuf,
        };
        let credentials = self.credentials.as_ref();
        let spec = RegistrySpec {
            credentials: credentials.map(|(user, password)| (user.clone(), password.expose().to_owned())),
            ca: self.ca.clone(),
            timeout: Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or(0)),
            ..RegistrySpec::new(&self.url)
        };
        (encoding, spec)
    }
}

/// Reads both keys; `None` inside means JSON.
pub(super) fn registry(section: &Section<'_>) -> Option<Option<RegistryConfig>> {
    let format = section.get("format")?;
    let given = section.given("registry");
    let word = format.choice()?;
    let Some(schemas) = Schemas::named(word) else {
        return match given {
            Some(field) => {
                let hint = "add \"format: avro\" or \"format: protobuf\", or leave it out".to_owned();
                field.key_error("JSON needs no schema registry", Some(hint));
                None
            }
            None if matches!(word, "auto" | "json") => Some(None),
            None => {
                let hint = "write json, avro or protobuf".to_owned();
                format.error(format!("topics are not read as {word}"), Some(hint));
                None
            }
        };
    };
    let Some(field) = given else {
        let hint = "add registry: {url: \"https://HOST:PORT\"}".to_owned();
        format.error(format!("{word} needs the topic's schema registry"), Some(hint));
        return None;
    };
    let section = field.section()?;
    let url = section.required("url").and_then(|f| url(&f));
    let username = section.given("username").map_or(Some(None), |f| f.text().map(Some));
    let password = section.given("password").map_or(Some(None), |f| password(&f).map(Some));
    let ca = section.given("ca").map_or(Some(None), |f| f.path().map(Some));
    let timeout_ms = section.get("timeout").and_then(|f| f.duration());
    let credentials = match (username?, password?) {
        (Some(user), Some(password)) => Some(Some((user, password))),
        (None, None) => Some(None),
        _ => {
            field.error("`username` and `password` go together: one is missing", None);
            None
        }
    };
    let config = RegistryConfig {
        schemas,
        url: url?,
        credentials: credentials?,
        ca: ca?,
        timeout_ms: timeout_ms?,
    };
    // Whether the authorities can be read.
    let (encoding, spec) = config.spec();
    if let Err(error) = Registry::new(encoding, &spec) {
        let at = section.given("ca");
        at.as_ref()
            .unwrap_or(&field)
            .error(error.to_string(), error.hint().map(str::to_owned));
        return None;
    }
    Some(Some(config))
}

fn url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match check_url(&text) {
        Ok(()) => Some(text),
        Err(why) => {
            let hint = "write what comes before /schemas/ids/1, as in https://registry:8081".to_owned();
            // It may hold a password.
            let shown = quoted(&crate::config::secret::mask_url(&text));
            field.error(format!("{shown} is not the address of a registry: {why}"), Some(hint));
            None
        }
    }
}

fn password(field: &Field<'_>) -> Option<Secret> {
    if let Value::Scalar { text: written, .. } = &field.node.value
        && !written.contains("${")
        && !written.starts_with("file:")
    {
        let hint = "write password: \"${NAME}\", or file:PATH".to_owned();
        field.error("a password does not belong into this file", Some(hint));
        return None;
    }
    let text = field.text()?;
    Secret::read(&text, field.reader.base)
        .map_err(|why| field.error(why, None))
        .ok()
}
