//! The graph: all operators put together.
//!
//! ```text
//! posts ─▶ dedupe ─┬─ rows ─▶ link ─▶ inherit ─┐
//!                  ├─ rows ─▶ score ◀─ facts ──┼─▶ live ─▶ window ─▶ aggregate ─▶ view rows
//!                  │            └─ pairs ─▶ compare ─▶ tallies of models
//!                  ├─ votes ───────────────────┘     ├─▶ anchor ───────▲  │
//!                  │                                 ├─▶ session ─▶ view rows
//!                  │                                 └──▶ evidence ◀── threshold ─▶ alerts
//!                  └─ rows ─┬▶ keywords ─▶ events ─▶ keyword events
//!                           └▶ stories ────▲
//! ```
//! Control events (clock, dictionary, rules, threads, erasures, live model) go to every worker.

use crate::aggregate::{Row, aggregate};
use crate::anchor::{Anchored, anchor};
use crate::authors::authors;
use crate::compare::{Count, Tally, compare};
use crate::dedupe::{Duplicates, Unchanged, Upserted, dedupe};
use crate::engagement::{Engaged, engagement};
use crate::event::{Control, Fact, PostEvent, TieEvent};
use crate::evidence::{Item, Proven, evidence};
use crate::inherit::inherit;
use crate::keywords::events::{Event, events};
use crate::keywords::keywords;
use crate::link::{FetchText, link};
use crate::live::{Live, Part, live};
use crate::numbers::{Numbered, numbers};
use crate::posts::Posts;
use crate::score::{Scored, Wanted, sample, score};
use crate::session::session;
use crate::stories::stories;
use crate::tags::{Sought, tags};
use crate::threshold::{Carry, Standing as RuleStanding, Told, Watched, threshold};
use crate::ties::{Standing, ties};
use crate::window::{RowKey, contribution, for_each_row, window};
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::id::{Dim, ModelKey, PostKey, TextKey};
use groundswell_core::keywords::EventsSpec;
use groundswell_core::number::NumberSpec;
use groundswell_core::scoring::Policy;
use groundswell_core::spec::{
    Extras, GraphSpec, GroupColumn, LinkSpec, Measure, RuleSpec, ViewKey, ViewSpec, WeightSpec, WindowSpec,
};
use groundswell_core::time::{HOUR, Tick};
use std::sync::Arc;

/// What is rendered: the pipeline's views, and hidden ones that rules on sliding views need.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Declared views first, then hidden ones.
    pub views: Arc<[ViewSpec]>,
    /// How many of them are declared.
    pub declared: usize,
    /// For each declared view, the view whose rows its rules watch, if any rule may watch it.
    watched: Arc<[Option<u16>]>,
    /// How answers count in each view.
    policies: Arc<[Policy]>,
    /// Whether the authors of each view's rows are counted.
    counted: Arc<[bool]>,
    /// The numbers there are, if any view uses some.
    numbers: Arc<[NumberSpec]>,
    link: LinkSpec,
    weight: WeightSpec,
    compare: bool,
    /// Whether texts without a model's answer stay wanted.
    ladder: bool,
    /// Whether ties are taken in.
    ties: bool,
    events: Option<EventsSpec>,
}

impl Plan {
    /// Plans a pipeline. `watched` says of each view whether rules may watch it.
    ///
    /// A rule on a sliding view looks at the hopping windows of the same length and step, so that its alerts are a
    /// function of the data and not of the moments at which somebody looked; those windows are a hidden view, kept for
    /// twice its length, at least an hour.
    pub fn new(spec: &GraphSpec, watched: impl Fn(&str) -> bool) -> Plan {
        let mut views = spec.views.clone();
        let mut policies: Vec<Policy> = views.iter().map(|view| spec.scoring.policy(&view.name)).collect();
        let mut targets = Vec::new();
        for (i, view) in spec.views.iter().enumerate() {
            // Rules look at windows side by side.
            targets.push(
                if !view.window.is_regular() || view.extras.unwatched || !watched(&view.name) {
                    None
                } else if let WindowSpec::Sliding { size, every } = view.window {
                    let window = WindowSpec::Hop { size, every };
                    let keep = Some((2 * size).max(HOUR));
                    views.push(ViewSpec {
                        name: format!("{}#rules", view.name),
                        window,
                        keep,
                        // Rules look at sums only.
                        extras: Extras {
                            zone: view.extras.zone.clone(),
                            ..Extras::default()
                        },
                        ..view.clone()
                    });
                    policies.push(spec.scoring.policy(&view.name));
                    u16::try_from(views.len() - 1).ok()
                } else {
                    u16::try_from(i).ok()
                },
            );
        }
        Plan {
            counted: views
                .iter()
                .map(|v| v.measures.contains(&Measure::Authors) || v.extras.counts_authors())
                .collect(),
            numbers: if views.iter().any(ViewSpec::has_numbers) {
                spec.numbers.clone().into()
            } else {
                Arc::default()
            },
            views: views.into(),
            declared: spec.views.len(),
            watched: targets.into(),
            policies: policies.into(),
            link: spec.link,
            weight: spec.weight.clone(),
            compare: false,
            ladder: spec.scoring.ladder,
            ties: spec.ties,
            events: spec.events,
        }
    }

