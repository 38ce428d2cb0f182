//! Avro's binary encoding → JSON text, by the schema that wrote it.
//!
//! The library reads schemas; data is read here. Its decoder takes a string that is cut off for a null and follows a
//! recursive schema as deep as the data asks for; records of strangers need an end to both. This one also makes no values
//! in between: what is read is written.
//!
//! Unions are what they hold, enums their symbols, timestamps RFC 3339 in UTC (local ones without a zone), dates
//! `2026-11-23`, decimals numbers with all their digits, bytes and `fixed` base64. NaN and the infinities are strings, as
//! Protobuf has them: JSON knows no such numbers.

mod plan;

pub(super) use plan::Plan;

use super::wire;
use crate::decode::{Code, Fault, MAX_DEPTH, fault};
use base64::Engine;
use plan::{Node, Time};
use serde::Serialize;
use std::io::Write;

impl Plan {
    /// One record as JSON text.
    pub(super) fn json(&self, data: &[u8], limit: usize) -> Result<String, Fault> {
        let mut reading = Reading {
            plan: self,
            data,
            length: data.len(),
            out: Vec::with_capacity(3 * data.len() + 64),
            limit,
        };
        reading.value(self.root(), 0)?;
        let left = reading.data.len();
        if left > 0 {
            return mismatch(format!("{left} bytes are left over at its end"));
        }
        String::from_utf8(reading.out).or_else(|e| mismatch(e.to_string()))
    }
}

fn mismatch<T>(why: impl Into<String>) -> Result<T, Fault> {
    fault(Code::SchemaMismatch, why)
}

struct Reading<'a> {
    plan: &'a Plan,
    data: &'a [u8],
    length: usize,
    out: Vec<u8>,
    limit: usize,
}

impl<'a> Reading<'a> {
    fn value(&mut self, node: usize, depth: usize) -> Result<(), Fault> {
        // Strings are as long as the data; only what costs no data can go on for ever, and it comes by here.
        if self.out.len() > self.limit {
            return mismatch(format!("it is longer than {} bytes as JSON", self.limit));
        }
        if depth > MAX_DEPTH {
            let message = format!("arrays and objects are nested deeper than {MAX_DEPTH} levels");
            return fault(Code::NestedTooDeep, message);
        }
        match self.plan.node(node) {
            Node::Null => self.out.extend_from_slice(b"null"),
            Node::Boolean => {
                let word: &[u8] = match self.take(1)? {
                    [0] => b"false",
                    [1] => b"true",
                    [other, ..] => return mismatch(format!("a boolean is {other} {}", self.place())),
                    [] => return self.short(),
                };
                self.out.extend_from_slice(word);
            }
            Node::Int => {
                let number = self.number()?;
                if i32::try_from(number).is_err() {
                    return mismatch(format!("{number} does not fit an int {}", self.place()));
                }
                self.write(&number)?;
            }
            Node::Long => {
                let number = self.number()?;
                self.write(&number)?;
            }
            Node::Float => {
                let number = f32::from_le_bytes(self.array()?);
                match number.is_finite() {
                    true => self.write(&number)?,
                    false => self.no_number(f64::from(number))?,
                }
            }
            Node::Double => {
                let number = f64::from_le_bytes(self.array()?);
                match number.is_finite() {
                    true => self.write(&number)?,
                    false => self.no_number(number)?,
                }
            }
            Node::Bytes => {
                let bytes = self.bytes()?;
                self.base64(bytes)?;
            }
            Node::Fixed(size) => {
                let bytes = self.take(*size)?;
                self.base64(bytes)?;
            }
            Node::String => {
                let text = self.text()?;
                self.write(text)?;
            }
            Node::Uuid => {
                let bits = u128::from_be_bytes(self.array()?);
                let id = apache_avro::Uuid::from_u128(bits).to_string();
                self.write(&id)?;
            }
            Node::Time(time) => {
                let (number, time) = (self.number()?, *time);
                self.time(number, time)?;
            }
            Node::Decimal { size, scale } => {
                let (size, scale) = (*size, *scale);
                let bytes = match size {
                    Some(size) => self.take(size)?,
                    None => self.bytes()?,
                };
                let Some(digits) = decimal(bytes, scale) else {
                    return mismatch(format!("a decimal is wider than 128 bits {}", self.place()));
                };
                self.out.extend_from_slice(digits.as_bytes());
            }
            Node::Duration => {
                let parts: [[u8; 4]; 3] = [self.array()?, self.array()?, self.array()?];
                let [months, days, ms] = parts.map(u32::from_le_bytes);
                // Writing to memory cannot fail.
                let _ = write!(
                    self.out,
                    "{{\"months\":{months},\"days\":{days},\"milliseconds\":{ms}}}"
                );
            }
            Node::Enum(symbols) => {
                let index = self.number()?;
                match usize::try_from(index).ok().and_then(|i| symbols.get(i)) {
                    Some(symbol) => self.out.extend_from_slice(symbol.as_bytes()),
                    None => return mismatch(format!("an enum has no symbol {index} {}", self.place())),
                }
            }
            Node::Union(branches) => {
                let index = self.number()?;
                match usize::try_from(index).ok().and_then(|i| branches.get(i)) {
                    Some(branch) => self.value(*branch, depth)?,
                    None => return mismatch(format!("a union has no branch {index} {}", self.place())),
                }
            }
            Node::Record(fields) => {
                self.out.push(b'{');
                for (i, (name, field)) in fields.iter().enumerate() {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.out.extend_from_slice(name.as_bytes());
                    self.value(*field, depth + 1)?;
                }
                self.out.push(b'}');
            }
            Node::Array(items) => {
                self.out.push(b'[');
                self.blocks(|reading| reading.value(*items, depth + 1))?;
                self.out.push(b']');
            }
            Node::Map(values) => {
                self.out.push(b'{');
                self.blocks(|reading| {
                    let key = reading.text()?;
                    reading.write(key)?;
                    reading.out.push(b':');
                    reading.value(*values, depth + 1)
                })?;
                self.out.push(b'}');
            }
        }
        Ok(())
    }

