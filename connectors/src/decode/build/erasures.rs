//! Erasures: records without an id, which say who or what is to be forgotten, or no more.

use super::{Builder, Decoded};
use crate::decode::code::{Code, fault};
use crate::decode::fields::Found;
use crate::decode::map::Field;
use crate::decode::value;
use groundswell_core::erasure::{Erasure, Subject};
use groundswell_core::record::Record;

/// Where a subject is found, and how its id names it.
type Named = (Field, fn(&str) -> Subject);

const SUBJECTS: [Named; 3] = [
    (Field::Author, Subject::author),
    (Field::Post, Subject::post),
    (Field::Thread, Subject::thread),
];

/// The record of an erasure, or of its end.
pub(super) fn erasure(builder: &Builder<'_>, found: &Found<'_>) -> Decoded {
    let mut named = SUBJECTS
        .into_iter()
        .filter_map(|(field, of)| Some((field, of, found.get(field)?)));
    let (Some((field, of, raw)), another) = (named.next(), named.next()) else {
        let paths = SUBJECTS.map(|(field, _)| format!("\"{}\"", builder.path(field)));
        let message = format!("none of the fields {} says what is to be erased", paths.join(", "));
        return fault(Code::MissingField, message);
    };
    let path = builder.path(field);
    if let Some((other, ..)) = another {
        let message = format!(
            "the fields \"{path}\" and \"{}\" are both there; an erasure is about one",
            builder.path(other)
        );
        return fault(Code::NotOneSubject, message);
    }
    let id = value::id_text(path, raw)?;
    if id.is_empty() {
        return fault(Code::IdEmpty, format!("field \"{path}\" is empty"));
    }
    let id = builder.checked_len(path, builder.prefixed(field, id.into_owned()))?;
    let erasure = Erasure {
        of: of(&id),
        undo: builder.flag(found, Field::Undo)?,
    };
    Ok((Record::Erasure(erasure), builder.version(found)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Collection, Decoder, DecoderSpec, FieldMap, FieldRef};
    use groundswell_core::id::Names;

    fn decode(map: FieldMap, line: Option<&str>) -> Result<(Erasure, Option<u64>), String> {
        let decoder = Decoder::new(DecoderSpec::new(Collection::Erasures).with_map(map)).expect("a map");
        match decoder.decode(Some(b"k"), line.map(str::as_bytes), &Names::default()) {
            Ok((Record::Erasure(erasure), version)) => Ok((erasure, version)),
            Ok(other) => panic!("{other:?}"),
            Err(dead) => Err(dead.code),
        }
    }

    #[test]
    fn erasures_say_what_and_whether_it_is_undone() {
        let good = [
            (r#"{"author":"ann"}"#, Subject::author("ann"), false),
            (r#"{"post":7,"undo":false}"#, Subject::post("7"), false),
            (
                r#"{"thread":"t3_x","author":null,"undo":true,"why":"asked"}"#,
                Subject::thread("t3_x"),
                true,
            ),
        ];
        for (line, of, undo) in good {
            assert_eq!(
                decode(FieldMap::default(), Some(line)),
                Ok((Erasure { of, undo }, None))
            );
        }
    }

    #[test]
    fn names_are_mapped_like_those_of_posts() {
        let prefixed = FieldRef {
            prefix: Some("reddit:".into()),
            ..FieldRef::from("who.name")
        };
        let map = FieldMap::default().with("author", prefixed).with("version", "n");
        let line = r#"{"who":{"name":"ann"},"n":12}"#;
        let of = Subject::author("reddit:ann");
        assert_eq!(decode(map, Some(line)), Ok((Erasure { of, undo: false }, Some(12))));
    }

    #[test]
    fn what_does_not_name_one_thing_is_a_dead_letter() {
        let long = format!(r#"{{"author":"{}"}}"#, "x".repeat(600));
        let bad = [
            (r#"{"user":"ann"}"#, "missing_field"),
            (r#"{"undo":true}"#, "missing_field"),
            (r#"{"author":null}"#, "missing_field"),
            (r#"{"author":"ann","post":"p"}"#, "not_one_subject"),
            (r#"{"author":""}"#, "id_empty"),
            (r#"{"author":["ann"]}"#, "wrong_type"),
            (r#"{"author":"ann","undo":"yes"}"#, "wrong_type"),
            (r#"["ann"]"#, "not_an_object"),
            (&long, "id_too_long"),
        ];
        for (line, code) in bad {
            assert_eq!(decode(FieldMap::default(), Some(line)), Err(code.to_owned()), "{line}");
        }
        assert_eq!(decode(FieldMap::default(), None), Err("not_deletable".to_owned()));
    }
}