    /// What is looked for in texts besides entities: what views group by, and names where users are told of theirs.
    pub fn sought(&self) -> Sought {
        let by = |column| self.views.iter().any(|view| view.group_by.contains(&column));
        Sought {
            tags: by(GroupColumn::Tag),
            names: by(GroupColumn::Mention) || self.ties,
        }
    }

    /// Whether ties are taken in: what users did with posts, and whom they follow.
    pub fn ties(&self) -> bool {
        self.ties
    }

    /// The same, with the authors of every row counted, whether the view shows them or not.
    #[must_use]
    pub fn counting_authors(mut self, all: bool) -> Plan {
        if all {
            self.counted = self.views.iter().map(|_| true).collect();
        }
        self
    }

    /// The same, with what these rules need: authors counted where a rule asks for them, and hidden views kept for as long as
    /// one looks back.
    #[must_use]
    pub fn watched_by(mut self, rules: &[RuleSpec]) -> Plan {
        let (mut views, mut counted) = (self.views.to_vec(), self.counted.to_vec());
        for rule in rules {
            let Some(at) = self.watch(&rule.view).map(usize::from) else {
                continue;
            };
            if let (Some(view), Some(counted)) = (views.get_mut(at), counted.get_mut(at)) {
                *counted |= rule.min_authors > 0;
                let needed = rule
                    .reach(&view.window)
                    .saturating_add(view.window.size().saturating_mul(2));
                if at >= self.declared && rule.looks_back() {
                    view.keep = view.keep.map(|keep| keep.max(needed));
                }
            }
        }
        (self.views, self.counted) = (views.into(), counted.into());
        self
    }

    /// The same, with other models compared with the live one.
    #[must_use]
    pub fn comparing(self, compare: bool) -> Plan {
        Plan { compare, ..self }
    }

    /// A digest of everything that decides how the graph is rendered: equal where two processes can share one.
    pub fn digest(&self) -> u128 {
        let counted = (
            &self.policies,
            self.ladder,
            self.compare,
            &self.counted,
            &self.numbers,
            self.ties,
        );
        let all = (
            &self.views,
            self.declared,
            &self.watched,
            &self.link,
            &self.weight,
            counted,
            &self.events,
        );
        // `Debug` writes every field; nothing in here is a float or a hash map.
        PostKey::of(format!("{all:?}").as_bytes()).0
    }

