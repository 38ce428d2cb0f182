//! Which JSON path feeds which field: the user's field map, compiled once into a tree that the reader walks.

use super::Collection;
use groundswell_core::number::NumberSpec;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Unit of a numeric time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds, the default.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
}

/// Where a field is found: a name or dotted path, and the unit of a numeric time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenRef")]
pub struct FieldRef {
    /// Name or dotted path (`data.body`).
    pub field: String,
    /// Unit, for times given as numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// What stands before an id, so that two platforms may have the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Of an id: other fields that belong to it, each after a `/`; at most two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRef {
    Path(String),
    #[serde(rename_all = "snake_case")]
    Full {
        field: String,
        #[serde(default)]
        unit: Option<TimeUnit>,
        #[serde(default)]
        prefix: Option<String>,
        #[serde(default)]
        with: Vec<String>,
    },
}

impl From<WrittenRef> for FieldRef {
    fn from(written: WrittenRef) -> Self {
        match written {
            WrittenRef::Path(field) => FieldRef::from(field.as_str()),
            WrittenRef::Full {
                field,
                unit,
                prefix,
                with,
            } => FieldRef {
                field,
                unit,
                prefix,
                with,
            },
        }
    }
}

impl From<&str> for FieldRef {
    fn from(path: &str) -> Self {
        FieldRef {
            field: path.into(),
            unit: None,
            prefix: None,
            with: Vec::new(),
        }
    }
}

/// `map:` of a source: the engine's field → where it is found. Fields not named keep their own name; `version` (orders
/// records of one id instead of the offset) and `sentiment` (in [−1, 1], instead of the model's) exist only when mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldMap(pub BTreeMap<String, FieldRef>);

impl FieldMap {
    /// Adds a field; for maps written in code.
    #[must_use]
    pub fn with(mut self, field: &str, found_at: impl Into<FieldRef>) -> Self {
        self.0.insert(field.into(), found_at.into());
        self
    }

    /// Adds a time with its unit; for maps written in code.
    #[must_use]
    pub fn with_time(mut self, field: &str, path: &str, unit: TimeUnit) -> Self {
        self.0.insert(
            field.into(),
            FieldRef {
                unit: Some(unit),
                ..FieldRef::from(path)
            },
        );
        self
    }
}

/// Every mistake in a field map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field map of a {} source: {}", into.name(), problems.join("; "))]
pub struct MapError {
    /// The collection it maps to.
    pub into: Collection,
    /// The mistakes, each a sentence.
    pub problems: Vec<String>,
}

/// The fields of all collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Source,
    Thread,
    Parent,
    Author,
    Text,
    Score,
    ObservedAt,
    CreatedAt,
    HiddenScore,
    Deleted,
    Version,
    Sentiment,
    Title,
    AirTime,
    EndsAt,
    Name,
    CanonicalName,
    Aliases,
    Kind,
    Exclude,
    View,
    When,
    Clear,
    MinPosts,
    MinAuthors,
    MinNEff,
    BaselineWeeks,
    BaselineMin,
    For,
    Cooldown,
    User,
    Post,
    Follower,
    Followed,
    At,
    Phrases,
    Undo,
    /// What belongs to the id besides its own field.
    IdWith,
    /// And what else does.
    IdWithToo,
}

/// What may belong to an id besides its own field.
pub(super) const WITH: [Field; 2] = [Field::IdWith, Field::IdWithToo];

/// Number of [`Field`]s.
pub(super) const FIELDS: usize = Field::IdWithToo as usize + 1;

