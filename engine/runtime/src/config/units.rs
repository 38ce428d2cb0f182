//! Durations (`500ms`, `10s`, `1m`, `2h`, `30d`) and sizes (`64MiB`) as text and as numbers. Pure.

/// Units of durations in milliseconds, greatest first.
const DURATIONS: [(&str, i64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of sizes in bytes, greatest first.
const SIZES: [(&str, i64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Milliseconds of a duration; `None` if the text is none, or too long to count.
pub(super) fn duration(text: &str) -> Option<i64> {
    parse(text, &DURATIONS)
}

/// Bytes of a size.
pub(super) fn size(text: &str) -> Option<i64> {
    parse(text, &SIZES)
}

/// A duration as the shortest text that gives it back.
pub(super) fn show_duration(ms: i64) -> String {
    show(ms, &DURATIONS)
}

/// A size as the shortest text that gives it back.
pub(super) fn show_size(bytes: i64) -> String {
    show(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn show(value: i64, units: &[(&str, i64)]) -> String {
    let (name, factor) = units
        .iter()
        .find(|(_, f)| value != 0 && value % f == 0)
        .unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_round_trip() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Some(ms));
            assert_eq!(show_duration(ms), text);
        }
        assert_eq!(
            (duration("90s"), show_duration(90_000)),
            (Some(90_000), "90s".to_owned())
        );
        assert_eq!(
            (size("64MiB"), show_size(64 << 20)),
            (Some(64 << 20), "64MiB".to_owned())
        );
        assert_eq!(
            (duration("0s"), show_duration(0), show_size(0)),
            (Some(0), "0ms".into(), "0B".into())
        );
        assert_eq!(duration("1 m"), Some(60_000));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "1",
            "m",
            "-1m",
            "1.5h",
            "1m30s",
            "1 minute",
            "NaN",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for bad in ["64", "64MB", "64 mib", "∞B"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