    /// How long after it was written a post can still be in a window that is kept (ms), if every view has a `keep`: what is
    /// older changes no row.
    pub fn longest_kept(&self) -> Option<i64> {
        let kept = self
            .views
            .iter()
            .map(|v| Some(v.keep?.saturating_add(v.window.reach())));
        let kept = kept.chain(self.events.iter().map(|events| events.keep));
        kept.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How long posts are remembered (ms); `None` for ever. Where replies inherit, the oldest one that still counts may
    /// inherit from a post as much older as it is itself.
    pub fn retention(&self) -> Option<i64> {
        let times = if self.link.inherit_from_parent { 2 } else { 1 };
        self.longest_kept().map(|kept| kept.saturating_mul(times))
    }

    /// Whether keywords are looked for, and with them titles and addresses.
    pub fn seeks(&self) -> bool {
        self.events.is_some()
    }

    /// The numbers of posts and authors that have to be read out of records; none if no view uses any.
    pub fn numbers(&self) -> &[NumberSpec] {
        &self.numbers
    }

    /// Whether rows name posts.
    pub fn shows_posts(&self) -> bool {
        self.views.iter().any(|view| view.extras.top.is_some())
    }

    /// Whether rows of a view have numbers.
    pub fn has_numbers(&self, view: u16) -> bool {
        self.views.get(usize::from(view)).is_some_and(ViewSpec::has_numbers)
    }

    /// Whether other models are compared with the live one.
    pub fn compares(&self) -> bool {
        self.compare
    }

    /// How answers count in a view, hidden ones included.
    pub fn policy(&self, view: u16) -> Policy {
        self.policies.get(usize::from(view)).copied().unwrap_or_default()
    }

    /// Whether rules watch any view.
    pub fn watches(&self) -> bool {
        self.watched.iter().any(Option::is_some)
    }

    /// The view whose rows the rules on a declared view watch.
    pub fn watch(&self, name: &str) -> Option<u16> {
        let declared = self.views.iter().take(self.declared);
        declared
            .zip(self.watched.iter())
            .find(|(view, _)| view.name == name)
            .and_then(|(_, watched)| *watched)
    }

    /// The declared view that alerts on this (possibly hidden) view belong to.
    pub fn declared_view(&self, view: u16) -> Option<&ViewSpec> {
        self.watched
            .iter()
            .position(|w| *w == Some(view))
            .and_then(|i| self.views.get(i))
    }
}

/// Inputs of the graph on one worker.
pub struct Inputs<'s> {
    /// Post events.
    pub posts: VecCollection<'s, Tick, (PostKey, PostEvent)>,
    /// Facts about texts.
    pub facts: VecCollection<'s, Tick, Fact>,
    /// Ties, where the plan takes them in.
    pub ties: Option<VecCollection<'s, Tick, TieEvent>>,
    /// Control events; given on one worker, seen by all.
    pub control: VecCollection<'s, Tick, Control>,
}

/// Outputs of the graph on one worker.
pub struct Outputs<'s> {
    /// Rows of all views, hidden ones included, but for those with numbers.
    pub rows: VecCollection<'s, Tick, Row>,
    /// Rows of views with numbers, if there are any.
    pub numbered: Option<VecCollection<'s, Tick, Numbered>>,
    /// Live posts.
    pub live: VecCollection<'s, Tick, Live>,
    /// Texts that wait for a model.
    pub wanted: VecCollection<'s, Tick, Wanted>,
    /// What is counted of models; the diffs are the numbers.
    pub tallies: VecCollection<'s, Tick, Tally>,
    /// Alert transitions with their evidence, and what forgotten windows leave behind in alerts.
    pub alerts: Option<Alerts<'s>>,
    /// Keyword events, where keywords are looked for.
    pub events: Option<VecCollection<'s, Tick, Event>>,
    /// Records that changed nothing; for [`Duplicates::travelling`] only.
    pub unchanged: Option<VecCollection<'s, Tick, Unchanged>>,
    /// What is known through ties.
    pub ties: Option<Tied<'s>>,
}

/// What is known through ties, on one worker.
pub struct Tied<'s> {
    /// Ties, and posts that hang on others.
    pub standing: VecCollection<'s, Tick, Standing>,
    /// Numbers of posts, and bonds.
    pub engaged: VecCollection<'s, Tick, Engaged>,
}

/// Outputs of the rules on one worker.
pub struct Alerts<'s> {
    /// Alert transitions with their evidence.
    pub transitions: VecCollection<'s, Tick, Proven>,
    /// What forgotten windows leave behind; to be recorded.
    pub carries: VecCollection<'s, Tick, Carry>,
    /// Whether groups have the baselines that rules ask for; the diffs are the numbers.
    pub standings: VecCollection<'s, Tick, RuleStanding>,
}

