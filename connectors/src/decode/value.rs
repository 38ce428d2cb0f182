//! JSON text of one field → a value of the type the field must have.

use super::code::{Code, Fault, fault};
use std::borrow::Cow;

fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn wrong_type<T>(path: &str, raw: &str, expected: &str) -> Result<T, Fault> {
    fault(
        Code::WrongType,
        format!("field \"{path}\": expected {expected}, got {}", kind(raw)),
    )
}

pub(super) fn is_number(raw: &str) -> bool {
    raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

pub(super) fn is_string(raw: &str) -> bool {
    raw.starts_with('"')
}

pub(super) fn string<'a>(path: &str, raw: &'a str) -> Result<Cow<'a, str>, Fault> {
    let Some(inner) = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) else {
        return wrong_type(path, raw, "a string");
    };
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    match serde_json::from_str(raw) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(e) => fault(Code::InvalidJson, format!("field \"{path}\": {e}")),
    }
}

/// A string, or a whole number as its digits: many systems number their ids.
pub(super) fn id_text<'a>(path: &str, raw: &'a str) -> Result<Cow<'a, str>, Fault> {
    if is_number(raw) && !raw.contains(['.', 'e', 'E']) {
        return Ok(Cow::Borrowed(raw));
    }
    if is_string(raw) {
        string(path, raw)
    } else {
        wrong_type(path, raw, "a string")
    }
}

pub(super) fn boolean(path: &str, raw: &str) -> Result<bool, Fault> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => wrong_type(path, raw, "true or false"),
    }
}

pub(super) fn float(path: &str, raw: &str) -> Result<f64, Fault> {
    if !is_number(raw) {
        return wrong_type(path, raw, "a number");
    }
    match raw.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => fault(
            Code::NotANumber,
            format!("field \"{path}\": {raw} is not a finite number"),
        ),
    }
}

/// A whole number, also when written like `12.0`.
pub(super) fn integer(path: &str, raw: &str) -> Result<i64, Fault> {
    if let Ok(number) = raw.parse::<i64>() {
        return Ok(number);
    }
    let number = float(path, raw)?;
    if number.fract() != 0.0 {
        return fault(
            Code::WrongType,
            format!("field \"{path}\": expected a whole number, got {raw}"),
        );
    }
    whole(number).ok_or_else(|| {
        Fault::new(
            Code::NumberOutOfRange,
            format!("field \"{path}\": {raw} does not fit 64 bits"),
        )
    })
}

/// A float without fraction as an integer, if it fits.
#[allow(clippy::cast_possible_truncation)] // the range is checked
pub(super) fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&number).then_some(number as i64)
}

/// A list of strings; empty ones are left out.
pub(super) fn strings(path: &str, raw: &str) -> Result<Vec<String>, Fault> {
    if !raw.starts_with('[') {
        return wrong_type(path, raw, "an array of strings");
    }
    match serde_json::from_str::<Vec<String>>(raw) {
        Ok(all) => Ok(all.into_iter().filter(|s| !s.is_empty()).collect()),
        Err(e) => fault(
            Code::WrongType,
            format!("field \"{path}\": expected an array of strings: {e}"),
        ),
    }
}
