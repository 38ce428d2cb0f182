//! One pass over a JSON object: every mapped field becomes a slice of the payload, the rest is kept as written.

use super::MAX_DEPTH;
use super::code::{Code, Fault, fault};
use super::map::{FIELDS, Field, Node, Plan, Target};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields found in one object, as JSON text; a name given twice counts with its last value.
pub(super) struct Found<'a> {
    fields: [Option<&'a str>; FIELDS],
    /// What no field took, as a JSON object.
    pub(super) extra: Option<String>,
}

impl<'a> Found<'a> {
    /// Whether the field is there, null included.
    pub(super) fn has(&self, field: Field) -> bool {
        self.fields[field as usize].is_some()
    }

    /// The field's JSON text; absent and null are the same.
    pub(super) fn get(&self, field: Field) -> Option<&'a str> {
        self.fields[field as usize].filter(|raw| *raw != "null")
    }
}

/// Reads a JSON object by the plan.
pub(super) fn read<'a>(text: &'a str, plan: &Plan) -> Result<Found<'a>, Fault> {
    let mut found = Found {
        fields: [None; FIELDS],
        extra: None,
    };
    if !text.trim_ascii_start().starts_with('{') {
        return Err(not_an_object(text));
    }
    let extra = read_level(text, &plan.root, plan.keeps_extra, &mut found).map_err(|e| e.into_fault(text))?;
    // What a map names comes last: of two members of one name it is the one that counts.
    let members = [extra, found.extra.take()]
        .into_iter()
        .flatten()
        .filter(|members| !members.is_empty());
    let members: Vec<String> = members.collect();
    found.extra = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
    // A raw value may hold a lone surrogate, which readers of the extra fields would stumble over.
    if let Some(extra) = &found.extra
        && (extra.contains("\\ud") || extra.contains("\\uD"))
        && let Err(e) = serde_json::from_str::<serde_json::Value>(extra)
    {
        return fault(Code::InvalidJson, format!("an unmapped field cannot be kept: {e}"));
    }
    Ok(found)
}

enum Stopped {
    Json(serde_json::Error),
    TooDeep,
}

impl Stopped {
    fn into_fault(self, text: &str) -> Fault {
        match self {
            Stopped::TooDeep => too_deep(),
            Stopped::Json(e) => broken_json(text, &e),
        }
    }
}

/// Reads one object: members named in `node` go to their fields, the others are returned as text without braces.
fn read_level<'a>(
    text: &'a str,
    node: &Node,
    keeps_extra: bool,
    found: &mut Found<'a>,
) -> Result<Option<String>, Stopped> {
    let mut too_deep = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let level = Level {
        node,
        keeps_extra,
        found,
        too_deep: &mut too_deep,
    };
    let extra = json.deserialize_map(level).and_then(|extra| json.end().map(|()| extra));
    if too_deep {
        Err(Stopped::TooDeep)
    } else {
        extra.map_err(Stopped::Json)
    }
}

struct Level<'p, 'f, 'a> {
    node: &'p Node,
    keeps_extra: bool,
    found: &'f mut Found<'a>,
    too_deep: &'f mut bool,
}

impl<'a> Visitor<'a> for Level<'_, '_, 'a> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut extra = None;
        while let Some(key) = map.next_key_seed(Key)? {
            let raw = map.next_value::<&'a RawValue>()?.get();
            if raw.starts_with(['{', '[']) && deeper_than(raw, MAX_DEPTH - 1) {
                *self.too_deep = true;
                return Err(A::Error::custom("nested too deep"));
            }
            match self.node.children.get(key.as_ref()) {
                Some(node) if node.children.is_empty() => {
                    for target in &node.targets {
                        match target {
                            Target::Field(field) => self.found.fields[*field as usize] = Some(raw),
                            // It has its name at the top, wherever it was found.
                            Target::Aside(name) => push_member(&mut self.found.extra, name, raw),
                        }
                    }
                }
                Some(node) if raw.starts_with('{') => match read_level(raw, node, self.keeps_extra, self.found) {
                    Ok(None) => {}
                    Ok(Some(left)) => push_member(&mut extra, &key, &format!("{{{left}}}")),
                    Err(Stopped::Json(e)) => return Err(A::Error::custom(e)),
                    Err(Stopped::TooDeep) => {
                        *self.too_deep = true;
                        return Err(A::Error::custom("nested too deep"));
                    }
                },
                _ if self.keeps_extra => push_member(&mut extra, &key, raw),
                _ => {}
            }
        }
        Ok(extra)
    }
}

fn push_member(members: &mut Option<String>, key: &str, raw: &str) {
    let members = members.get_or_insert_with(|| String::with_capacity(key.len() + raw.len() + 4));
    if !members.is_empty() {
        members.push(',');
    }
    if key.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        members.push_str(&serde_json::Value::from(key).to_string());
    } else {
        members.push('"');
        members.push_str(key);
        members.push('"');
    }
    members.push(':');
    members.push_str(raw);
}

/// An object's key, borrowed where it has no escapes.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// Whether arrays and objects in a JSON text are inside each other more than `limit` times.
fn deeper_than(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn too_deep() -> Fault {
    Fault::new(
        Code::NestedTooDeep,
        format!("arrays and objects are nested deeper than {MAX_DEPTH} levels"),
    )
}

fn not_an_object(text: &str) -> Fault {
    if deeper_than(text, MAX_DEPTH) {
        return too_deep();
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => {
            let kind = match value.get().as_bytes().first() {
                Some(b'[') => "an array",
                Some(b'"') => "a string",
                Some(b't' | b'f') => "a boolean",
                Some(b'n') => "null (a deletion has no payload at all, or `\"deleted\": true`)",
                _ => "a number",
            };
            Fault::new(Code::NotAnObject, format!("expected a JSON object, got {kind}"))
        }
        Err(e) => broken_json(text, &e),
    }
}

fn broken_json(text: &str, error: &serde_json::Error) -> Fault {
    if deeper_than(text, MAX_DEPTH) {
        return too_deep();
    }
    // Python writes NaN and Infinity, which are no JSON: worth a code of their own.
    let line_start: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (line_start + error.column()).min(text.len());
    let near = &text.as_bytes()[at.saturating_sub(3)..(at + 9).min(text.len())];
    if let Some(word) = ["NaN", "Infinity"]
        .into_iter()
        .find(|w| near.windows(w.len()).any(|n| n == w.as_bytes()))
    {
        return Fault::new(
            Code::NotANumber,
            format!("{word} near byte {at} is not a number JSON knows; send null"),
        );
    }
    Fault::new(Code::InvalidJson, format!("invalid JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_ignores_brackets_in_strings() {
        assert!(!deeper_than(r#"{"a":"[[[[\"[["}"#, 1));
        assert!(deeper_than(r#"{"a":[1]}"#, 1));
        assert!(!deeper_than("[[],[],[]]", 2));
    }
}