/// Renders the graph.
pub fn render<'s>(plan: &Plan, inputs: Inputs<'s>, fetch: FetchText, duplicates: Duplicates) -> Outputs<'s> {
    let Inputs {
        posts,
        facts,
        ties: tie_events,
        control,
    } = inputs;
    let (travel, recalled) = (duplicates.travel(), Arc::clone(duplicates.recalled()));
    let held = Posts::default();
    let upserted = dedupe(posts, control.clone(), plan.retention(), duplicates, held.clone());
    let unchanged = travel.then(|| {
        upserted.clone().flat_map(|(_, u)| match u {
            Upserted::Unchanged(unchanged) => Some(unchanged),
            Upserted::Row(_) | Upserted::Votes(_) | Upserted::Numbers(_) => None,
        })
    });
    // Wide, and needed by few: whoever wants them takes them apart.
    let rows = || upserted.clone().flat_map(|(key, u)| u.row().map(|row| (key, row)));
    let tied = tie_events.map(|events| {
        let standing = ties(events, rows(), control.clone(), plan.retention());
        let engaged = engagement(standing.clone(), rows(), control.clone());
        Tied { standing, engaged }
    });
    let said = plan
        .sought()
        .any()
        .then(|| tags(rows(), control.clone(), plan.sought(), Arc::clone(&fetch)));
    let events = plan.events.map(|spec| {
        let hits = keywords(rows(), control.clone(), spec, fetch.clone());
        let stories = stories(rows(), control.clone(), spec, fetch.clone());
        events(hits, stories, control.clone(), spec)
    });
    let turned = upserted.clone().flat_map(|(key, u)| u.row().map(|_| key));
    let linked = link(turned, control.clone(), plan.link, fetch, held.clone());
    let mentions = inherit(linked, plan.link.inherit_from_parent, plan.longest_kept());
    // A post that brought its sentiment needs no model, and one without a text has nothing to score.
    let texts = upserted.clone().flat_map(|(key, u)| {
        let row = u.row().filter(|row| row.given.is_none() && row.text != TextKey::NONE)?;
        Some((row.text, key, row.created_at, sample(row.author, key)))
    });
    let scored = score(texts, facts, control.clone(), plan.retention(), plan.ladder, recalled);
    let scores = scored.clone().flat_map(|s| match s {
        Scored::Post(key, score) => Some((key, Part::Score(score))),
        _ => None,
    });
    let wanted = scored.clone().flat_map(|s| match s {
        Scored::Wanted(wanted) => Some(wanted),
        _ => None,
    });
    let mut tallies = scored.clone().flat_map(|s| match s {
        Scored::Count(model, count) => Some(Tally {
            model,
            entity: Dim::NONE,
            count,
        }),
        _ => None,
    });
    if plan.compare {
        let pairs = scored.flat_map(|s| match s {
            Scored::Pair(post, pair) => Some((post, pair)),
            _ => None,
        });
        tallies = tallies.concat(compare(pairs, mentions.clone()));
    }
    let parts = upserted
        .clone()
        .flat_map(|(key, u)| Part::of(&u).map(|part| (key, part)))
        .concat(mentions.map(|(key, m)| (key, Part::Mentions(m))))
        .concat(scores);
    let parts = match said {
        Some(said) => parts.concat(said.map(|(key, m)| (key, Part::Tags(m)))),
        None => parts,
    };
    let live = live(parts, control.clone(), plan.weight.clone(), held);
    let mut contributions = window(live.clone(), &plan.views, &plan.policies);
    let mut anchored_authors = None;
    if plan
        .views
        .iter()
        .any(|view| matches!(view.window, WindowSpec::Anchored(_)))
    {
        let counted = (&plan.policies, &plan.counted);
        let anchored = anchor(live.clone(), control.clone(), &plan.views, counted);
        let (rows, authors, adrift) = by_kind(anchored);
        contributions = contributions.concat(rows);
        tallies = tallies.concat(adrift);
        anchored_authors = Some(authors);
    }
    let mut view_rows = aggregate(contributions, control.clone(), &plan.views);
    if plan.counted.contains(&true) {
        let posts = (live.clone(), anchored_authors);
        let counted = (&plan.policies, &plan.counted);
        view_rows = authors(view_rows, posts, control.clone(), &plan.views, counted);
    }
    if plan
        .views
        .iter()
        .any(|view| matches!(view.window, WindowSpec::Session(_)))
    {
        let counted = (&plan.policies, &plan.counted);
        view_rows = view_rows.concat(session(live.clone(), control.clone(), &plan.views, counted));
    }
    let alerts = plan
        .watched
        .iter()
        .any(Option::is_some)
        .then(|| alerts(plan, live.clone(), view_rows.clone(), control.clone()));
    let numbered = (!plan.numbers.is_empty()).then(|| {
        let (rows, live) = (view_rows.clone(), live.clone());
        numbers(rows, live, upserted, control, &plan.views, &plan.policies)
    });
    if numbered.is_some() {
        let plan = plan.clone();
        view_rows = view_rows.filter(move |row| !plan.has_numbers(row.at.view));
    }
    Outputs {
        rows: view_rows,
        numbered,
        live,
        wanted,
        tallies,
        alerts,
        events,
        unchanged,
        ties: tied,
    }
}

/// Contributions to rows of anchored views.
type Contributions<'s> = VecCollection<'s, Tick, RowKey, Acc>;
/// Authors of posts in such rows.
type Authors<'s> = VecCollection<'s, Tick, (RowKey, Dim)>;