impl Field {
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Source => "source",
            Field::Thread => "thread",
            Field::Parent => "parent",
            Field::Author => "author",
            Field::Text => "text",
            Field::Score => "score",
            Field::ObservedAt => "observed_at",
            Field::CreatedAt => "created_at",
            Field::HiddenScore => "hidden_score",
            Field::Deleted => "deleted",
            Field::Version => "version",
            Field::Sentiment => "sentiment",
            Field::Title => "title",
            Field::AirTime => "air_time",
            Field::EndsAt => "ends_at",
            Field::Name => "name",
            Field::CanonicalName => "canonical_name",
            Field::Aliases => "aliases",
            Field::Kind => "kind",
            Field::Exclude => "exclude",
            Field::View => "view",
            Field::When => "when",
            Field::Clear => "clear",
            Field::MinPosts => "min_posts",
            Field::MinAuthors => "min_authors",
            Field::MinNEff => "min_n_eff",
            Field::BaselineWeeks => "baseline_weeks",
            Field::BaselineMin => "baseline_min",
            Field::For => "for",
            Field::Cooldown => "cooldown",
            Field::User => "user",
            Field::Post => "post",
            Field::Follower => "follower",
            Field::Followed => "followed",
            Field::At => "at",
            Field::IdWith | Field::IdWithToo => "id",
            Field::Phrases => "phrases",
            Field::Undo => "undo",
        }
    }

    fn is_time(self) -> bool {
        matches!(
            self,
            Field::ObservedAt | Field::CreatedAt | Field::AirTime | Field::EndsAt | Field::At | Field::Version
        )
    }

    /// Whether it holds an id, so that it may have a prefix.
    fn is_id(self) -> bool {
        matches!(
            self,
            Field::Id | Field::Thread | Field::Parent | Field::Author | Field::Post
        )
    }

    /// Read only when the map names it.
    fn only_when_mapped(self) -> bool {
        matches!(self, Field::Version | Field::Sentiment)
    }

    fn of(into: Collection) -> &'static [Field] {
        use Field::*;
        match into {
            Collection::Posts => &[
                Id,
                Source,
                Thread,
                Parent,
                Author,
                Text,
                Score,
                ObservedAt,
                CreatedAt,
                HiddenScore,
                Deleted,
                Version,
                Sentiment,
            ],
            Collection::Votes => &[Id, Score, ObservedAt, HiddenScore, Deleted],
            Collection::Threads => &[Thread, Title, AirTime, EndsAt, Deleted, Version],
            Collection::Entities => &[Id, Name, CanonicalName, Aliases, Kind, Exclude, Deleted, Version],
            Collection::Interactions => &[User, Post, Kind, At, Deleted, Version],
            Collection::Follows => &[Follower, Followed, At, Deleted, Version],
            Collection::Rules => &[
                Id,
                View,
                When,
                Clear,
                MinPosts,
                MinAuthors,
                MinNEff,
                BaselineWeeks,
                BaselineMin,
                For,
                Cooldown,
                Deleted,
                Version,
            ],
            Collection::Keywords => &[Id, Phrases, Exclude, Deleted, Version],
            Collection::Authors => &[Id, ObservedAt, Deleted],
            Collection::Erasures => &[Author, Post, Thread, Undo, Version],
        }
    }
}

/// Fields of a post that the engine keeps aside; a map may rename them.
const KEPT_ASIDE: [&str; 19] = [
    "comments",
    "downvotes",
    "retweets",
    "shares",
    "upvotes",
    "viewers",
    "title",
    "url",
    "lang",
    "followers",
    "likes",
    "replies",
    "reposts",
    "views",
    "dislikes",
    "upvote_ratio",
    "edited_at",
    "kind",
    "original_post_id",
];

/// Where a value goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Field(Field),
    Aside(Box<str>),
}

/// One step of a path: what takes the value here, and the steps below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) targets: Vec<Target>,
    pub(super) children: HashMap<Box<str>, Node>,
}

/// A compiled field map.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) root: Node,
    pub(super) keeps_extra: bool,
    units: [Option<TimeUnit>; FIELDS],
    prefixes: [Option<Box<str>>; FIELDS],
    paths: [Option<Box<str>>; FIELDS],
}

