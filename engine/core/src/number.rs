//! Numbers of posts and authors beside the votes: likes, replies, viewers, followers.
//!
//! A pipeline declares their names ([`NumberSpec`]); the values are fields of the records that no other field takes, which are
//! recorded with them ([`crate::record::Post::extra`]). In: that JSON text. Out: [`Values`], integers by place. In the
//! difference of a row are integers only: decimals are kept in millionths. Means and ratios are divided out when a row is read.

use crate::id::PostKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// Most numbers a post can have.
pub const MOST_OF_POSTS: usize = 8;
/// Most numbers an author can have.
pub const MOST_OF_AUTHORS: usize = 4;
/// Greatest number, and least with a minus: what JSON's readers keep exact.
pub const LARGEST: i64 = (1 << 53) - 1;
/// What a decimal is kept in parts of.
pub const PARTS: i64 = 1_000_000;
/// The name of the number every post has: its votes.
pub const VOTES: &str = "votes";

/// Whose number it is, and its place among those of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The votes of a post.
    Votes,
    /// A post's.
    Post(u8),
    /// The post's author's.
    Author(u8),
}

/// A number that is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberSpec {
    /// Its name: the field of the record, and what formulas call it.
    pub name: String,
    /// Whose.
    pub of: Of,
    /// Whether it has decimals; kept in millionths then.
    pub decimal: bool,
}

impl NumberSpec {
    /// The numbers of a pipeline that declares these of posts, whole and with decimals, and these of authors; the votes come
    /// first.
    pub fn declare(posts: &[String], decimals: &[String], authors: &[String]) -> Vec<NumberSpec> {
        let number = |name: &String, of, decimal| NumberSpec {
            name: name.clone(),
            of,
            decimal,
        };
        let votes = number(&VOTES.to_owned(), Of::Votes, false);
        let of_posts = (0u8..).zip(
            posts
                .iter()
                .map(|n| (n, false))
                .chain(decimals.iter().map(|n| (n, true))),
        );
        std::iter::once(votes)
            .chain(of_posts.map(|(at, (name, decimal))| number(name, Of::Post(at), decimal)))
            .chain(
                (0u8..)
                    .zip(authors)
                    .map(|(at, name)| number(name, Of::Author(at), false)),
            )
            .collect()
    }
}

/// Numbers by place; a place without a number is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Values<const N: usize = MOST_OF_POSTS>(#[serde(with = "places")] [i64; N]);

/// The place of no number. It is none that a record can have.
const NONE: i64 = i64::MIN;

impl<const N: usize> Default for Values<N> {
    fn default() -> Self {
        Values([NONE; N])
    }
}

impl<const N: usize> Values<N> {
    /// The number at a place.
    pub fn get(&self, at: u8) -> Option<i64> {
        self.0.get(usize::from(at)).copied().filter(|n| *n != NONE)
    }

