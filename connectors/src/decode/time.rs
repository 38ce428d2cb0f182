//! JSON text of a time → epoch milliseconds, refusing what is almost certainly in the wrong unit.

use super::code::{Code, Fault, fault};
use super::map::TimeUnit;
use super::value;

/// 2200-01-01: later times are refused.
const END: i64 = 7_258_118_400_000;
/// 1973-03-03 in milliseconds; a present-day time in seconds is smaller than this.
const LEAST_PLAUSIBLE: i64 = 100_000_000_000;

/// Reads a number in `unit` (milliseconds unless said otherwise) or an RFC 3339 string.
pub(super) fn epoch_ms(path: &str, raw: &str, unit: Option<TimeUnit>) -> Result<i64, Fault> {
    if value::is_number(raw) {
        return number(path, raw, unit);
    }
    if !value::is_string(raw) {
        return fault(
            Code::WrongType,
            format!("field \"{path}\": expected a time (a number or an RFC 3339 string)"),
        );
    }
    let text = value::string(path, raw)?;
    // Some exports quote their numbers.
    if !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-')
        && text.parse::<f64>().is_ok()
    {
        return number(path, &text, unit);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => in_range(path, &text, time.as_millisecond(), ""),
        Err(_) => fault(
            Code::InvalidTime,
            format!(
                "field \"{path}\": \"{}\" is not a time like 2016-06-19T23:00:00Z",
                shortened(&text)
            ),
        ),
    }
}

fn number(path: &str, raw: &str, unit: Option<TimeUnit>) -> Result<i64, Fault> {
    let unit = unit.unwrap_or(TimeUnit::Milliseconds);
    let exact = raw.parse::<i64>().ok().and_then(|n| match unit {
        TimeUnit::Seconds => n.checked_mul(1_000),
        TimeUnit::Milliseconds => Some(n),
        TimeUnit::Microseconds => Some(n.div_euclid(1_000)),
    });
    let ms = match exact {
        Some(ms) => ms,
        None => {
            let number = value::float(path, raw)?;
            let ms = match unit {
                TimeUnit::Seconds => (number * 1_000.0).round(),
                TimeUnit::Milliseconds => number.round(),
                TimeUnit::Microseconds => (number / 1_000.0).floor(),
            };
            value::whole(ms).unwrap_or(if ms < 0.0 { i64::MIN } else { i64::MAX })
        }
    };
    match unit {
        TimeUnit::Milliseconds if (0..LEAST_PLAUSIBLE).contains(&ms) => fault(
            Code::TimeInSeconds,
            format!(
                "field \"{path}\": {raw} looks like seconds, expected milliseconds (map it with `{{field: {path}, unit: s}}`)"
            ),
        ),
        TimeUnit::Microseconds if (0..LEAST_PLAUSIBLE).contains(&ms) => fault(
            Code::TimeOutOfRange,
            format!("field \"{path}\": {raw} is too small for microseconds; is it in milliseconds or seconds?"),
        ),
        TimeUnit::Seconds => in_range(path, raw, ms, "; is it in milliseconds?"),
        _ => in_range(path, raw, ms, ""),
    }
}

fn in_range(path: &str, raw: &str, ms: i64, hint: &str) -> Result<i64, Fault> {
    if (0..END).contains(&ms) {
        return Ok(ms);
    }
    let (side, hint) = if ms < 0 {
        ("before 1970", "")
    } else {
        ("after 2199", hint)
    };
    fault(
        Code::TimeOutOfRange,
        format!("field \"{path}\": {} is {side}{hint}", shortened(raw)),
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_strings_agree() {
        let wanted = Ok(1_466_377_215_250);
        assert_eq!(epoch_ms("t", "1466377215250", None), wanted);
        assert_eq!(epoch_ms("t", "1466377215250.0", None), wanted);
        assert_eq!(epoch_ms("t", "1466377215.25", Some(TimeUnit::Seconds)), wanted);
        assert_eq!(epoch_ms("t", "1466377215250999", Some(TimeUnit::Microseconds)), wanted);
        assert_eq!(epoch_ms("t", "\"1466377215.25\"", Some(TimeUnit::Seconds)), wanted);
        assert_eq!(epoch_ms("t", "\"2016-06-19T23:00:15.25Z\"", None), wanted);
        assert_eq!(
            epoch_ms("t", "\"2016-06-20T01:00:15.25+02:00\"", Some(TimeUnit::Seconds)),
            wanted
        );
        assert_eq!(
            epoch_ms("t", "1466377215", Some(TimeUnit::Seconds)),
            Ok(1_466_377_215_000)
        );
    }

    #[test]
    fn wrong_units_and_ranges_are_told_apart() {
        let code = |raw, unit| epoch_ms("t", raw, unit).expect_err("refused").code;
        assert_eq!(code("1466377215", None), Code::TimeInSeconds);
        assert_eq!(code("0", None), Code::TimeInSeconds);
        assert_eq!(code("-1", None), Code::TimeOutOfRange);
        assert_eq!(code("1466377215250", Some(TimeUnit::Seconds)), Code::TimeOutOfRange);
        assert_eq!(
            code("1466377215250", Some(TimeUnit::Microseconds)),
            Code::TimeOutOfRange
        );
        assert_eq!(
            code("9223372036854775807", Some(TimeUnit::Seconds)),
            Code::TimeOutOfRange
        );
        assert_eq!(code("1e300", None), Code::TimeOutOfRange);
        assert_eq!(code("1e999", None), Code::NotANumber);
        assert_eq!(code("\"yesterday\"", None), Code::InvalidTime);
        assert_eq!(code("\"1969-12-31T23:59:59Z\"", None), Code::TimeOutOfRange);
        assert_eq!(code("\"2200-01-01T00:00:00Z\"", None), Code::TimeOutOfRange);
        assert_eq!(code("true", None), Code::WrongType);
    }
}
