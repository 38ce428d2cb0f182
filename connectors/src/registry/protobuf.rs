//! Protobuf messages → JSON text, by the `.proto` that describes them.
//!
//! Fields keep the names they have in the file, 64-bit numbers their digits; otherwise it is the canonical mapping:
//! timestamps are RFC 3339, wrappers what they wrap, enums their names, bytes base64. A field that is not `optional` and
//! not sent is there with its default, as everywhere in proto3. prost ends messages nested deeper than 100.

use super::wire;
use crate::decode::{Code, Fault, fault};
use prost_reflect::{DynamicMessage, FileDescriptor, MessageDescriptor, SerializeOptions};
use protox::Compiler;
use protox::file::{ChainFileResolver, File as ProtoFile, FileResolver, GoogleFileResolver};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// The name of the file that an id stands for; imports have names of their own.
const ROOT: &str = "groundswell-schema.proto";

const OPTIONS: SerializeOptions = SerializeOptions::new()
    .stringify_64_bit_integers(false)
    .use_proto_field_name(true)
    .skip_default_fields(false);

/// A compiled file.
pub(super) struct File(FileDescriptor);

impl File {
    /// Compiles a file with its imports; those of Google's own are known.
    pub(super) fn compile(text: &str, imports: &[(&str, &str)]) -> Result<File, String> {
        let sources = imports.iter().copied().chain([(ROOT, text)]);
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(
            sources.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        ));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler
            .open_file(ROOT)
            .map_err(|e| format!("it cannot be compiled: {e}"))?;
        let file = compiler.descriptor_pool().get_file_by_name(ROOT);
        file.map(File)
            .ok_or_else(|| "it cannot be compiled: nothing came of it".to_owned())
    }

    /// One message, with its place in the file before it.
    pub(super) fn json(&self, data: &[u8], limit: usize) -> Result<String, Fault> {
        let Some((path, data)) = wire::message_path(data) else {
            return mismatch("the message's place in the file cannot be read");
        };
        let Some(message) = self.message(&path) else {
            return mismatch(format!("there is no message at the place {path:?}"));
        };
        let name = message.full_name().to_owned();
        let read = DynamicMessage::decode(message, data).or_else(|e| mismatch(format!("as {name}: {e}")))?;
        let mut out = serde_json::Serializer::new(Limited {
            out: Vec::with_capacity(2 * data.len() + 64),
            limit,
        });
        read.serialize_with_options(&mut out, &OPTIONS)
            .or_else(|e| mismatch(format!("as {name}: {e}")))?;
        String::from_utf8(out.into_inner().out).or_else(|e| mismatch(format!("as {name}: {e}")))
    }

    fn message(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = path.split_first()?;
        let mut message = self.0.messages().nth(*first)?;
        for index in rest {
            // Entries of maps are messages only in the compiled file.
            let child = message.child_messages().filter(|m| !m.is_map_entry()).nth(*index)?;
            message = child;
        }
        Some(message)
    }
}

fn mismatch<T>(why: impl Into<String>) -> Result<T, Fault> {
    fault(Code::SchemaMismatch, why)
}

/// Files by their names.
struct Sources(HashMap<String, String>);

impl FileResolver for Sources {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<ProtoFile, protox::Error> {
        match self.0.get(name) {
            Some(text) => ProtoFile::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Takes no more than a number of bytes.
struct Limited {
    out: Vec<u8>,
    limit: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len() + bytes.len() > self.limit {
            let limit = self.limit;
            return Err(io::Error::other(format!("it is longer than {limit} bytes as JSON")));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
