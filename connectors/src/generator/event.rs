//! Events, and how they are written as JSON.

use super::dice::{Dice, Purpose};
use super::phrases::Tone;
use super::{garbage, text};
use crate::decode::Collection;
use groundswell_core::record::Entity;
use serde::Serialize;
use std::sync::Arc;

/// One event as a source would receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// Its number in the stream.
    pub index: u64,
    /// When it arrives (epoch ms).
    pub at: i64,
    /// The collection it belongs to.
    pub collection: Collection,
    /// Its key.
    pub key: String,
    /// Its value: JSON, or garbage.
    pub payload: Vec<u8>,
}

/// Where a post is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Reddit,
    Twitter,
    Youtube,
    Facebook,
}

impl Platform {
    pub(super) const ALL: [Platform; 4] = [
        Platform::Reddit,
        Platform::Twitter,
        Platform::Youtube,
        Platform::Facebook,
    ];

    fn source(self) -> &'static str {
        match self {
            Platform::Reddit => "reddit:starlightstage",
            Platform::Twitter => "twitter",
            Platform::Youtube => "youtube:starlightstage",
            Platform::Facebook => "facebook:starlightfans",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Platform::Reddit => "t1_",
            Platform::Twitter => "tw_",
            Platform::Youtube => "yt_",
            Platform::Facebook => "fb_",
        }
    }

    /// Half of the platforms write times as numbers, half as text.
    fn writes_rfc3339(self) -> bool {
        matches!(self, Platform::Youtube | Platform::Facebook)
    }
}

/// What the stream remembers of a post; the rest follows from its number.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) number: u64,
    pub(super) platform: Platform,
    pub(super) episode: u64,
    pub(super) parent: Option<u64>,
    /// Index in the dictionary.
    pub(super) entity: Option<u64>,
    pub(super) tone: Tone,
    /// The brigade it belongs to and the copy's number.
    pub(super) brigade: Option<(u64, u64)>,
    pub(super) created_at: i64,
    /// The stream's time when it was written, where `created_at` comes from a skewed clock.
    pub(super) written_at: i64,
    pub(super) hidden: bool,
    pub(super) final_votes: i64,
    pub(super) steps: u8,
}

impl Post {
    /// Votes at an observation: nothing is known at step 0, then they move towards their final count, not steadily.
    pub(super) fn votes(&self, seed: u64, step: u8) -> Option<i64> {
        if step == 0 {
            return None;
        }
        let mut dice = Dice::of(seed, Purpose::Votes, self.number << 8 | u64::from(step) << 1);
        let reached = self.final_votes * i64::from(step.min(self.steps)) / i64::from(self.steps.max(1));
        let noise = reached.abs() / 8 + 1;
        Some(1 + reached + dice.between(-noise, noise + 1))
    }
}

/// What happens.
#[derive(Debug)]
pub(super) enum Happening {
    Entity(usize),
    Thread {
        platform: Platform,
        episode: u64,
    },
    Post {
        post: Arc<Post>,
        version: u8,
    },
    Delete {
        post: Arc<Post>,
    },
    Votes {
        post: Arc<Post>,
        votes: Option<i64>,
        observed_at: i64,
    },
    Garbage {
        number: u64,
    },
}

/// A happening in its place.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) index: u64,
    pub(super) at: i64,
    pub(super) happening: Happening,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Time {
    Epoch(i64),
    Text(String),
}

#[derive(Serialize)]
struct PostJson<'a> {
    id: &'a str,
    source: &'static str,
    thread: String,
    parent: Option<String>,
    author: Option<String>,
    text: String,
    score: Option<i64>,
    created_at: Time,
    version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_score: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    followers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    likes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    lang: &'static str,
}

#[derive(Serialize)]
struct VotesJson<'a> {
    id: &'a str,
    source: &'static str,
    score: Option<i64>,
    observed_at: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hidden_score: bool,
}

#[derive(Serialize)]
struct DeleteJson<'a> {
    id: &'a str,
    deleted: bool,
    version: u8,
}

#[derive(Serialize)]
struct ThreadJson<'a> {
    thread: &'a str,
    title: String,
    air_time: i64,
    ends_at: i64,
}

/// Everything texts are written from.
pub(super) struct Story<'s> {
    pub(super) seed: u64,
    pub(super) cast: &'s [Entity],
}

