//! What a run has shown, gathered from its ticks for the terminal.

use crate::config::Pipeline;
use crate::engine::{Observer, Shared};
use groundswell_connectors::metrics::{Metrics, SourceTotals};
use groundswell_core::acc::Acc;
use groundswell_core::id::{Dim, Names};
use groundswell_core::serving::{AlertState, TickChanges};
use groundswell_core::spec::{GroupColumn, ViewKey, ViewSpec};
use groundswell_models::ScorerStats;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A summary of a pipeline's first view, gathered while the pipeline runs.
pub(super) struct Gathering {
    pub(super) summary: Arc<Mutex<Summary>>,
    views: Vec<ViewSpec>,
    sources: Vec<String>,
    names: Arc<Names>,
    metrics: Arc<Metrics>,
}

impl Gathering {
    pub(super) fn new(pipeline: &Pipeline, shared: &Shared) -> Self {
        Gathering {
            summary: Arc::default(),
            views: pipeline.graph.views.clone(),
            sources: pipeline.sources.iter().map(|s| s.name.clone()).collect(),
            names: Arc::clone(&shared.names),
            metrics: Arc::clone(&shared.metrics),
        }
    }

    /// What feeds it.
    pub(super) fn observer(&self) -> Observer {
        let (summary, views, names) = (Arc::clone(&self.summary), self.views.clone(), Arc::clone(&self.names));
        Box::new(move |changes| summary.lock().take(changes, 0, &views, &names))
    }

    /// The whole of it: sources, groups with most posts, what was scored, alerts.
    pub(super) fn report(&self, groups: usize, stats: &ScorerStats) -> String {
        let summary = self.summary.lock();
        let mut out = String::new();
        for source in &self.sources {
            let SourceTotals {
                read,
                accepted,
                duplicate,
                dead_lettered,
            } = self.metrics.source_totals(source);
            out.push_str(&format!(
                "  {source}: {read} records read = {accepted} accepted + {duplicate} duplicate + {dead_lettered} dead-lettered\n"
            ));
        }
        if let Some(view) = self.views.first() {
            out.push_str(&format!("\n{}\n", summary.table(view, &self.names, groups)));
        }
        out.push_str(&format!(
            "{} texts scored in {} forward passes; {} alerts fired, {} resolved or retracted; {} dead letters kept with their bytes",
            stats.texts.load(Ordering::Relaxed),
            stats.passes.load(Ordering::Relaxed),
            summary.fired,
            summary.ended,
            summary.dead
        ));
        out
    }
}

/// A summary under way; feed it every tick.
#[derive(Default)]
pub(super) struct Summary {
    rows: BTreeMap<ViewKey, Acc>,
    pub(super) alerts: Vec<String>,
    pub(super) fired: usize,
    pub(super) ended: usize,
    pub(super) dead: usize,
    pub(super) posts: usize,
    pub(super) revised: usize,
}

impl Summary {
    /// Takes a tick; `view` is the index of the view to summarise.
    pub(super) fn take(&mut self, changes: &TickChanges, view: usize, views: &[ViewSpec], names: &Names) {
        for row in changes.views.get(view).into_iter().flatten() {
            match row.acc {
                Some(acc) => {
                    self.revised += usize::from(self.rows.insert(row.key, acc).is_some());
                }
                None => {
                    self.rows.remove(&row.key);
                }
            }
        }
        self.posts += changes.posts.iter().filter(|p| p.post.is_some()).count();
        self.dead += changes.dead.len();
        for alert in &changes.alerts {
            match alert.state {
                AlertState::Firing => self.fired += 1,
                AlertState::Resolved | AlertState::Retracted => self.ended += 1,
            }
            let group = views
                .iter()
                .find(|v| *v.name == *alert.view)
                .map_or(String::new(), |v| group(v, alert.key, names));
            let value = alert.value.map_or("no rows".to_owned(), |v| format!("{v:+.2}"));
            let (state, cause) = (
                format!("{:?}", alert.state).to_lowercase(),
                format!("{:?}", alert.cause).to_lowercase(),
            );
            let (rule, posts) = (&alert.rule, alert.posts);
            self.alerts.push(format!(
                "{rule} {state} for {group}: {value} over {posts} posts (cause: {cause})"
            ));
        }
    }

    /// The groups with most posts: name, posts, scored, weighted sentiment.
    pub(super) fn table(&self, spec: &ViewSpec, names: &Names, most: usize) -> String {
        use differential_dataflow::difference::Semigroup;
        let mut groups = BTreeMap::<[Dim; 4], Acc>::new();
        for (key, acc) in &self.rows {
            groups.entry(key.group).or_default().plus_equals(acc);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(group, acc)| (std::cmp::Reverse(acc.posts), *group));
        let mut out = format!(
            "  {:<28} {:>7} {:>7} {:>10} {:>8} {:>8}\n",
            "", "posts", "scored", "sentiment", "±95 %", "toxic"
        );
        for (at, acc) in groups.iter().take(most) {
            let name = group(spec, ViewKey { group: *at, start: 0 }, names);
            let number = |n: Option<f64>| n.map_or("–".to_owned(), |n| format!("{n:+.3}"));
            let ci = acc.sentiment_ci().map_or("–".to_owned(), |n| format!("{n:.3}"));
            out.push_str(&format!(
                "  {name:<28} {:>7} {:>7} {:>10} {ci:>8} {:>8}\n",
                acc.posts,
                acc.scored,
                number(acc.sentiment()),
                acc.toxic
            ));
        }
        out
    }
}

fn group(spec: &ViewSpec, key: ViewKey, names: &Names) -> String {
    let value = |dim: Dim| {
        if dim == Dim::NONE {
            Arc::from("–")
        } else {
            names.get(dim).unwrap_or_else(|| Arc::from("?"))
        }
    };
    // A thread is a long id in most sources; the entity is what people look for.
    let shown = spec
        .group_by
        .iter()
        .zip(key.group)
        .filter(|(c, _)| spec.group_by.len() == 1 || **c != GroupColumn::Thread);
    let parts: Vec<String> = shown.map(|(_, dim)| value(dim).to_string()).collect();
    if parts.is_empty() {
        "all posts".into()
    } else {
        parts.join(" / ")
    }
}