    /// The items of an array or map, with commas between them: blocks with their counts, the last of which is 0.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut first = true;
        loop {
            let mut count = self.number()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // Followed by the block's length, for readers who skip it.
                self.number()?;
                count = match count.checked_neg() {
                    Some(count) => count,
                    None => return mismatch(format!("a block has too many items {}", self.place())),
                };
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.out.push(b',');
                }
                item(self)?;
            }
        }
    }

    fn place(&self) -> String {
        format!("before byte {} of {}", self.length - self.data.len(), self.length)
    }

    fn short<T>(&self) -> Result<T, Fault> {
        mismatch(format!("it ends too early, after {} bytes", self.length))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        match self.data.split_at_checked(count) {
            Some((taken, rest)) => {
                self.data = rest;
                Ok(taken)
            }
            None => self.short(),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        match self.data.split_first_chunk() {
            Some((taken, rest)) => {
                self.data = rest;
                Ok(*taken)
            }
            None => self.short(),
        }
    }

    fn number(&mut self) -> Result<i64, Fault> {
        match wire::number(self.data) {
            Some((number, rest)) => {
                self.data = rest;
                Ok(number)
            }
            None if self.data.len() < 10 => self.short(),
            None => mismatch(format!("a number is longer than 64 bits {}", self.place())),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.number()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => mismatch(format!("a length is {length} {}", self.place())),
        }
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).or_else(|_| mismatch(format!("a string is not UTF-8 {}", self.place())))
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        serde_json::to_writer(&mut self.out, value).or_else(|e| mismatch(e.to_string()))
    }

    fn no_number(&mut self, number: f64) -> Result<(), Fault> {
        self.write(match number {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        })
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.write(&base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    /// A time as text; one beyond all calendars as the number it is.
    fn time(&mut self, number: i64, time: Time) -> Result<(), Fault> {
        let (stamp, local) = match time {
            Time::Date => (number.checked_mul(86_400).map(jiff::Timestamp::from_second), false),
            Time::Millis { local } => (Some(jiff::Timestamp::from_millisecond(number)), local),
            Time::Micros { local } => (Some(jiff::Timestamp::from_microsecond(number)), local),
            Time::Nanos { local } => (Some(jiff::Timestamp::from_nanosecond(i128::from(number))), local),
        };
        let Some(Ok(stamp)) = stamp else {
            return self.write(&number);
        };
        let text = stamp.to_string();
        self.write(match time {
            Time::Date => text.split('T').next().unwrap_or(&text),
            _ if local => text.trim_end_matches('Z'),
            _ => &text,
        })
    }
}

/// A two's complement number with this many of its digits behind the point; `None` beyond 128 bits.
fn decimal(bytes: &[u8], scale: usize) -> Option<String> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    let at = wide.len().checked_sub(bytes.len())?;
    wide[at..].copy_from_slice(bytes);
    let number = i128::from_be_bytes(wide);
    // With a digit before the point.
    let mut digits = format!("{:0>1$}", number.unsigned_abs(), scale + 1);
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if number < 0 {
        digits.insert(0, '-');
    }
    Some(digits)
}

#[cfg(test)]
mod tests;