impl Story<'_> {
    pub(super) fn write(&self, event: &Event) -> RawEvent {
        let (collection, key, payload) = match &event.happening {
            Happening::Entity(n) => {
                let entity = self.cast.get(*n).cloned().unwrap_or_default();
                let payload = json(&entity);
                (Collection::Entities, entity.id, payload)
            }
            Happening::Thread { platform, episode } => {
                let id = thread_id(*platform, *episode);
                let title = format!(
                    "Starlight Stage, episode {}: live thread on {}",
                    episode + 1,
                    platform.source()
                );
                let payload = json(&ThreadJson {
                    thread: &id,
                    title,
                    air_time: event.at,
                    ends_at: event.at + 600_000,
                });
                (Collection::Threads, id, payload)
            }
            Happening::Post { post, version } => {
                let id = post_id(post.platform, post.number);
                let payload = self.post(&id, post, *version);
                (Collection::Posts, id, payload)
            }
            Happening::Delete { post } => {
                let id = post_id(post.platform, post.number);
                let payload = json(&DeleteJson {
                    id: &id,
                    deleted: true,
                    version: 3,
                });
                (Collection::Posts, id, payload)
            }
            Happening::Votes {
                post,
                votes,
                observed_at,
            } => {
                let id = post_id(post.platform, post.number);
                let payload = json(&VotesJson {
                    id: &id,
                    source: post.platform.source(),
                    score: *votes,
                    observed_at: *observed_at,
                    hidden_score: votes.is_none(),
                });
                (Collection::Votes, id, payload)
            }
            Happening::Garbage { number } => {
                let mut dice = Dice::of(self.seed, Purpose::Garbage, u64::MAX - number);
                (
                    Collection::Posts,
                    format!("broken_{number}"),
                    garbage::record(&mut dice, *number),
                )
            }
        };
        RawEvent {
            index: event.index,
            at: event.at,
            collection,
            key,
            payload,
        }
    }

    fn post(&self, id: &str, post: &Post, version: u8) -> Vec<u8> {
        let mut dice = Dice::of(self.seed, Purpose::Text, post.number);
        let entity = post.entity.and_then(|e| self.cast.get(usize::try_from(e).ok()?));
        let mut text = match (post.brigade, entity) {
            (Some((brigade, copy)), Some(entity)) => text::brigade(&mut dice, brigade, copy, entity),
            _ => text::compose(&mut dice, post.tone, entity),
        };
        let followers = dice.below(20_000);
        let author = author(&mut dice, post.brigade.is_some());
        let anonymous = dice.permille(15);
        let edited = (version > 1).then(|| post.written_at + 3_000);
        if version > 1 {
            text = text::edited(&mut dice, &text);
        }
        let created_at = if post.platform.writes_rfc3339() {
            let text = jiff::Timestamp::from_millisecond(post.created_at).map(|t| t.to_string());
            text.map_or(Time::Epoch(post.created_at), Time::Text)
        } else {
            Time::Epoch(post.created_at)
        };
        json(&PostJson {
            id,
            source: post.platform.source(),
            thread: thread_id(post.platform, post.episode),
            parent: post.parent.map(|number| post_id(post.platform, number)),
            author: (!anonymous).then_some(author),
            text,
            score: (!post.hidden).then_some(1),
            created_at,
            version,
            // What a skewed clock says must not outrank later observations.
            observed_at: (post.created_at > post.written_at).then_some(post.written_at),
            edited_at: edited,
            hidden_score: post.hidden.then_some(true),
            followers: (post.platform == Platform::Twitter).then_some(followers),
            likes: (post.platform == Platform::Youtube).then_some(followers / 900),
            url: (post.platform == Platform::Reddit)
                .then(|| format!("https://reddit.example/r/starlightstage/comments/{id}")),
            lang: "en",
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain structs of strings and numbers: nothing in them can fail to be written.
    serde_json::to_vec(value).unwrap_or_default()
}

fn thread_id(platform: Platform, episode: u64) -> String {
    match platform {
        Platform::Reddit => format!("t3_starlight{episode}"),
        Platform::Twitter => format!("tw_StarlightStage_{episode}"),
        Platform::Youtube => format!("yt_v{:04}", 1_000 + episode),
        Platform::Facebook => format!("fb_event_{episode}"),
    }
}

/// Scrambles the number without losing it: ids look random and stay unique.
fn post_id(platform: Platform, number: u64) -> String {
    const BITS: u64 = (1 << 40) - 1;
    let mut left = number.wrapping_mul(0x9_E377_9B97_F4A7 | 1) & BITS;
    let mut digits = [b'0'; 8];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(left % 36).unwrap_or(0)];
        left /= 36;
    }
    let mut id = String::with_capacity(11);
    id.push_str(platform.prefix());
    id.extend(digits.iter().map(|d| char::from(*d)));
    id
}

fn author(dice: &mut Dice, brigade: bool) -> String {
    const FIRST: &[&str] = &[
        "quiet", "sofa", "velvet", "late", "northern", "tiny", "salty", "golden", "grumpy", "midnight", "paper",
        "lazy", "electric", "plain", "rainy", "lucky",
    ];
    const SECOND: &[&str] = &[
        "critic",
        "otter",
        "violin",
        "teapot",
        "harbour",
        "balcony",
        "raccoon",
        "chorus",
        "lamp",
        "pigeon",
        "walrus",
        "cactus",
        "neighbour",
        "tambourine",
        "badger",
        "spoon",
    ];
    if brigade {
        return format!("user{}", 100_000 + dice.below(900_000));
    }
    format!("{}_{}{}", dice.word(FIRST), dice.word(SECOND), dice.below(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<_> = (0..200_000).map(|n| post_id(Platform::Reddit, n)).collect();
        assert_eq!(ids.len(), 200_000);
    }
}
