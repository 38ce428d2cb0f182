//! A schema registry: what turns Avro and Protobuf records of a topic into the JSON that the decoder reads.
//!
//! In: keys and values in Confluent's wire format, a zero byte and the id of the schema that wrote what follows. Out: the
//! same as JSON text, by that schema, with every digit of every number. State: the schemas asked for so far, at most
//! [`CACHED`], under their ids; an id stands for one schema for ever, so nothing is asked twice but ids that nobody knows.
//!
//! Asking is for the source's own thread ([`Registry::prepare`]), which waits and asks again while nobody answers; decoding
//! asks nobody. What cannot be decoded is the record's fault, with a code of its own. Recorded facts are decoded already: a
//! restart replays them without a registry.

mod avro;
mod cache;
mod client;
mod error;
mod protobuf;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{RegistrySpec, check_url};
pub use error::RegistryError;

use crate::decode::{Code, Fault, fault};
use cache::Cache;
use client::{Answer, Client};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Schemas kept; the one not used for longest makes room.
pub const CACHED: usize = 1_000;
/// How long an id that nobody knows is not asked for again.
const UNKNOWN: Duration = Duration::from_secs(30);
/// How often a start asks a registry that does not answer.
const AGAIN: Duration = Duration::from_millis(250);

/// How the values of a topic are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Avro's binary encoding.
    Avro,
    /// Protocol Buffers.
    Protobuf,
}

impl Encoding {
    /// The registry's word for schemas of this kind.
    fn schema_type(self) -> &'static str {
        match self {
            Encoding::Avro => "AVRO",
            Encoding::Protobuf => "PROTOBUF",
        }
    }
}

/// What became of an id.
enum Schema {
    Avro(avro::Plan),
    Protobuf(protobuf::File),
    /// Records that name it cannot be read.
    Refused(Code, String),
}

/// A registry and what is known of its schemas; see the module's description.
pub struct Registry {
    encoding: Encoding,
    client: Client,
    cache: Mutex<Cache<Schema>>,
    trouble: Mutex<Option<String>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (encoding, client) = (&self.encoding, &self.client);
        f.debug_struct("Registry")
            .field("encoding", encoding)
            .field("client", client)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry for topics of one encoding; it is not asked yet.
    ///
    /// # Errors
    /// [`RegistryError`] if the URL or the file of authorities cannot be used.
    pub fn new(encoding: Encoding, spec: &RegistrySpec) -> Result<Self, RegistryError> {
        Ok(Registry {
            encoding,
            client: Client::new(spec)?,
            cache: Mutex::new(Cache::new(CACHED)),
            trouble: Mutex::default(),
        })
    }

    /// Looks whether it answers as a registry does, for as long as `patience`.
    ///
    /// # Errors
    /// [`RegistryError`], named.
    pub fn check(&self, patience: Duration) -> Result<(), RegistryError> {
        let began = Instant::now();
        loop {
            match self.noted(self.client.types()) {
                Err(error) if error.is_unreachable() && began.elapsed() < patience => std::thread::sleep(AGAIN),
                Ok(types) if !types.iter().any(|t| t == self.encoding.schema_type()) => {
                    return Err(RegistryError::Without {
                        url: self.client.url().to_owned(),
                        wanted: self.encoding.schema_type(),
                        types: types.join(", "),
                    });
                }
                other => return other.map(|_| ()),
            }
        }
    }

    /// Why it cannot be asked, since it could be asked last.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Asks for the schemas that a key and a value name, where they are not known yet. Waits for one answer each.
    ///
    /// # Errors
    /// [`RegistryError`] if it cannot be asked now; asking again may help. What is wrong with a schema is told by decoding.
    pub fn prepare(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), RegistryError> {
        for (id, _) in [key, value].into_iter().flatten().filter_map(wire::split) {
            if self.cache.lock().has(id, Instant::now()) {
                continue;
            }
            let (schema, until) = self.noted(self.fetch(id))?;
            self.cache.lock().insert(id, Arc::new(schema), until);
        }
        Ok(())
    }

    /// A framed key or value as JSON text, which may become `limit` bytes long. What it names must be prepared.
    pub(crate) fn json(&self, framed: &[u8], limit: usize) -> Result<String, Fault> {
        let Some((id, data)) = wire::split(framed) else {
            return fault(
                Code::NotFramed,
                "expected a zero byte and the four bytes of a schema's id; is it written with a registry's serializer?",
            );
        };
        let Some(schema) = self.cache.lock().get(id) else {
            return fault(Code::UnknownSchema, format!("schema {id} has not been asked for"));
        };
        match &*schema {
            Schema::Avro(plan) => plan.json(data, limit),
            Schema::Protobuf(file) => file.json(data, limit),
            Schema::Refused(code, why) => fault(*code, why.clone()),
        }
        .map_err(|fault| fault.of_schema(id))
    }

    /// The schema with this id, and until when that holds.
    fn fetch(&self, id: u32) -> Result<(Schema, Option<Instant>), RegistryError> {
        let for_now = Some(Instant::now() + UNKNOWN);
        let url = self.client.url();
        Ok(match self.client.schema(id)? {
            Answer::Found(found) if found.schema_type != self.encoding.schema_type() => {
                let (is, wanted) = (found.schema_type, self.encoding.schema_type());
                let why = format!("it is {is}, and the source reads {wanted}");
                (Schema::Refused(Code::UnusableSchema, why), None)
            }
            Answer::Found(found) => {
                let imports: Vec<_> = found
                    .imports
                    .iter()
                    .map(|(name, text)| (name.as_str(), text.as_str()))
                    .collect();
                let read = match self.encoding {
                    Encoding::Avro => avro::Plan::compile(&found.text, &imports).map(Schema::Avro),
                    Encoding::Protobuf => protobuf::File::compile(&found.text, &imports).map(Schema::Protobuf),
                };
                (
                    read.unwrap_or_else(|why| Schema::Refused(Code::UnusableSchema, why)),
                    None,
                )
            }
            Answer::Unknown => {
                let why = format!("the registry at {url} knows no such schema");
                (Schema::Refused(Code::UnknownSchema, why), for_now)
            }
            Answer::Incomplete(why) => (Schema::Refused(Code::UnusableSchema, why), for_now),
        })
    }

    /// Remembers and tells whether it could be asked.
    fn noted<T>(&self, answer: Result<T, RegistryError>) -> Result<T, RegistryError> {
        let (url, mut trouble) = (self.client.url(), self.trouble.lock());
        match &answer {
            Ok(_) => {
                if trouble.take().is_some() {
                    tracing::info!(url, "the schema registry answers again");
                }
            }
            Err(error) => {
                let text = error.with_hint();
                if trouble.as_ref() != Some(&text) {
                    tracing::warn!(url, "{text}; what needs a schema waits");
                }
                *trouble = Some(text);
            }
        }
        answer
    }
}
