//! The registry's REST API: `GET /schemas/ids/{id}`, and the schemas that one refers to.
//!
//! Blocking, with one timeout for all of a request. It is called by the source's own thread and by that of a replay; both
//! may wait. Credentials go into the request's header and nowhere else.

use super::error::RegistryError;
use base64::Engine;
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, parse_pem};

/// Largest answer read.
const ANSWER: u64 = 8 << 20;
/// Most schemas that one may refer to, directly or not.
const REFERENCES: usize = 200;

/// A registry and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrySpec {
    /// What comes before `/schemas/ids/1`.
    pub url: String,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// A PEM file of authorities; `None` trusts those of the system.
    pub ca: Option<PathBuf>,
    /// How long a request waits for its answer.
    pub timeout: Duration,
}

impl RegistrySpec {
    /// A registry without credentials.
    pub fn new(url: impl Into<String>) -> Self {
        RegistrySpec {
            url: url.into(),
            credentials: None,
            ca: None,
            timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RegistrySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password is left out.
        f.debug_struct("RegistrySpec")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Checks a registry's URL.
///
/// # Errors
/// What is wrong with it, in words; without the credentials in it.
pub fn check_url(url: &str) -> Result<(), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it begins with neither http:// nor https://".to_owned());
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!("{scheme}:// is neither http:// nor https://"));
    }
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err("credentials do not belong into it: use `username` and `password`".to_owned());
    }
    let parsed: ureq::http::Uri = url.parse().map_err(|e| format!("it is no URL: {e}"))?;
    if parsed.host().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    if parsed.query().is_some() {
        return Err("it has a query (`?…`), which no registry's address has".to_owned());
    }
    Ok(())
}

/// A schema with all it refers to, what is referred to first.
pub(super) struct Found {
    pub(super) schema_type: String,
    pub(super) text: String,
    /// Their names in it and their texts.
    pub(super) imports: Vec<(String, String)>,
}

/// What the registry knows of an id.
pub(super) enum Answer {
    Found(Found),
    Unknown,
    /// Something it refers to is missing, or there is no end of it.
    Incomplete(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema: String,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Complaint {
    error_code: i64,
}

pub(super) struct Client {
    /// Without a slash at its end.
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Client {
    pub(super) fn new(spec: &RegistrySpec) -> Result<Self, RegistryError> {
        let url = spec.url.trim_end_matches('/').to_owned();
        check_url(&url).map_err(|why| RegistryError::Config(format!("the registry's URL cannot be used: {why}")))?;
        let authorities = spec.ca.as_deref().map(authorities).transpose()?;
        let basic = |(user, password): &(String, String)| {
            let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {both}")
        };
        Ok(Client {
            url,
            authorization: spec.credentials.as_ref().map(basic),
            agent: crate::web::agent(spec.timeout, authorities),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The kinds of schema it keeps.
    pub(super) fn types(&self) -> Result<Vec<String>, RegistryError> {
        let path = "/schemas/types";
        self.get(path)?
            .ok_or_else(|| self.foreign(path, "it answers that there is nothing"))
    }

    pub(super) fn schema(&self, id: u32) -> Result<Answer, RegistryError> {
        // Ids are positive Java ints; asked for a greater one, registries say 404 as for a path that they do not have.
        if i32::try_from(id).is_err() {
            return Ok(Answer::Unknown);
        }
        let Some(written) = self.get::<Written>(&format!("/schemas/ids/{id}"))? else {
            return Ok(Answer::Unknown);
        };
        let mut imports = Vec::new();
        if let Err(why) = self.follow(written.references.as_deref().unwrap_or_default(), &mut imports)? {
            return Ok(Answer::Incomplete(why));
        }
        Ok(Answer::Found(Found {
            schema_type: written.schema_type.unwrap_or_else(|| "AVRO".to_owned()),
            text: written.schema,
            imports,
        }))
    }

    /// Fetches what is referred to, deepest first; the inner error says why that cannot be done.
    fn follow(
        &self,
        references: &[Reference],
        imports: &mut Vec<(String, String)>,
    ) -> Result<Result<(), String>, RegistryError> {
        enum Step {
            Fetch(String, String, i64),
            Keep(String, String),
        }
        let fetch = |r: &Reference| Step::Fetch(r.name.clone(), r.subject.clone(), r.version);
        let mut todo: Vec<Step> = references.iter().rev().map(fetch).collect();
        let mut seen = HashSet::new();
        while let Some(step) = todo.pop() {
            let (name, subject, version) = match step {
                Step::Keep(name, text) => {
                    imports.push((name, text));
                    continue;
                }
                Step::Fetch(name, subject, version) => (name, subject, version),
            };
            // The name decides: two versions under one name cannot both be meant.
            if !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() > REFERENCES {
                return Ok(Err(format!("it refers to more than {REFERENCES} others")));
            }
            let escaped = percent_encoding::utf8_percent_encode(&subject, percent_encoding::NON_ALPHANUMERIC);
            // What others refer to stays readable when its subject is given up.
            let path = format!("/subjects/{escaped}/versions/{version}?deleted=true");
            let Some(written) = self.get::<Written>(&path)? else {
                return Ok(Err(format!(
                    "it refers to \"{name}\", version {version} of subject \"{subject}\", which the registry does not know"
                )));
            };
            todo.push(Step::Keep(name, written.schema));
            todo.extend(written.references.unwrap_or_default().iter().rev().map(fetch));
        }
        Ok(Ok(()))
    }

    /// An answer's body; `None` if the registry says that there is no such thing.
    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, RegistryError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        request = request.header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|e| self.failed(&e))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER).read_to_vec();
        let body = body.map_err(|e| self.failed(&e))?;
        match status {
            200 => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|e| self.foreign(path, &format!("the answer cannot be read: {e}"))),
            401 | 403 => Err(RegistryError::Credentials {
                url: self.url.clone(),
                given: self.authorization.is_some(),
            }),
            // Schema, version or subject not found; without a code of its own, whoever answers does not know the path.
            404 if serde_json::from_slice(&body)
                .is_ok_and(|c: Complaint| (40_401..=40_403).contains(&c.error_code)) =>
            {
                Ok(None)
            }
            404 => Err(self.foreign(path, "it answers 404")),
            other => Err(RegistryError::Unreachable {
                url: self.url.clone(),
                reason: format!("it answers {other}"),
            }),
        }
    }

    fn foreign(&self, path: &str, reason: &str) -> RegistryError {
        RegistryError::Foreign {
            url: self.url.clone(),
            reason: format!("asked for {path}, {reason}"),
        }
    }

    fn failed(&self, error: &ureq::Error) -> RegistryError {
        let (url, reason) = (self.url.clone(), error.to_string());
        let tls = match error {
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
            // Handshakes are done while reading and writing, and their errors come wrapped.
            ureq::Error::Io(e) => e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
            _ => false,
        };
        match tls {
            true => RegistryError::Tls { url, reason },
            false => RegistryError::Unreachable { url, reason },
        }
    }
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let unusable = |why: String| RegistryError::Config(format!("the authorities in {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|e| unusable(e.to_string()))?;
    let mut all = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| unusable(e.to_string()))? {
            all.push(certificate);
        }
    }
    match all.is_empty() {
        true => Err(unusable("there is no certificate in it".to_owned())),
        false => Ok(all),
    }
}
