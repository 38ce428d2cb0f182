//! Which letters are meant. Pure.

use super::Letter;
use crate::decode::parse_duration_ms;
use groundswell_core::time::EventTime;

/// What a letter must be; everything that is not said is welcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its stage.
    pub stage: Option<String>,
    /// Its code.
    pub code: Option<String>,
    /// Its source.
    pub source: Option<String>,
    /// Recorded then or later (epoch ms).
    pub since: Option<EventTime>,
}

impl Filter {
    /// Whether a letter is meant.
    pub fn takes(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let at = EventTime::try_from(letter.tick).unwrap_or(EventTime::MAX);
        is(&self.stage, &letter.stage)
            && is(&self.code, &letter.code)
            && is(&self.source, &letter.source)
            && self.since.is_none_or(|since| at >= since)
    }
}

/// A moment as people say it: a time, a day, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Then (epoch ms).
    At(EventTime),
    /// This many milliseconds ago.
    Ago(i64),
}

impl Since {
    /// The moment, seen from `now` (epoch ms).
    pub fn from(self, now: EventTime) -> EventTime {
        match self {
            Since::At(at) => at,
            Since::Ago(ms) => now.saturating_sub(ms),
        }
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = parse_duration_ms(text) {
            return Ok(Since::Ago(ago));
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Since::At(at.as_millisecond()));
        }
        let midnight = |day: jiff::civil::Date| day.to_zoned(jiff::tz::TimeZone::UTC).ok();
        // Only a whole date: jiff would read the date out of a longer text as well.
        let day = (text.len() == 10).then(|| text.parse::<jiff::civil::Date>().ok());
        day.flatten()
            .and_then(midnight)
            .map(|at| Since::At(at.timestamp().as_millisecond()))
            .ok_or_else(|| {
                format!(
                    "\"{text}\" is no time like 2026-06-19T23:00:00Z, no day like 2026-06-19, and no duration like 2h"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_narrows() {
        let letter = Letter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            source: "posts".into(),
            tick: 100,
            ..Letter::default()
        };
        let yes = |text: &str| Some(text.to_owned());
        assert!(Filter::default().takes(&letter));
        let all = Filter {
            stage: yes("decode"),
            code: yes("invalid_json"),
            source: yes("posts"),
            since: Some(100),
        };
        assert!(all.takes(&letter));
        for other in [
            Filter {
                stage: yes("score"),
                ..all.clone()
            },
            Filter {
                code: yes("late"),
                ..all.clone()
            },
            Filter {
                source: yes("votes"),
                ..all.clone()
            },
            Filter {
                since: Some(101),
                ..all.clone()
            },
        ] {
            assert!(!other.takes(&letter), "{other:?}");
        }
    }

    #[test]
    fn moments_are_read_as_people_say_them() {
        for (text, since) in [
            ("2h", Since::Ago(7_200_000)),
            ("1970-01-02T00:00:00Z", Since::At(86_400_000)),
            ("1970-01-02T01:00:00+01:00", Since::At(86_400_000)),
            ("1970-01-02", Since::At(86_400_000)),
        ] {
            assert_eq!(text.parse(), Ok(since), "{text}");
        }
        assert_eq!(Since::Ago(5).from(12), 7);
        for wrong in ["", "yesterday", "2 fortnights", "1970-13-02", "12"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