impl Plan {
    pub(super) fn compile(into: Collection, map: &FieldMap, numbers: &[NumberSpec]) -> Result<Plan, MapError> {
        let fields = Field::of(into);
        let mut plan = Plan {
            root: Node::default(),
            keeps_extra: matches!(into, Collection::Posts | Collection::Authors),
            units: [None; FIELDS],
            prefixes: std::array::from_fn(|_| None),
            paths: std::array::from_fn(|_| None),
        };
        let mut problems = Vec::new();
        for field in fields {
            let mapped = map.0.get(field.name());
            let path = match mapped {
                Some(found_at) => found_at.field.as_str(),
                None if field.only_when_mapped() => continue,
                None => field.name(),
            };
            if let Some(unit) = mapped.and_then(|m| m.unit) {
                if !field.is_time() {
                    problems.push(format!("`{}` is not a time and takes no unit", field.name()));
                }
                plan.units[*field as usize] = Some(unit);
            }
            if let Some(prefix) = mapped.and_then(|m| m.prefix.as_deref()) {
                if !field.is_id() {
                    problems.push(format!("`{}` is no id and takes no prefix", field.name()));
                }
                plan.prefixes[*field as usize] = Some(prefix.into());
            }
            let with = mapped.map_or(&[][..], |m| &m.with);
            if with.len() > WITH.len() {
                problems.push(format!(
                    "`{}` takes at most {} other fields with it",
                    field.name(),
                    WITH.len()
                ));
            } else if !with.is_empty() && *field != Field::Id {
                problems.push(format!("only `id` takes other fields with it, not `{}`", field.name()));
            } else {
                for (field, with) in WITH.into_iter().zip(with) {
                    plan.paths[field as usize] = Some(with.as_str().into());
                    plan.root.insert(with, Target::Field(field), &mut problems);
                }
            }
            plan.paths[*field as usize] = Some(path.into());
            plan.root.insert(path, Target::Field(*field), &mut problems);
        }
        for (name, found_at) in &map.0 {
            if fields.iter().any(|f| f.name() == name) {
                continue;
            }
            let aside = KEPT_ASIDE.contains(&name.as_str()) || numbers.iter().any(|n| n.name == *name);
            if plan.keeps_extra && aside {
                plan.root
                    .insert(&found_at.field, Target::Aside(name.as_str().into()), &mut problems);
            } else {
                let known: Vec<_> = fields.iter().map(|f| f.name()).collect();
                problems.push(format!("there is no field `{name}`; known: {}", known.join(", ")));
            }
        }
        plan.root.find_conflicts("", &mut problems);
        if problems.is_empty() {
            Ok(plan)
        } else {
            Err(MapError { into, problems })
        }
    }

    pub(super) fn unit(&self, field: Field) -> Option<TimeUnit> {
        self.units[field as usize]
    }

    /// What stands before the field's value.
    pub(super) fn prefix(&self, field: Field) -> Option<&str> {
        self.prefixes[field as usize].as_deref()
    }

    /// Where the field is found, for messages.
    pub(super) fn path(&self, field: Field) -> &str {
        self.paths[field as usize].as_deref().unwrap_or(field.name())
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.paths[field as usize].is_some()
    }
}

impl Node {
    fn insert(&mut self, path: &str, target: Target, problems: &mut Vec<String>) {
        if path.split('.').any(str::is_empty) {
            problems.push(format!("\"{path}\" is not a field name or dotted path"));
            return;
        }
        let mut node = self;
        for step in path.split('.') {
            node = node.children.entry(step.into()).or_default();
        }
        node.targets.push(target);
    }

    fn find_conflicts(&self, path: &str, problems: &mut Vec<String>) {
        for (step, node) in &self.children {
            let path = if path.is_empty() {
                step.to_string()
            } else {
                format!("{path}.{step}")
            };
            if !node.targets.is_empty() && !node.children.is_empty() {
                problems.push(format!("\"{path}\" is used both as a value and as an object"));
            }
            node.find_conflicts(&path, problems);
        }
    }
}
