//! Keywords and the events they make, as data: what the dictionary says, how matching is bounded, what is served.
//!
//! Pure. [`Keyword`] is recorded like an entity; [`EventsSpec`] is the pipeline's; [`KeywordEvent`] is what the dispatcher
//! hands to the hub and the sinks, with all strings in it.

use crate::id::{Dim, PostKey};
use crate::time::{DAY, EventTime, HOUR};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A keyword of the dictionary: phrases that mean the same, and words near which they do not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Keyword {
    /// Stable id; what events name.
    pub id: String,
    /// What is looked for, as whole words. An acronym is a phrase of capitals only.
    pub phrases: Vec<String>,
    /// Words and phrases that suppress an event in whose context they stand.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// `events:` and `stories:` of a pipeline; its keywords are data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsSpec {
    /// Characters before and after a match that are shown, and in which an exclusion suppresses.
    pub context: u32,
    /// Most characters between a match and the mention of an entity it is about.
    pub max_distance: u32,
    /// Least confidence of an event, ppm.
    pub min_confidence: i32,
    /// Events of posts written this long before the clock are dropped (ms); `None` keeps them.
    pub keep: Option<i64>,
    /// Longest time between the first post of a story and its others (ms).
    pub within: i64,
    /// Least likeness of two titles that tell one story, ppm.
    pub similarity: i32,
}

impl Default for EventsSpec {
    fn default() -> Self {
        EventsSpec {
            context: 100,
            max_distance: 50,
            min_confidence: 850_000,
            keep: Some(30 * DAY),
            within: 48 * HOUR,
            similarity: 600_000,
        }
    }
}

/// Title and address of a post: `title` and `url` among the fields of its record that are kept aside. None without either.
pub fn about(extra: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Aside<'a> {
        #[serde(borrow, default)]
        title: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        url: Option<Cow<'a, str>>,
    }
    let extra = extra.filter(|extra| extra.contains("\"title\"") || extra.contains("\"url\""))?;
    // A title that is no text is none.
    let aside: Aside<'_> = serde_json::from_str(extra).ok()?;
    let line = |text: Option<Cow<'_, str>>| text.unwrap_or_default().replace(['\r', '\n'], " ").trim().to_owned();
    let (title, url) = (line(aside.title), line(aside.url));
    (!title.is_empty() || !url.is_empty()).then(|| format!("{url}\n{title}"))
}

/// What [`about`] gave: address and title, either may be empty.
pub fn url_and_title(about: &str) -> (&str, &str) {
    about.split_once('\n').unwrap_or((about, ""))
}

/// The text in which keywords are looked for: the title, if the text does not begin with it, a line end, and the text.
/// Positions in events count its characters.
pub fn searched<'a>(title: &str, text: &'a str) -> Cow<'a, str> {
    if title.is_empty() || text.starts_with(title) {
        Cow::Borrowed(text)
    } else if text.is_empty() {
        Cow::Owned(title.to_owned())
    } else {
        Cow::Owned(format!("{title}\n{text}"))
    }
}

/// The characters of a text from one position to another.
pub fn characters(text: &str, (from, to): (u32, u32)) -> &str {
    let at = |n: u32| {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
    };
    text.get(at(from)..at(to)).unwrap_or_default()
}

/// The id of an event: a digest of post, keyword and entity, so that it is the same after any replay.
pub fn event_id(post: PostKey, keyword: Dim, entity: Dim) -> u128 {
    let mut bytes = post.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(&keyword.0.to_le_bytes());
    bytes.extend_from_slice(&entity.0.to_le_bytes());
    PostKey::of(&bytes).0
}

/// A keyword found in a post, as it is served and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeywordEvent {
    /// The post's id.
    pub post: Arc<str>,
    /// The keyword's id.
    pub keyword: Arc<str>,
    /// The entity's id, if one is named near by.
    pub entity: Option<Arc<str>>,
    /// The entity's name.
    pub company: Option<Arc<str>>,
    /// What was found, as written.
    pub matched: Arc<str>,
    /// Where, in characters of [`searched`]: first, and the one after the last.
    pub span: (u32, u32),
    /// It with the characters around it.
    pub context: Arc<str>,
    /// How sure it is, ppm.
    pub confidence: i32,
    /// The exclusion near by, if there is one: then it is no news.
    pub suppressed_by: Option<Arc<str>>,
    /// The first post that tells the story.
    pub story: Arc<str>,
    /// The event that says the same, of an earlier post of the story.
    pub duplicate_of: Option<u128>,
    /// The post's platform or outlet, and its digest.
    pub source: (Arc<str>, Dim),
    /// The digest of `entity`.
    pub entity_dim: Dim,
    /// The post's title, if it has one.
    pub title: Option<Arc<str>>,
    /// Its address, if it has one.
    pub url: Option<Arc<str>>,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
}

impl KeywordEvent {
    /// Whether it is news: no exclusion suppresses it, and no other event says the same.
    pub fn is_news(&self) -> bool {
        self.suppressed_by.is_none() && self.duplicate_of.is_none()
    }
}

/// An event that changed: what it is now, or `None` when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventChange {
    /// Which event.
    pub id: u128,
    /// What it is now.
    pub event: Option<Arc<KeywordEvent>>,
    /// Whether it was news before this.
    pub was_news: bool,
}

/// What a change is to those who are told of news only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// It is news from now on.
    New(&'a KeywordEvent),
    /// It still is, and says something else.
    Revised(&'a KeywordEvent),
    /// It no longer is: the event is gone, suppressed, or another one says the same.
    Gone,
}

impl EventChange {
    /// What it is to those who are told of news only; nothing, if it neither was nor is.
    pub fn news(&self) -> Option<News<'_>> {
        match (self.event.as_deref().filter(|event| event.is_news()), self.was_news) {
            (Some(event), false) => Some(News::New(event)),
            (Some(event), true) => Some(News::Revised(event)),
            (None, true) => Some(News::Gone),
            (None, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_address_come_from_what_is_kept_aside() {
        let of = |extra| about(Some(extra));
        assert_eq!(of(r#"{"lang":"en"}"#), None);
        assert_eq!(of(r#"{"title":7}"#), None);
        assert_eq!(of(r#"{"title":" A\nb ","url":null}"#).as_deref(), Some("\nA b"));
        let both = of(r#"{"url":"https://x.com/a","title":"T\u00e9","likes":3}"#);
        assert_eq!(both.as_deref().map(url_and_title), Some(("https://x.com/a", "Té")));
        assert_eq!(about(None), None);
    }

    #[test]
    fn a_title_is_searched_once() {
        assert_eq!(searched("A b", "A b\nand more"), "A b\nand more");
        assert_eq!(searched("A b", "other"), "A b\nother");
        assert_eq!((searched("", "x"), searched("x", "")), ("x".into(), "x".into()));
        assert_eq!(characters("añb漢", (1, 3)), "ñb");
        assert_eq!(characters("añb漢", (3, 99)), "漢");
    }
}
