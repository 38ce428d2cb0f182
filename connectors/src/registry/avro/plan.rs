//! A schema, compiled for reading: names are resolved, and JSON keys and symbols are written already.

use apache_avro::Schema;
use apache_avro::schema::{FixedSchema, InnerDecimalSchema, UuidSchema};
use hashbrown::HashMap;

/// Most digits behind the point of a decimal.
const SCALE: usize = 1_000;

/// What stands at a place of the data. Other places are named by their index.
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    String,
    /// As 16 bytes; as text it is a string.
    Uuid,
    Time(Time),
    Decimal {
        /// Of a fixed one.
        size: Option<usize>,
        scale: usize,
    },
    Duration,
    /// Symbols as JSON strings.
    Enum(Vec<Box<str>>),
    Union(Vec<usize>),
    /// Fields with their names as JSON keys.
    Record(Vec<(Box<str>, usize)>),
    Array(usize),
    Map(usize),
}

#[derive(Clone, Copy)]
pub(super) enum Time {
    Date,
    Millis { local: bool },
    Micros { local: bool },
    Nanos { local: bool },
}

/// A compiled schema.
pub(in super::super) struct Plan {
    nodes: Vec<Node>,
    root: usize,
}

impl Plan {
    /// Compiles a schema, and before it those it refers to.
    pub(in super::super) fn compile(text: &str, imports: &[(&str, &str)]) -> Result<Plan, String> {
        let unreadable = |e: apache_avro::Error| format!("it cannot be read: {e}");
        let texts = imports.iter().map(|(_, text)| *text);
        let (schema, imported) = Schema::parse_str_with_list(text, texts).map_err(unreadable)?;
        let mut compiler = Compiler::default();
        for schema in &imported {
            compiler.add(schema, None)?;
        }
        let root = compiler.add(&schema, None)?;
        Ok(Plan {
            nodes: compiler.nodes,
            root,
        })
    }

    pub(super) fn root(&self) -> usize {
        self.root
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        // Indices come from the compiler only.
        self.nodes.get(index).unwrap_or(&Node::Null)
    }
}

#[derive(Default)]
struct Compiler {
    nodes: Vec<Node>,
    /// Full names of records, enums and fixed.
    names: HashMap<String, usize>,
}

impl Compiler {
    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds a schema that stands inside this namespace.
    fn add(&mut self, schema: &Schema, space: Option<&str>) -> Result<usize, String> {
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int | Schema::TimeMillis => Node::Int,
            Schema::Long | Schema::TimeMicros => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes | Schema::BigDecimal => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::String,
            Schema::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                let node = if fixed.size == 16 {
                    Node::Uuid
                } else {
                    Node::Fixed(fixed.size)
                };
                return Ok(self.add_fixed(fixed, node, space));
            }
            Schema::Fixed(fixed) => return Ok(self.add_fixed(fixed, Node::Fixed(fixed.size), space)),
            Schema::Duration(fixed) => return Ok(self.add_fixed(fixed, Node::Duration, space)),
            Schema::Decimal(decimal) => {
                let scale = decimal.scale;
                if scale > SCALE {
                    return Err(format!(
                        "a decimal has {scale} digits behind the point, allowed are {SCALE}"
                    ));
                }
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => Node::Decimal { size: None, scale },
                    InnerDecimalSchema::Fixed(fixed) => {
                        let size = Some(fixed.size);
                        return Ok(self.add_fixed(fixed, Node::Decimal { size, scale }, space));
                    }
                }
            }
            Schema::Date => Node::Time(Time::Date),
            Schema::TimestampMillis => Node::Time(Time::Millis { local: false }),
            Schema::TimestampMicros => Node::Time(Time::Micros { local: false }),
            Schema::TimestampNanos => Node::Time(Time::Nanos { local: false }),
            Schema::LocalTimestampMillis => Node::Time(Time::Millis { local: true }),
            Schema::LocalTimestampMicros => Node::Time(Time::Micros { local: true }),
            Schema::LocalTimestampNanos => Node::Time(Time::Nanos { local: true }),
            Schema::Array(array) => Node::Array(self.add(&array.items, space)?),
            Schema::Map(map) => Node::Map(self.add(&map.types, space)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, space));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Enum(symbols) => {
                let names = symbols.symbols.iter().map(|symbol| quoted(symbol));
                let index = self.push(Node::Enum(names.collect()));
                self.names.insert(symbols.name.fullname(space), index);
                return Ok(index);
            }
            Schema::Record(record) => {
                // Known before its fields are: they may be of its own kind.
                let index = self.push(Node::Null);
                self.names.insert(record.name.fullname(space), index);
                let inside = record.name.namespace().or(space);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let key = format!("{}:", quoted(&field.name)).into();
                    fields.push((key, self.add(&field.schema, inside)?));
                }
                self.nodes[index] = Node::Record(fields);
                return Ok(index);
            }
            Schema::Ref { name } => {
                let full = name.fullname(space);
                return self
                    .names
                    .get(&full)
                    .copied()
                    .ok_or_else(|| format!("it refers to {full}, which is not there"));
            }
        };
        Ok(self.push(node))
    }

    fn add_fixed(&mut self, fixed: &FixedSchema, node: Node, space: Option<&str>) -> usize {
        let index = self.push(node);
        self.names.insert(fixed.name.fullname(space), index);
        index
    }
}

fn quoted(text: &str) -> Box<str> {
    serde_json::Value::from(text).to_string().into()
}
