//! From the names models give their labels to the engine's. Pure.
//!
//! Case, `_` and `-` do not matter. Several labels may mean the same: their probabilities are added up. A seventh emotion
//! is mapped to the nearest of the engine's six, as GoEmotions' authors group them, disgust with anger.

/// The engine's classes of sentiment, in the order of [`sentiment`]'s answer.
pub const SENTIMENTS: [&str; 3] = ["negative", "neutral", "positive"];

const NEGATIVE: &[&str] = &["negative", "neg", "very negative", "1 star", "2 stars", "bearish"];
const NEUTRAL: &[&str] = &["neutral", "neu", "3 stars"];
const POSITIVE: &[&str] = &["positive", "pos", "very positive", "4 stars", "5 stars", "bullish"];

/// In the order of [`EMOTIONS`](groundswell_core::score::EMOTIONS).
const BY_EMOTION: [&[&str]; 6] = [
    &[
        "joy",
        "happiness",
        "happy",
        "love",
        "optimism",
        "amusement",
        "approval",
        "excitement",
        "gratitude",
        "relief",
        "pride",
        "admiration",
        "desire",
        "caring",
        "trust",
    ],
    &[
        "sadness",
        "sad",
        "disappointment",
        "embarrassment",
        "grief",
        "remorse",
        "pessimism",
    ],
    &["anger", "angry", "annoyance", "disapproval", "disgust"],
    &["fear", "nervousness"],
    &["surprise", "realization", "confusion", "curiosity", "anticipation"],
    &["neutral", "no emotion", "others"],
];

const YES: &[&str] = &[
    "yes",
    "true",
    "irony",
    "ironic",
    "sarcasm",
    "sarcastic",
    "toxic",
    "toxicity",
    "offensive",
    "hate",
    "hateful",
    "abusive",
];
const NO: &[&str] = &[
    "no", "not", "none", "neither", "false", "normal", "neutral", "clean", "ok", "fine",
];

/// Place in [`SENTIMENTS`].
pub fn sentiment(label: &str) -> Option<usize> {
    place(&[NEGATIVE, NEUTRAL, POSITIVE], label)
}

/// Place in [`EMOTIONS`](groundswell_core::score::EMOTIONS).
pub fn emotion(label: &str) -> Option<usize> {
    place(&BY_EMOTION, label)
}

/// Whether a label of a yes-or-no task means yes; `None` if its name does not tell.
pub fn flag(label: &str) -> Option<bool> {
    let label = plain(label);
    let opposite = ["non ", "not ", "no "].iter().find_map(|no| label.strip_prefix(no));
    match opposite {
        Some(rest) => YES.contains(&rest).then_some(false),
        None if YES.contains(&label.as_str()) => Some(true),
        None => NO.contains(&label.as_str()).then_some(false),
    }
}

/// `LABEL_0` and the like, which a config has where nobody named the labels.
pub fn says_nothing(label: &str) -> bool {
    let digits = label.strip_prefix("LABEL_").unwrap_or(label);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn place(table: &[&[&str]], label: &str) -> Option<usize> {
    let label = plain(label);
    table.iter().position(|names| names.contains(&label.as_str()))
}

fn plain(label: &str) -> String {
    label.trim().to_lowercase().replace(['_', '-'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::score::EMOTIONS;

    #[test]
    fn names_are_understood_whatever_their_dress() {
        assert_eq!(sentiment("POSITIVE"), Some(2));
        assert_eq!(sentiment("Very_Negative"), Some(0));
        assert_eq!(sentiment("LABEL_1"), None);
        assert_eq!(flag("non_irony"), Some(false));
        assert_eq!(flag("not-offensive"), Some(false));
        assert_eq!(flag("Toxic"), Some(true));
        assert_eq!(flag("banana"), None);
        assert!(says_nothing("LABEL_12") && says_nothing("3") && !says_nothing("LABEL_") && !says_nothing("joy"));
    }

    #[test]
    fn a_seventh_emotion_is_mapped() {
        let name = |label| emotion(label).map(|n| EMOTIONS[n]);
        assert_eq!(name("disgust"), Some("anger"));
        assert_eq!(name("optimism"), Some("joy"));
        assert_eq!(name("Nervousness"), Some("fear"));
        assert_eq!(name("boredom"), None);
        for known in EMOTIONS {
            assert_eq!(name(known), Some(known));
        }
    }
}