/// What anchored views make of posts: contributions, authors, and how many posts are in none for want of their thread's times.
fn by_kind<'s>(
    anchored: VecCollection<'s, Tick, Anchored, Acc>,
) -> (Contributions<'s>, Authors<'s>, VecCollection<'s, Tick, Tally>) {
    use differential_dataflow::AsCollection;
    use timely::dataflow::operators::vec::Map;
    let adrift = Tally {
        model: ModelKey::NONE,
        entity: Dim::NONE,
        count: Count::Adrift,
    };
    let posts = |acc: Acc| isize::try_from(acc.posts).unwrap_or(0);
    let rows = anchored.clone().inner.flat_map(|(to, tick, acc)| match to {
        Anchored::Row(row) => Some((row, tick, acc)),
        _ => None,
    });
    let authors = anchored.clone().inner.flat_map(move |(to, tick, acc)| match to {
        Anchored::Author(row, author) => Some(((row, author), tick, posts(acc))),
        _ => None,
    });
    let tallies = anchored.inner.flat_map(move |(to, tick, acc)| match to {
        Anchored::Adrift => Some((adrift, tick, posts(acc))),
        _ => None,
    });
    (rows.as_collection(), authors.as_collection(), tallies.as_collection())
}

fn alerts<'s>(
    plan: &Plan,
    live: VecCollection<'s, Tick, Live>,
    rows: VecCollection<'s, Tick, Row>,
    control: VecCollection<'s, Tick, Control>,
) -> Alerts<'s> {
    let views = Arc::clone(&plan.views);
    let targets: Arc<[u16]> = plan.watched.iter().flatten().copied().collect();
    let is_target = {
        let targets = Arc::clone(&targets);
        move |view: u16| targets.contains(&view)
    };
    let each_row = {
        let (views, plan) = (Arc::clone(&views), plan.clone());
        move |live: &Live, give: &mut dyn FnMut(RowKey)| {
            for view in targets.iter().copied() {
                let policy = plan.policy(view);
                for_each_row(&views[usize::from(view)], &live.post, policy, &mut |key| {
                    give(RowKey { view, key })
                });
            }
        }
    };
    let because = {
        let each_row = each_row.clone();
        live.clone().flat_map(move |live| {
            let mut out = smallvec::SmallVec::<[Watched; 4]>::new();
            each_row(&live, &mut |row| out.push(Watched::Because(row, live.cause)));
            out
        })
    };
    let policies = plan.clone();
    let posts = live.flat_map(move |live| {
        let mut out = smallvec::SmallVec::<[_; 4]>::new();
        if let Some(score) = live.post.score {
            each_row(&live, &mut |row| {
                let policy = policies.policy(row.view);
                debug_assert_eq!(
                    contribution(&live.post, policy).w > 0,
                    policy.sentiment(&score).is_some() && live.post.weight > 0
                );
                if let Some(x) = policy.sentiment(&score) {
                    out.push((row, Item::Post(live.key, live.post.weight, x)));
                }
            });
        }
        out
    });
    let watched_rows = rows.filter(move |row| is_target(row.at.view)).map(Watched::Row);
    let watch = {
        let plan = plan.clone();
        Arc::new(move |name: &str| plan.watch(name))
    };
    let floors = {
        let plan = plan.clone();
        control.clone().flat_map(move |event| match event {
            Control::Floor(floor) => plan.watch(&floor.view).map(|view| {
                let key = ViewKey {
                    group: floor.group,
                    start: 0,
                };
                Watched::Floor(RowKey { view, key }, floor)
            }),
            _ => None,
        })
    };
    let watched = watched_rows.concat(because).concat(floors);
    let told = threshold(watched, control.clone(), &views, watch);
    let transitions = told.clone().flat_map(|told| match told {
        Told::Transition(t) => Some((t.fired, Item::Transition(t))),
        Told::Carry(_) | Told::Standing(_) => None,
    });
    let standings = told.clone().flat_map(|told| match told {
        Told::Standing(standing) => Some(standing),
        Told::Carry(_) | Told::Transition(_) => None,
    });
    let carries = told.flat_map(|told| match told {
        Told::Carry(carry) => Some(carry),
        Told::Transition(_) | Told::Standing(_) => None,
    });
    Alerts {
        transitions: evidence(posts.concat(transitions), control, &views),
        carries,
        standings,
    }
}
