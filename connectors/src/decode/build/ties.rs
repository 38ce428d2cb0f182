//! Interactions and follows: records without an id, which say who, whom and what.

use super::{Builder, Decoded};
use crate::decode::Collection;
use crate::decode::code::{Code, Fault, fault};
use crate::decode::fields::Found;
use crate::decode::map::Field;
use groundswell_core::record::Record;
use groundswell_core::tie::{Tie, TieKind};

/// Where user and target are found.
pub(super) struct Fields {
    user: Field,
    target: Field,
}

/// Those of a collection of ties.
pub(super) fn fields(into: Collection) -> Option<Fields> {
    match into {
        Collection::Interactions => Some(Fields {
            user: Field::User,
            target: Field::Post,
        }),
        Collection::Follows => Some(Fields {
            user: Field::Follower,
            target: Field::Followed,
        }),
        _ => None,
    }
}

/// The record of a tie, made or undone.
pub(super) fn tie(builder: &Builder<'_>, fields: &Fields, found: &Found<'_>) -> Decoded {
    let user = required(builder, found, fields.user)?;
    let target = required(builder, found, fields.target)?;
    let kind = match fields.target {
        Field::Followed => TieKind::Follow,
        _ => kind(builder, found)?,
    };
    let tie = Tie {
        at: builder.required_time(found, Field::At)?,
        undone: builder.flag(found, Field::Deleted)?,
        user,
        kind,
        target,
    };
    builder.intern(&tie.user)?;
    if kind == TieKind::Follow {
        builder.intern(&tie.target)?;
    }
    Ok((Record::Tie(tie), builder.version(found)?))
}

fn required(builder: &Builder<'_>, found: &Found<'_>, field: Field) -> Result<String, Fault> {
    builder.optional_id(found, field)?.ok_or_else(|| builder.missing(field))
}

fn kind(builder: &Builder<'_>, found: &Found<'_>) -> Result<TieKind, Fault> {
    let name = builder.optional_text(found, Field::Kind)?;
    let name = name.ok_or_else(|| builder.missing(Field::Kind))?;
    match TieKind::WITH_POSTS.into_iter().find(|kind| kind.name() == name) {
        Some(kind) => Ok(kind),
        None => {
            let (path, shown): (_, String) = (builder.path(Field::Kind), name.chars().take(64).collect());
            fault(
                Code::UnknownKind,
                format!("field \"{path}\": \"{shown}\" is none of like, repost, comment, view"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoder, DecoderSpec, FieldMap};
    use groundswell_core::id::Names;

    fn decode(into: Collection, line: &str) -> Result<(Record, Option<u64>), String> {
        let map = match into {
            Collection::Follows => FieldMap::default().with("version", "n"),
            _ => FieldMap::default(),
        };
        let decoder = Decoder::new(DecoderSpec::new(into).with_map(map)).expect("a map");
        let decoded = decoder.decode(Some(b"k"), Some(line.as_bytes()), &Names::default());
        decoded.map_err(|dead| dead.code)
    }

    #[test]
    fn interactions_and_follows_say_who_and_what() {
        let like = r#"{"user":"ann","post":7,"kind":"like","at":1767225600000}"#;
        let Ok((Record::Tie(tie), None)) = decode(Collection::Interactions, like) else {
            panic!("a like");
        };
        assert_eq!((tie.key().as_str(), tie.undone), (r#"["like","ann","7"]"#, false));
        let unfollow = r#"{"follower":"ann","followed":"bob","at":"2026-01-01T00:00:00Z","deleted":true,"n":3}"#;
        let Ok((Record::Tie(tie), Some(3))) = decode(Collection::Follows, unfollow) else {
            panic!("an unfollow");
        };
        assert_eq!(
            (tie.kind, tie.undone, tie.at),
            (TieKind::Follow, true, 1_767_225_600_000)
        );
    }

    #[test]
    fn what_says_too_little_is_a_dead_letter() {
        let bad = [
            (r#"{"post":"p","kind":"like","at":1767225600000}"#, "missing_field"),
            (
                r#"{"user":"","post":"p","kind":"like","at":1767225600000}"#,
                "missing_field",
            ),
            (r#"{"user":"a","post":"p","at":1767225600000}"#, "missing_field"),
            (r#"{"user":"a","post":"p","kind":"like"}"#, "missing_field"),
            (
                r#"{"user":"a","post":"p","kind":"follow","at":1767225600000}"#,
                "unknown_kind",
            ),
            (
                r#"{"user":"a","post":"p","kind":"LIKE","at":1767225600000}"#,
                "unknown_kind",
            ),
            (r#"{"user":"a","post":"p","kind":7,"at":1767225600000}"#, "wrong_type"),
            (
                r#"{"user":"a","post":["p"],"kind":"like","at":1767225600000}"#,
                "wrong_type",
            ),
            (r#"{"user":"a","post":"p","kind":"like","at":12}"#, "time_in_seconds"),
        ];
        for (line, code) in bad {
            let refused = decode(Collection::Interactions, line).expect_err(line);
            assert!(
                refused == code || (code == "time_in_seconds" && refused == "time_out_of_range"),
                "{line}: {refused}"
            );
        }
        let decoder = Decoder::new(DecoderSpec::new(Collection::Interactions)).expect("a map");
        let gone = decoder
            .decode(Some(b"k"), None, &Names::default())
            .expect_err("says nothing");
        assert_eq!(gone.code, "not_deletable");
    }
}
