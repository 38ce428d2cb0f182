//! Why a value is a dead letter: stable codes, and the fault that carries one with a message for people.

use groundswell_core::record::DeadLetter;

macro_rules! codes {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        /// What was wrong with a value. The names are stable: they are stored, counted and filtered by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as stored in a dead letter.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What the code means.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => $doc,)* }
            }
        }
    };
}

codes! {
    InvalidUtf8 = "invalid_utf8", "The payload or key is not UTF-8.";
    InvalidJson = "invalid_json", "The payload is not one JSON value, or a string has a lone surrogate.";
    NestedTooDeep = "nested_too_deep", "Arrays and objects are nested deeper than 64 levels.";
    TooLarge = "too_large", "The payload is larger than the source allows (1 MiB by default).";
    NotFramed = "not_framed", "The source reads Avro or Protobuf, and the payload does not begin with a zero byte and a schema's id.";
    UnknownSchema = "unknown_schema", "The schema registry knows no schema with the id in the payload.";
    UnusableSchema = "unusable_schema", "The schema that the payload names is of another kind, cannot be read, or lacks what it refers to.";
    SchemaMismatch = "schema_mismatch", "The payload is not what the schema that it names describes.";
    NotAnObject = "not_an_object", "The payload is JSON, but not an object.";
    MissingField = "missing_field", "A field that the collection needs is absent or null.";
    WrongType = "wrong_type", "A field has another JSON type than it must have.";
    IdTooLong = "id_too_long", "An id is longer than the source allows (512 bytes by default).";
    IdEmpty = "id_empty", "The id is an empty string.";
    InvalidTime = "invalid_time", "A time is a string, but neither RFC 3339 nor a number.";
    TimeOutOfRange = "time_out_of_range", "A time lies before 1970 or after 2199.";
    TimeInSeconds = "time_in_seconds", "A time looks like seconds where milliseconds are expected: map it with `unit: s`.";
    NotANumber = "not_a_number", "A number is NaN, infinite or too large for any number type.";
    NumberOutOfRange = "number_out_of_range", "A number does not fit the field: votes beyond 64 bits, a sentiment outside [-1, 1].";
    InvalidDuration = "invalid_duration", "A duration is not a number with a unit, like `2m`.";
    InvalidCondition = "invalid_condition", "A rule's `when` or `clear` does not parse.";
    UnknownKind = "unknown_kind", "An interaction is none of `like`, `repost`, `comment` and `view`.";
    NotOneSubject = "not_one_subject", "An erasure names more than one of `author`, `post` and `thread`.";
    UnknownView = "unknown_view", "A rule watches a view that the pipeline does not have (stage `validate`).";
    IdCollision = "id_collision", "Two different names have the same 64-bit digest; the second is refused.";
    Late = "late", "The post was written before anything a view still keeps (stage `window`).";
    NotDeletable = "not_deletable", "A null value in a source of votes, interactions, follows or erasures: votes are revised, not deleted; the others say `deleted`, or `undo`, beside what they are.";
    TimeInFuture = "time_in_future", "An item of a feed says that it was written later than now; it is taken when that has come (stage `validate`).";
}

impl Code {
    /// Where a value fails that has this code.
    fn stage(self) -> &'static str {
        match self {
            Code::Late => "window",
            Code::UnknownView | Code::TimeInFuture => "validate",
            _ => "decode",
        }
    }
}

/// The table of codes, for the reference documentation.
pub fn codes_markdown() -> String {
    let rows = Code::ALL
        .iter()
        .map(|code| format!("| `{}` | {} |\n", code.name(), code.meaning().trim()));
    format!("| code | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

/// Why one value was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    message: String,
    id: Option<String>,
}

/// A fault as the result it always becomes.
pub(crate) fn fault<T>(code: Code, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(code, message))
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Fault {
            code,
            message: message.into(),
            id: None,
        }
    }

    /// The same fault, naming the record it is about.
    pub(crate) fn about(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// The same fault of data that was written with this schema.
    pub(crate) fn of_schema(mut self, id: u32) -> Self {
        self.message = format!("schema {id}: {}", self.message);
        self
    }

    /// The same fault, named by `id` if nothing better is known.
    pub(crate) fn or_about(mut self, id: impl FnOnce() -> Option<String>) -> Self {
        self.id = self.id.or_else(id);
        self
    }

    pub(crate) fn into_dead_letter(self, key: Option<&[u8]>, payload: &[u8]) -> DeadLetter {
        DeadLetter {
            stage: self.code.stage().into(),
            code: self.code.name().into(),
            message: self.message,
            payload: payload.to_vec(),
            key: key.unwrap_or_default().to_vec(),
            id: self.id,
            ..DeadLetter::default()
        }
    }
}