    /// Puts a number.
    pub fn set(&mut self, at: u8, value: Option<i64>) {
        if let Some(slot) = self.0.get_mut(usize::from(at)) {
            *slot = value.unwrap_or(NONE);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Values::default()
    }
}

/// Arrays of any length as sequences.
mod places {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer, const N: usize>(places: &[i64; N], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(places)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[i64; N], D::Error> {
        let all = Vec::<i64>::deserialize(d)?;
        all.try_into().map_err(|_| D::Error::custom("another number of places"))
    }
}

/// A field that is no such number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field \"{name}\": expected {expected} or null, got {found}")]
pub struct NotANumber {
    /// The field.
    pub name: String,
    /// What it should be.
    pub expected: &'static str,
    /// What it is, or its beginning.
    pub found: String,
}

/// Reads the numbers of one kind (`place` says which) out of a JSON object; one that is not there or null is none. Of a name
/// that is there twice the last counts. A number may be written as a string, as some platforms do.
///
/// # Errors
/// [`NotANumber`] for the first field that is none. What is not an object has no numbers.
pub fn read<const N: usize>(
    extra: Option<&str>,
    numbers: &[NumberSpec],
    place: impl Fn(Of) -> Option<u8>,
) -> Result<Values<N>, NotANumber> {
    let mut values = Values::default();
    let Some(extra) = extra else { return Ok(values) };
    let Ok(fields) = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(extra) else {
        return Ok(values);
    };
    for number in numbers {
        if let Some(at) = place(number.of)
            && let Some(raw) = fields.get(number.name.as_str())
        {
            let value = parse(raw.get(), number.decimal);
            values.set(
                at,
                value.ok_or_else(|| NotANumber {
                    name: number.name.clone(),
                    expected: if number.decimal {
                        "a number below 9 billion"
                    } else {
                        "a whole number below 2^53"
                    },
                    found: raw.get().chars().take(64).collect(),
                })?,
            );
        }
    }
    Ok(values)
}

/// The numbers of a post.
///
/// # Errors
/// As [`read`].
pub fn of_post(extra: Option<&str>, numbers: &[NumberSpec]) -> Result<Values, NotANumber> {
    read(extra, numbers, |of| match of {
        Of::Post(at) => Some(at),
        _ => None,
    })
}

/// The numbers of an author.
///
/// # Errors
/// As [`read`].
pub fn of_author(extra: Option<&str>, numbers: &[NumberSpec]) -> Result<Values<MOST_OF_AUTHORS>, NotANumber> {
    read(extra, numbers, |of| match of {
        Of::Author(at) => Some(at),
        _ => None,
    })
}

/// Outer: whether it is a number. Inner: none for null.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // within ±2^53
fn parse(raw: &str, decimal: bool) -> Option<Option<i64>> {
    if raw == "null" {
        return Some(None);
    }
    let digits = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw);
    if !digits.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    let value = match digits.parse::<i64>() {
        Ok(whole) if !decimal => Some(whole),
        _ => {
            let number = digits.parse::<f64>().ok()? * if decimal { PARTS as f64 } else { 1.0 };
            let fits = number.abs() <= LARGEST as f64 && (decimal || number.fract() == 0.0);
            fits.then(|| number.round() as i64)
        }
    }?;
    (value.abs() <= LARGEST).then_some(Some(value))
}

/// What is known of one number over the posts of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stat {
    /// Posts that have it.
    pub known: i64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares, where the view asks for it.
    pub squares: i128,
    /// The least and the greatest, where the view asks for them.
    pub bounds: Option<(i64, i64)>,
}

/// A post among the top ones of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopPost {
    /// Which.
    pub post: PostKey,
    /// The number it is there for.
    pub value: i64,
}

/// What a row has beyond its sums: a [`Stat`] for every number its view uses, in the view's order, and its top posts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// By the view's numbers.
    pub stats: Vec<Stat>,
    /// The greatest first; of equals the older post, then the lesser digest.
    pub top: Vec<TopPost>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<NumberSpec> {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        NumberSpec::declare(
            &names(&["likes", "replies"]),
            &names(&["ratio"]),
            &names(&["followers"]),
        )
    }

    #[test]
    fn numbers_are_found_by_name() {
        let declared = declared();
        let extra = r#"{"likes":3,"x":{"likes":9},"ratio":0.935,"replies":null,"followers":"1200"}"#;
        let post = of_post(Some(extra), &declared).expect("numbers");
        assert_eq!(
            [0, 1, 2, 3].map(|at| post.get(at)),
            [Some(3), None, Some(935_000), None]
        );
        let author = of_author(Some(extra), &declared).expect("numbers");
        assert_eq!(author.get(0), Some(1200));
        assert!(of_post(None, &declared).expect("none").is_empty());
        assert!(of_post(Some("[1]"), &declared).expect("none").is_empty());
    }

    #[test]
    fn what_is_no_number_is_named() {
        for (raw, good) in [
            ("12", true),
            ("12.0", true),
            ("-3", true),
            ("\"12\"", true),
            ("12.5", false),
            ("true", false),
            ("\"many\"", false),
            ("[1]", false),
            ("9007199254740991", true),
            ("9007199254740992", false),
            ("1e300", false),
            ("\"NaN\"", false),
            ("\"-inf\"", false),
        ] {
            let found = of_post(Some(&format!("{{\"likes\":{raw}}}")), &declared());
            assert_eq!(found.is_ok(), good, "{raw}: {found:?}");
        }
        let error = of_post(Some(r#"{"replies":"x"}"#), &declared()).expect_err("no number");
        assert!(error.to_string().contains("\"replies\""), "{error}");
        let nan = of_post(Some(r#"{"ratio":"nan"}"#), &declared());
        assert!(nan.is_err(), "{nan:?}");
    }

    #[test]
    fn values_travel() {
        let mut values = Values::<MOST_OF_AUTHORS>::default();
        values.set(1, Some(-7));
        let text = serde_json::to_string(&values).expect("json");
        assert_eq!(
            serde_json::from_str::<Values<MOST_OF_AUTHORS>>(&text).expect("back"),
            values
        );
    }
}
