//! What enters the graph: recorded envelopes as compact, fixed-width events.
//!
//! In: [`Envelope`]s of a recorded tick. Out: events by the key they are routed by, and [`Control`] events every worker
//! sees. Strings stay behind in the text store and the names; the graph holds digests.

use groundswell_core::erasure::Subject;
use groundswell_core::id::{Collision, Dim, ModelKey, Names, PostKey, TextKey};
use groundswell_core::keywords::Keyword;
use groundswell_core::number::{self, MOST_OF_AUTHORS, NumberSpec, Values};
use groundswell_core::record::{Carried, Entity, Envelope, Rank, Record, SourceId};
use groundswell_core::score::Score;
use groundswell_core::spec::{Anchors, RuleSpec};
use groundswell_core::tie::{TieKey, TieKind};
use groundswell_core::time::EventTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The fixed-width part of a post that links, scores and windows depend on; votes are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PostRow {
    /// Its text, or [`TextKey::NONE`] if there is none to link or score.
    pub text: TextKey,
    /// The post it replies to, or [`PostKey::NONE`].
    pub parent: PostKey,
    /// Its thread.
    pub thread: Dim,
    /// Its author.
    pub author: Dim,
    /// Its platform or community.
    pub source: Dim,
    /// When it was written (epoch ms).
    pub created_at: EventTime,
    /// Its address and title as [`groundswell_core::keywords::about`] has them; [`TextKey::NONE`] if it has none, or nobody
    /// looks at them.
    pub about: TextKey,
    /// A sentiment that came with the record.
    pub given: Option<Score>,
}

/// A vote observation: when, and how many (`None` while hidden).
pub type VoteAt = (EventTime, Option<i64>);

/// An upsert, delete or vote for one post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PostEvent {
    /// The post as of this rank; `None` deletes it. Votes it carried come along.
    Row {
        /// Competes with other rows of the post.
        rank: Rank,
        /// The post, or its deletion.
        row: Option<(PostRow, VoteAt)>,
    },
    /// A vote observation, and the source it came from.
    Votes(VoteAt, SourceId),
    /// The numbers that the row of this rank carries; none with a deletion. Only where the pipeline declares numbers.
    Numbers {
        /// Competes with other rows of the post.
        rank: Rank,
        /// The numbers.
        values: Values,
    },
}

impl PostEvent {
    /// The text the post names, if it has one.
    pub fn text(&self) -> Option<TextKey> {
        match self {
            PostEvent::Row {
                row: Some((row, _)), ..
            } if row.text != TextKey::NONE => Some(row.text),
            _ => None,
        }
    }

    /// The post's address and title, if it has any and somebody looks at them.
    pub fn about(&self) -> Option<TextKey> {
        match self {
            PostEvent::Row {
                row: Some((row, _)), ..
            } if row.about != TextKey::NONE => Some(row.about),
            _ => None,
        }
    }

    /// Says where the post's address and title are.
    pub fn set_about(&mut self, about: TextKey) {
        if let PostEvent::Row {
            row: Some((row, _)), ..
        } = self
        {
            row.about = about;
        }
    }
}

/// A recorded fact about a text: the answer of one model, `None` if it could not be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// The text.
    pub text: TextKey,
    /// The model.
    pub model: ModelKey,
    /// Its answer.
    pub score: Option<Score>,
}

/// A tie, made or undone; or what a record of a post says it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TieEvent {
    /// The tie as of this rank.
    Tie {
        /// Which.
        key: TieKey,
        /// Competes with other records of the tie.
        rank: Rank,
        /// When (epoch ms).
        at: EventTime,
        /// Whether it was made, not undone.
        stands: bool,
    },
    /// What a post passes on.
    PassedOn {
        /// The post.
        post: PostKey,
        /// Competes with other records of the post.
        rank: Rank,
        /// The other one, or [`PostKey::NONE`].
        on: PostKey,
        /// When the post was written (epoch ms).
        at: EventTime,
    },
}

impl TieEvent {
    /// What the record of a post says it passes on; `None` if it is no such record.
    pub fn passed_on(envelope: &Envelope) -> Option<TieEvent> {
        let Record::Post(post) = &envelope.record else {
            return None;
        };
        let on = groundswell_core::tie::passed_on(post).unwrap_or(PostKey::NONE);
        Some(TieEvent::PassedOn {
            post: PostKey::of(post.id.as_bytes()),
            rank: envelope.rank(),
            on,
            at: post.created_at,
        })
    }
}

