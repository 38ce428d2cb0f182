//! Window: what each live post contributes to which row of which view.
//!
//! *In*: live posts. *Out*: for every view, group and window the post falls in, its contribution as the *difference* of
//! that row's key. *State*: none; bounds come from the post's own time, so a retraction carries the same ones. *Emits* at
//! the tick of the change.

use crate::live::Live;
use differential_dataflow::VecCollection;
use differential_dataflow::difference::Multiply;
use groundswell_core::acc::Acc;
use groundswell_core::id::Dim;
use groundswell_core::scoring::Policy;
use groundswell_core::serving::LivePost;
use groundswell_core::spec::{GroupColumn, ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A row of a view: the view's index and the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RowKey {
    /// Index into the graph's views.
    pub view: u16,
    /// The row within the view. For sliding views `start` is the step the post falls in.
    pub key: ViewKey,
}

impl RowKey {
    /// Where the row lives. The window takes part, so that one hot group spreads over workers.
    pub fn route(&self) -> u64 {
        let group = self
            .key
            .group
            .iter()
            .fold(u64::from(self.view), |h, d| groundswell_core::dataflow::mix(h, d.0));
        groundswell_core::dataflow::mix(group, self.key.start.cast_unsigned())
    }

    /// Where the row's group lives, whatever the window.
    pub fn route_group(&self) -> u64 {
        RowKey {
            key: ViewKey { start: 0, ..self.key },
            ..*self
        }
        .route()
    }
}

/// See the module documentation.
pub fn window<'s>(
    live: VecCollection<'s, Tick, Live>,
    views: &Arc<[ViewSpec]>,
    policies: &Arc<[Policy]>,
) -> VecCollection<'s, Tick, RowKey, Acc> {
    use differential_dataflow::AsCollection;
    use timely::dataflow::operators::vec::Map;
    let (views, policies) = (Arc::clone(views), Arc::clone(policies));
    live.inner
        .flat_map(move |(live, tick, diff)| {
            // Mostly all views have one policy.
            let mut last: Option<(Policy, Acc)> = None;
            let mut rows = smallvec::SmallVec::<[_; 4]>::new();
            for ((view, spec), policy) in (0u16..).zip(views.iter()).zip(policies.iter()) {
                let acc = match last {
                    Some((same, acc)) if same == *policy => acc,
                    _ => contribution(&live.post, *policy).multiply(&diff),
                };
                last = Some((*policy, acc));
                for_each_row(spec, &live.post, *policy, &mut |key| {
                    rows.push((RowKey { view, key }, tick, acc))
                });
            }
            rows
        })
        .as_collection()
}

/// What one post adds to each row it falls in.
pub fn contribution(post: &LivePost, policy: Policy) -> Acc {
    let Some(score) = &post.score else {
        return Acc::unscored();
    };
    match policy.sentiment(score) {
        None => Acc::left_out(score.is_toxic, score.is_sarcastic),
        Some(x) => Acc::scored(post.weight, x, policy.label(score), score.is_toxic, score.is_sarcastic),
    }
}

/// Every row key of a view the post falls in: one per mention if the view groups by entity, times the windows covering its
/// time. Rows of anchored views depend on the thread, those of sessions on other posts: they are none of these.
pub fn for_each_row(spec: &ViewSpec, post: &LivePost, policy: Policy, row: &mut impl FnMut(ViewKey)) {
    if spec.window.is_regular() {
        for_each_group(spec, post, policy, &mut |group| {
            for_each_start(spec, post.created_at, &mut |start| row(ViewKey { group, start }))
        });
    }
}

/// Every group of a view the post falls in: one per mention if the view groups by entity, tag or mention. A phase is left open.
pub fn for_each_group(spec: &ViewSpec, post: &LivePost, policy: Policy, give: &mut impl FnMut([Dim; 4])) {
    let counted = || post.score.filter(|score| policy.sentiment(score).is_some());
    let mut group = [Dim::NONE; 4];
    let mut many = [None; 3];
    for (i, column) in spec.group_by.iter().enumerate().take(4) {
        match column {
            GroupColumn::Thread => group[i] = post.thread,
            GroupColumn::Source => group[i] = post.source,
            GroupColumn::Author => group[i] = post.author,
            GroupColumn::Entity => many[0] = Some((i, *column)),
            GroupColumn::Tag => many[1] = Some((i, *column)),
            GroupColumn::Mention => many[2] = Some((i, *column)),
            GroupColumn::Label => group[i] = counted().map_or(Dim::NONE, |score| policy.label(&score).dim()),
            GroupColumn::Emotion => group[i] = counted().map_or(Dim::NONE, |score| score.emotion_dim()),
            GroupColumn::Phase => {}
            GroupColumn::Hour | GroupColumn::Weekday | GroupColumn::HourOfWeek => {
                group[i] = spec.extras.zone.dim(*column, post.created_at);
            }
        }
    }
    for_each_mention(&many, group, post, give);
}

/// The group with every combination of what a post has for the columns of which it may have several.
fn for_each_mention(
    many: &[Option<(usize, GroupColumn)>],
    group: [Dim; 4],
    post: &LivePost,
    give: &mut impl FnMut([Dim; 4]),
) {
    match many {
        [] => give(group),
        [None, rest @ ..] => for_each_mention(rest, group, post, give),
        [Some((at, column)), rest @ ..] => {
            for mention in post.mentions.iter().filter(|mention| mention.is_of(*column)) {
                let mut group = group;
                group[*at] = mention.entity;
                for_each_mention(rest, group, post, give);
            }
        }
    }
}

/// Starts of the windows that cover a time; for sliding views the one step it falls in.
fn for_each_start(spec: &ViewSpec, at: EventTime, start: &mut impl FnMut(EventTime)) {
    use groundswell_core::spec::WindowSpec;
    let step = spec.window.step();
    let last = at.div_euclid(step) * step;
    match &spec.window {
        WindowSpec::Tumble { .. } | WindowSpec::Sliding { .. } => start(last),
        WindowSpec::Hop { size, every } => (0..size / every).for_each(|i| start(last - i * every)),
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => {}
    }
}