/// Events every worker must see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Control {
    /// The recorded clock at this tick.
    Clock(EventTime),
    /// From this tick on views use this model.
    LiveModel(ModelKey),
    /// Models that are asked beside the live one, from this tick on; given with the first tick after a start.
    Background(Arc<[Background]>),
    /// A thread, alive or deleted.
    Thread {
        /// Which.
        id: Dim,
        /// Competes with other records of the thread.
        rank: Rank,
        /// Whether it is deleted.
        deleted: bool,
        /// Its times.
        anchors: Anchors,
    },
    /// An entity of the dictionary, or its removal.
    Entity {
        /// Which.
        id: Dim,
        /// Competes with other records of the entity.
        rank: Rank,
        /// The entity.
        entity: Option<Arc<Entity>>,
    },
    /// A rule, or its removal.
    Rule {
        /// Which.
        id: Dim,
        /// Competes with other records of the rule.
        rank: Rank,
        /// The rule.
        rule: Option<Arc<RuleSpec>>,
    },
    /// A keyword, or its removal.
    Keyword {
        /// Which.
        id: Dim,
        /// Competes with other records of the keyword.
        rank: Rank,
        /// The keyword.
        keyword: Option<Arc<Keyword>>,
    },
    /// What windows that were forgotten before the first tick left behind in a rule's alerts.
    Floor(Arc<Floor>),
    /// What is known of an author.
    Author {
        /// Which.
        id: Dim,
        /// Competes with other records of the author.
        rank: Rank,
        /// The author's numbers.
        values: Values<MOST_OF_AUTHORS>,
    },
    /// Whether something is erased.
    Erasure {
        /// Whom or what.
        of: Subject,
        /// Competes with other records of the same.
        rank: Rank,
        /// Whether it is, or no more.
        stands: bool,
    },
    /// What is known of something erased is gone for good, at the end of the tick.
    Purged(Subject),
    /// Of this tick somebody wants to know which records changed nothing, not only how many.
    Watched,
}

/// A model that is asked beside the live one; while it is live itself this says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Background {
    /// The model.
    pub model: ModelKey,
    /// Authors whose posts it is asked about, in ppm; see [`crate::score::sample`].
    pub share: u32,
}

/// The clock among a tick's control events, if it is there.
pub(crate) fn clock_of(side: &[(Control, isize)]) -> Option<EventTime> {
    let clocks = side.iter().filter_map(|(control, _)| match control {
        Control::Clock(at) => Some(*at),
        _ => None,
    });
    clocks.max()
}

/// A recorded [`AlertFloor`](groundswell_core::record::AlertFloor) as the graph sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Floor {
    /// The rule.
    pub rule: Dim,
    /// The declared view it watches.
    pub view: String,
    /// The group.
    pub group: [Dim; 4],
    /// Shape of the view whose windows they were.
    pub shape: u64,
    /// Windows that start before this are in `state`.
    pub up_to: EventTime,
    /// The fold goes on from here.
    pub state: Carried,
}

/// One envelope as the graph sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Routed by post.
    Post(PostKey, PostEvent),
    /// Routed by text.
    Fact(Fact),
    /// Routed by tie.
    Tie(TieEvent),
    /// To everyone.
    Control(Control),
    /// Not for the graph (dead letters go straight to their sinks).
    Nothing,
}

impl Event {
    /// Translates an envelope.
    ///
    /// # Errors
    /// [`Collision`] if a thread, author, source or entity id collides with another one's digest.
    pub fn of(envelope: &Envelope, names: &Names) -> Result<Event, Collision> {
        let rank = envelope.rank();
        Ok(match &envelope.record {
            Record::Post(p) => {
                let [thread, author, source] = p.dims(names)?;
                let row = PostRow {
                    text: if p.text.is_empty() {
                        TextKey::NONE
                    } else {
                        TextKey::of(p.text.as_bytes())
                    },
                    parent: match p.parent.as_deref() {
                        None | Some("") => PostKey::NONE,
                        Some(parent) => PostKey::of(parent.as_bytes()),
                    },
                    thread,
                    author,
                    source,
                    created_at: p.created_at,
                    about: TextKey::NONE,
                    given: p.score,
                };
                let votes = (p.observed_at, p.votes);
                Event::Post(
                    PostKey::of(p.id.as_bytes()),
                    PostEvent::Row {
                        rank,
                        row: Some((row, votes)),
                    },
                )
            }
            Record::PostDeleted { id } => Event::Post(PostKey::of(id.as_bytes()), PostEvent::Row { rank, row: None }),
            Record::Votes(v) => {
                let votes = PostEvent::Votes((v.observed_at, v.votes), envelope.source);
                Event::Post(PostKey::of(v.id.as_bytes()), votes)
            }
            Record::Score { text, model, score } => Event::Fact(Fact {
                text: *text,
                model: *model,
                score: Some(*score),
            }),
            Record::Unscorable { text, model } => Event::Fact(Fact {
                text: *text,
                model: *model,
                score: None,
            }),
            Record::Tie(tie) => {
                let user = names.intern(&tie.user)?;
                let key = match tie.kind {
                    TieKind::Follow => TieKey::follow(user, names.intern(&tie.target)?),
                    kind => TieKey::with_post(user, kind, PostKey::of(tie.target.as_bytes())),
                };
                Event::Tie(TieEvent::Tie {
                    key,
                    rank,
                    at: tie.at,
                    stands: !tie.undone,
                })
            }
            Record::Erasure(erasure) => Event::Control(Control::Erasure {
                of: erasure.of,
                rank,
                stands: !erasure.undo,
            }),
            Record::Purged(of) => Event::Control(Control::Purged(*of)),
            Record::LiveModel { model, .. } => Event::Control(Control::LiveModel(*model)),
            Record::Thread(t) => Event::Control(Control::Thread {
                id: names.intern(&t.id)?,
                rank,
                deleted: t.deleted,
                anchors: Anchors {
                    air_time: t.air_time,
                    ends_at: t.ends_at,
                },
            }),
            Record::Entity(e) => {
                // Keyword events say its name.
                names.intern(&e.name)?;
                Event::Control(Control::Entity {
                    id: names.intern(&e.id)?,
                    rank,
                    entity: Some(Arc::new(e.clone())),
                })
            }
            Record::EntityDeleted { id } => Event::Control(Control::Entity {
                id: Dim::of(id),
                rank,
                entity: None,
            }),
            Record::Rule(r) => Event::Control(Control::Rule {
                id: Dim::of(&r.id),
                rank,
                rule: Some(Arc::new(r.clone())),
            }),
            Record::RuleDeleted { id } => Event::Control(Control::Rule {
                id: Dim::of(id),
                rank,
                rule: None,
            }),
            Record::Keyword(k) => {
                for phrase in &k.exclude {
                    names.intern(phrase.trim())?;
                }
                Event::Control(Control::Keyword {
                    id: names.intern(&k.id)?,
                    rank,
                    keyword: Some(Arc::new(k.clone())),
                })
            }
            Record::KeywordDeleted { id } => Event::Control(Control::Keyword {
                id: Dim::of(id),
                rank,
                keyword: None,
            }),
            Record::AlertFloor(floor) => match floor.parts() {
                Some((rule, view, values)) => {
                    let mut group = [Dim::NONE; 4];
                    for (slot, value) in group.iter_mut().zip(&values) {
                        *slot = names.intern(value)?;
                    }
                    Event::Control(Control::Floor(Arc::new(Floor {
                        rule: Dim::of(&rule),
                        view,
                        group,
                        shape: floor.shape,
                        up_to: floor.up_to,
                        state: floor.state,
                    })))
                }
                None => Event::Nothing,
            },
            Record::AlertMuted { .. } | Record::Dead(_) | Record::Author(_) => Event::Nothing,
        })
    }

    /// What an envelope says about the numbers that a pipeline declares. What is not a number is none: the decoder refuses
    /// such records, but of those recorded before a name was declared anything may have been in the field.
    ///
    /// # Errors
    /// [`Collision`] as above.
    pub fn numbers(envelope: &Envelope, declared: &[NumberSpec], names: &Names) -> Result<Event, Collision> {
        let of_post = |id: &str, values| {
            let rank = envelope.rank();
            Event::Post(PostKey::of(id.as_bytes()), PostEvent::Numbers { rank, values })
        };
        Ok(match &envelope.record {
            Record::Post(p) => of_post(&p.id, number::of_post(p.extra.as_deref(), declared).unwrap_or_default()),
            Record::PostDeleted { id } => of_post(id, Values::default()),
            Record::Author(author) => Event::Control(Control::Author {
                id: names.intern(&author.id)?,
                rank: envelope.rank(),
                values: number::of_author(author.numbers.as_deref(), declared).unwrap_or_default(),
            }),
            _ => Event::Nothing,
        })
    }
}
