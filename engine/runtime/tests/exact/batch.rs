//! The oracle: views and alerts computed from scratch, with plain loops, from the records alone.

use crate::alerts::{Alerts, Windows};
use crate::harness::{Views, background};
use crate::tied::Tied;
use groundswell_core::acc::Acc;
use groundswell_core::erasure::Subject;
use groundswell_core::id::{Dim, ModelKey, PostKey, TextKey};
use groundswell_core::number::{Numbers, Of, Stat, TopPost};
use groundswell_core::record::{Entity, Post, Rank, Record, TickBatch};
use groundswell_core::score::{EMOTIONS, Label, Rung, Score};
use groundswell_core::scoring::{Policy, Sarcasm};
use groundswell_core::spec::{
    Anchor, Edge, GroupColumn, LinkSpec, Measure, Phases, RuleSpec, Used, ViewKey, ViewSpec, WeightSpec, WindowSpec,
};
use groundswell_core::tie::{Tie, TieKind};
use groundswell_operators::compare::{Count, Tally};
use groundswell_operators::graph::Plan;
use groundswell_operators::matcher::Matcher;
use groundswell_operators::score::sample;
use groundswell_operators::window::RowKey;
use std::collections::{BTreeMap, BTreeSet};

type Ranked<T> = BTreeMap<String, (Rank, Option<T>)>;

#[derive(Default)]
pub struct Oracle {
    posts: Ranked<Post>,
    votes: BTreeMap<String, (i64, Option<i64>)>,
    deleted: Ranked<()>,
    /// Whether each is erased.
    erased: BTreeMap<Subject, (Rank, bool)>,
    /// When what a thread discusses starts, and ends.
    times: Ranked<(Option<i64>, Option<i64>)>,
    entities: Ranked<Entity>,
    rules: Ranked<RuleSpec>,
    /// What is known of authors, as JSON text.
    authors: Ranked<String>,
    facts: BTreeMap<(TextKey, ModelKey), Option<Score>>,
    live: Option<ModelKey>,
    clock: i64,
    alerts: Alerts,
    ties: BTreeMap<String, (Rank, Tie)>,
    /// A reply inherits from nothing that was written longer before it.
    limit: i64,
}

fn put<T>(map: &mut Ranked<T>, id: &str, rank: Rank, value: Option<T>) {
    if map.get(id).is_none_or(|(old, _)| *old < rank) {
        map.insert(id.to_owned(), (rank, value));
    }
}

impl Oracle {
    /// What has been recorded, without alerts.
    pub fn of(ticks: &[TickBatch]) -> Oracle {
        let mut o = Oracle::new();
        ticks.iter().for_each(|batch| o.apply(batch));
        o
    }

    /// Nothing yet.
    pub fn new() -> Oracle {
        Oracle {
            clock: i64::MIN,
            limit: i64::MAX,
            ..Oracle::default()
        }
    }

    /// The same for views that all forget. Posts are remembered for longer than their windows only if replies inherit.
    pub fn forgetful(plan: &Plan) -> Oracle {
        let kept = plan.longest_kept().unwrap();
        Oracle {
            limit: if plan.retention() == Some(kept) { i64::MIN } else { kept },
            ..Oracle::new()
        }
    }

    /// One tick more; alerts depend on when windows were forgotten, so they are followed tick by tick.
    pub fn tick(&mut self, batch: &TickBatch, plan: &Plan) {
        self.apply(batch);
        let rules = self.rules.values().filter_map(|(_, rule)| rule.clone());
        let watched = rules.filter_map(|rule| Some((plan.watch(&rule.view)?, rule)));
        let watched: Vec<_> = watched.collect();
        let mut seen: Vec<Windows> = Vec::new();
        for (i, spec) in (0u16..).zip(plan.views.iter()) {
            let mut groups = Windows::new();
            let bound = spec.window.sliding_bounds(self.clock).1;
            // Watched or not: a rule that comes later sees the windows there are.
            if plan.declared_view(i).is_some() {
                for (row, acc) in self.rows(i, spec, plan.policy(i)) {
                    if row.key.start + spec.window.size() <= bound {
                        groups.entry(row.key.group).or_default().insert(row.key.start, acc);
                    }
                }
            }
            seen.push(groups);
        }
        self.alerts.tick(&plan.views, &watched, seen, self.clock);
    }

    /// How many posts are kept out by an erasure.
    pub fn kept_out(&self) -> usize {
        let erased = |of: &Subject| matches!(self.erased.get(of), Some((_, true)));
        let posts = self.posts.values().filter_map(|(_, post)| post.as_ref());
        posts.filter(|post| Subject::of_post(post).iter().any(erased)).count()
    }

    /// What is erased now.
    pub fn erased(&self) -> Vec<Subject> {
        let erased = self.erased.iter().filter(|(_, (_, erased))| *erased);
        erased.map(|(of, _)| *of).collect()
    }

    /// Nothing stays of it but the ranks of posts.
    fn purge(&mut self, of: Subject) {
        for (_, post) in self.posts.values_mut() {
            *post = post.take().filter(|post| !Subject::of_post(post).contains(&of));
        }
        let is = |user: &str| of == Subject::author(user);
        self.ties
            .retain(|_, (_, tie)| !is(&tie.user) && (tie.kind != TieKind::Follow || !is(&tie.target)));
        self.authors.retain(|id, _| !is(id));
    }

    fn apply(&mut self, batch: &TickBatch) {
        let o = self;
        o.clock = o.clock.max(batch.clock);
        for e in &batch.records {
            let rank = e.rank();
            match &e.record {
                Record::Post(p) => {
                    put(&mut o.posts, &p.id, rank, Some(p.clone()));
                }
                Record::Tie(tie) => {
                    let slot = o.ties.entry(tie.key()).or_insert_with(|| (rank, tie.clone()));
                    if slot.0 < rank {
                        *slot = (rank, tie.clone());
                    }
                }
                Record::PostDeleted { id } => put(&mut o.posts, id, rank, None),
                Record::Votes(v) => {
                    let seen = (v.observed_at, v.votes);
                    let slot = o.votes.entry(v.id.clone()).or_insert(seen);
                    *slot = (*slot).max(seen);
                }
                Record::Thread(t) => {
                    put(&mut o.deleted, &t.id, rank, t.deleted.then_some(()));
                    put(&mut o.times, &t.id, rank, Some((t.air_time, t.ends_at)));
                }
                Record::Erasure(erasure) => {
                    let new = (rank, !erasure.undo);
                    let slot = o.erased.entry(erasure.of).or_insert(new);
                    *slot = (*slot).max(new);
                }
                Record::Entity(x) => put(&mut o.entities, &x.id, rank, Some(x.clone())),
                Record::EntityDeleted { id } => put(&mut o.entities, id, rank, None),
                Record::Rule(r) => put(&mut o.rules, &r.id, rank, Some(r.clone())),
                Record::RuleDeleted { id } => put(&mut o.rules, id, rank, None),
                Record::Score { text, model, score } => o.learn(*text, *model, Some(*score)),
                Record::Unscorable { text, model } => o.learn(*text, *model, None),
                Record::LiveModel { model, .. } => o.live = Some(*model),
                Record::Author(a) => put(&mut o.authors, &a.id, rank, a.numbers.clone()),
                // At the end of the tick.
                Record::Purged(_) => {}
                // What the engine notes about its own past; the past is here.
                Record::AlertFloor(_) | Record::AlertMuted { .. } | Record::Dead(_) => {}
                // Views have nothing of them; `events` has an oracle of its own.
                Record::Keyword(_) | Record::KeywordDeleted { .. } => {}
            }
        }
        for e in &batch.records {
            if let Record::Purged(of) = e.record {
                o.purge(of);
            }
        }
    }

    /// The best answer, whatever came first; of equals the first.
    fn learn(&mut self, text: TextKey, model: ModelKey, score: Option<Score>) {
        let known = self.facts.entry((text, model)).or_insert(score);
        let good = |score: &Option<Score>| match score.map(|s| s.rung) {
            None => 0,
            Some(Rung::Neutral) => 1,
            Some(Rung::Http) => 2,
            Some(Rung::Local | Rung::Given) => 3,
        };
        if good(&score) > good(known) {
            *known = score;
        }
    }

    /// Texts that wait for a model, with their newest post that asks and whether something stands for an answer.
    pub fn wanted(&self, plan: &Plan) -> BTreeMap<(ModelKey, TextKey), (i64, bool)> {
        let mut wanted = BTreeMap::<(ModelKey, TextKey), (i64, bool)>::new();
        let Some(live) = self.live else { return wanted };
        for (id, post) in self.live_posts() {
            if post.text.is_empty() || post.score.is_some() {
                continue;
            }
            let text = TextKey::of(post.text.as_bytes());
            let mut ask = |model, stopgap| {
                let slot = wanted.entry((model, text)).or_insert((post.created_at, stopgap));
                slot.0 = slot.0.max(post.created_at);
            };
            let known = self.facts.get(&(text, live));
            if known.is_none_or(|score| score.is_none_or(|s| s.rung == Rung::Neutral)) {
                ask(live, known.is_some());
            }
            let place = sample(
                Dim::of(post.author.as_deref().unwrap_or("")),
                PostKey::of(id.as_bytes()),
            );
            for b in background().iter().filter(|b| b.model != live && plan.compares()) {
                if place < b.share && !self.facts.contains_key(&(text, b.model)) {
                    ask(b.model, false);
                }
            }
        }
        wanted
    }

    pub fn live_posts(&self) -> BTreeMap<&str, &Post> {
        let erased = |of: &Subject| matches!(self.erased.get(of), Some((_, true)));
        let alive = |p: &&Post| {
            !matches!(self.deleted.get(&p.thread), Some((_, Some(())))) && !Subject::of_post(p).iter().any(erased)
        };
        self.posts
            .iter()
            .filter_map(|(id, (_, p))| p.as_ref().filter(alive).map(|p| (id.as_str(), p)))
            .collect()
    }

    /// Entities of every live post, its own or inherited; and how many posts inherited.
    fn mentions(&self) -> (BTreeMap<&str, BTreeSet<Dim>>, usize) {
        let posts = self.live_posts();
        let matcher = Matcher::build(
            self.entities.values().filter_map(|(_, e)| e.as_ref()),
            &LinkSpec::default(),
        );
        let own = |p: &Post| matcher.link(&p.text).iter().map(|m| m.entity).collect::<BTreeSet<_>>();
        let mut inherited = 0;
        let mut all = BTreeMap::new();
        for (id, post) in &posts {
            let (mut at, mut seen, mut found) = (*post, BTreeSet::new(), own(post));
            let mut written = vec![post.created_at];
            while found.is_empty() && seen.insert(at.id.clone()) {
                let Some(parent) = at.parent.as_ref().and_then(|p| posts.get(p.as_str())) else {
                    break;
                };
                at = parent;
                written.push(at.created_at);
                found = own(at);
            }
            // Every reply on the way has to be near enough to inherit itself, also one that is newer than its own reply.
            let far = |i: usize| {
                let oldest = written[i + 1..].iter().min().unwrap();
                written[i].saturating_sub(*oldest) > self.limit
            };
            if (0..written.len() - 1).any(far) {
                (at, found) = (post, BTreeSet::new());
            }
            inherited += usize::from(!found.is_empty() && at.id != post.id);
            // Without a text a post says nothing, though its replies inherit through it.
            all.insert(*id, if post.text.is_empty() { BTreeSet::new() } else { found });
        }
        (all, inherited)
    }

    pub fn inherited(&self) -> usize {
        self.mentions().1
    }

    /// The live model's answer for a post, or the one it brought.
    fn answer(&self, post: &Post) -> Option<Score> {
        let text = TextKey::of(post.text.as_bytes());
        let scored = self
            .live
            .filter(|_| !post.text.is_empty())
            .and_then(|live| self.facts.get(&(text, live)).copied().flatten());
        post.score.or(scored)
    }

    /// The answer as it counts under a policy; none if the post's sentiment does not.
    fn counted(&self, post: &Post, policy: Policy) -> Option<Score> {
        let s = self.answer(post)?;
        let nobody = s.rung == Rung::Neutral && !policy.count_neutral;
        match policy.sarcasm {
            _ if nobody => None,
            Sarcasm::Exclude if s.is_sarcastic => None,
            Sarcasm::Flip if s.is_sarcastic => Some(Score {
                positive: s.negative,
                negative: s.positive,
                ..s
            }),
            _ => Some(s),
        }
    }

    fn contribution(&self, post: &Post, policy: Policy) -> Acc {
        let own = (post.observed_at, post.votes);
        let votes = self.votes.get(&post.id).map_or(own, |seen| own.max(*seen)).1;
        let Some(s) = self.answer(post) else {
            return Acc {
                posts: 1,
                ..Acc::default()
            };
        };
        let Some(counted) = self.counted(post, policy) else {
            return Acc {
                posts: 1,
                toxic: i32::from(s.is_toxic),
                sarcastic: i32::from(s.is_sarcastic),
                ..Acc::default()
            };
        };
        let mut x = counted.sentiment();
        if policy.sarcasm == Sarcasm::Discount {
            #[allow(clippy::cast_possible_truncation)]
            {
                // Exact in an f64: twelve digits, rounded half away from zero.
                x = (f64::from(x) * f64::from(1_000_000 - s.sarcastic) / 1e6).round() as i32;
            }
        }
        Acc::scored(
            WeightSpec::Log1p.weight(votes),
            x,
            counted.label(),
            s.is_toxic,
            s.is_sarcastic,
        )
    }

    fn times(&self, thread: &str) -> (Option<i64>, Option<i64>) {
        self.times.get(thread).and_then(|(_, times)| *times).unwrap_or_default()
    }

    /// Phase, start and end of every anchored window that a post is in.
    fn phases(&self, phases: &Phases, post: &Post) -> Vec<(Dim, i64, i64)> {
        let (air_time, ends_at) = self.times(&post.thread);
        let ends_at = ends_at.or(air_time.zip(phases.lasts).map(|(at, lasts)| at + lasts));
        let mut found = Vec::new();
        for phase in phases.iter() {
            let at = |edge: Edge| {
                let anchor = if edge.anchor == Anchor::AirTime {
                    air_time
                } else {
                    ends_at
                };
                anchor.map(|anchor| anchor + edge.offset)
            };
            if let (Some(start), Some(end)) = (at(phase.from), at(phase.to)) {
                let end = end.min(start + phases.longest);
                if start <= post.created_at && post.created_at < end {
                    found.push((Dim::of(phase.name.as_str()), start, end));
                }
            }
        }
        found
    }

    /// Sums of every row of a view, ignoring the clock.
    fn sums(&self, view: u16, spec: &ViewSpec, policy: Policy) -> BTreeMap<RowKey, Acc> {
        use differential_dataflow::difference::Semigroup;
        let mut rows = BTreeMap::<RowKey, Acc>::new();
        self.each_row(view, spec, policy, |key, post| {
            rows.entry(key)
                .or_default()
                .plus_equals(&self.contribution(post, policy));
        });
        rows
    }

    /// Every row of a view, ignoring the clock, with each post in it.
    fn each_row<'a>(&'a self, view: u16, spec: &ViewSpec, policy: Policy, mut give: impl FnMut(RowKey, &'a Post)) {
        let (mentions, _) = self.mentions();
        let mut of_sessions = BTreeMap::<[Dim; 4], Vec<&Post>>::new();
        for (id, post) in self.live_posts() {
            let entities: Vec<Dim> = if spec.group_by.contains(&GroupColumn::Entity) {
                mentions[id].iter().copied().collect()
            } else {
                vec![Dim::NONE]
            };
            // Words of the histories stand alone.
            let said = |column, sign: char| -> BTreeSet<Dim> {
                let words = post.text.split(' ').filter_map(|word| word.strip_prefix(sign));
                match spec.group_by.contains(&column) {
                    true => words.map(|word| Dim::of(&word.to_lowercase())).collect(),
                    false => [Dim::NONE].into(),
                }
            };
            let (tags, names) = (said(GroupColumn::Tag, '#'), said(GroupColumn::Mention, '@'));
            let combined = entities.iter().flat_map(|entity| {
                let names = &names;
                tags.iter()
                    .flat_map(move |tag| names.iter().map(move |name| (*entity, *tag, *name)))
            });
            for (entity, tag, name) in combined {
                let mut group = [Dim::NONE; 4];
                let counted = self.counted(post, policy);
                for (slot, column) in group.iter_mut().zip(&spec.group_by) {
                    *slot = match column {
                        GroupColumn::Thread => Dim::of(&post.thread),
                        GroupColumn::Entity => entity,
                        GroupColumn::Source => Dim::of(&post.source),
                        GroupColumn::Author => Dim::of(post.author.as_deref().unwrap_or("")),
                        GroupColumn::Label => counted.map_or(Dim::NONE, |s| match s.label() {
                            Label::Positive => Dim::of("positive"),
                            Label::Neutral => Dim::of("neutral"),
                            Label::Negative => Dim::of("negative"),
                        }),
                        GroupColumn::Emotion => {
                            counted.map_or(Dim::NONE, |s| Dim::of(EMOTIONS[usize::from(s.emotion)]))
                        }
                        GroupColumn::Tag => tag,
                        GroupColumn::Mention => name,
                        GroupColumn::Phase => Dim::NONE,
                        GroupColumn::Hour | GroupColumn::Weekday | GroupColumn::HourOfWeek => {
                            let zone = spec.extras.zone.name();
                            let at = jiff::Timestamp::from_millisecond(post.created_at).unwrap();
                            let local = at.in_tz(zone).unwrap().strftime("%a %H").to_string().to_lowercase();
                            let (day, hour) = local.split_once(' ').unwrap();
                            Dim::of(match column {
                                GroupColumn::Hour => hour,
                                GroupColumn::Weekday => day,
                                _ => &local,
                            })
                        }
                    };
                }
                if let WindowSpec::Anchored(phases) = &spec.window {
                    let at = spec.group_by.iter().position(|c| *c == GroupColumn::Phase).unwrap();
                    for (phase, start, end) in self.phases(phases, post) {
                        group[at] = phase;
                        let key = ViewKey::with_end(group, start, end);
                        give(RowKey { view, key }, post);
                    }
                    continue;
                }
                if matches!(spec.window, WindowSpec::Session(_)) {
                    of_sessions.entry(group).or_default().push(post);
                    continue;
                }
                let (size, step) = (spec.window.size(), spec.window.step());
                let last = post.created_at.div_euclid(step) * step;
                let reach = if matches!(spec.window, WindowSpec::Sliding { .. }) {
                    step
                } else {
                    size
                };
                let mut start = last;
                while start > last - reach {
                    let key = RowKey {
                        view,
                        key: ViewKey { group, start },
                    };
                    give(key, post);
                    start -= step;
                }
            }
        }
        if let WindowSpec::Session(how) = spec.window {
            for (group, posts) in of_sessions {
                let windows = crate::sessions::windows(how, posts.iter().map(|post| post.created_at).collect());
                for post in posts {
                    let (start, end) = windows[&post.created_at];
                    let key = ViewKey::with_end(group, start, end);
                    give(RowKey { view, key }, post);
                }
            }
        }
    }

    /// What is counted of models.
    fn tallies(&self) -> BTreeMap<Tally, isize> {
        let mut tallies = BTreeMap::new();
        let (mentions, _) = self.mentions();
        let mut texts = BTreeMap::<TextKey, Vec<(&str, &Post)>>::new();
        for (id, post) in self.live_posts() {
            if post.score.is_none() && !post.text.is_empty() {
                texts
                    .entry(TextKey::of(post.text.as_bytes()))
                    .or_default()
                    .push((id, post));
            }
        }
        let models: BTreeSet<ModelKey> = self.facts.keys().map(|(_, model)| *model).collect();
        for (text, posts) in &texts {
            let fact = |model: ModelKey| self.facts.get(&(*text, model)).copied();
            let mut add = |model, entity, count, n: i32| {
                *tallies.entry(Tally { model, entity, count }).or_default() += isize::try_from(n).unwrap();
            };
            add(ModelKey::NONE, Dim::NONE, Count::Texts, 1);
            let answered = models.iter().filter(|model| fact(**model).is_some());
            answered.for_each(|model| add(*model, Dim::NONE, Count::Answered, 1));
            let Some(live) = self.live else { continue };
            for b in background().iter().filter(|b| b.model != live) {
                let (ours, theirs) = (fact(live), fact(b.model));
                if theirs.is_none() {
                    add(b.model, Dim::NONE, Count::Behind, i32::from(ours.is_some()));
                }
                // What stands where nobody answered is no answer.
                let said = |fact: Option<Option<Score>>| fact.flatten().filter(|score| score.rung != Rung::Neutral);
                let (Some(ours), Some(theirs)) = (said(ours), said(theirs)) else {
                    continue;
                };
                for (id, _) in posts {
                    for entity in mentions[id].iter().copied().chain([Dim::NONE]) {
                        add(b.model, entity, Count::Posts, 1);
                        add(
                            b.model,
                            entity,
                            Count::Agreeing,
                            i32::from(ours.label() == theirs.label()),
                        );
                        add(b.model, entity, Count::Live(ours.label()), 1);
                        add(b.model, entity, Count::Other(theirs.label()), 1);
                        add(b.model, entity, Count::LiveSentiment, ours.sentiment());
                        add(b.model, entity, Count::OtherSentiment, theirs.sentiment());
                    }
                }
            }
        }
        tallies.retain(|_, n| *n != 0);
        tallies
    }

    /// The rows of a view, with their authors where it shows them.
    fn rows(&self, view: u16, spec: &ViewSpec, policy: Policy) -> BTreeMap<RowKey, Acc> {
        let mut rows = self.summed(view, spec, policy);
        if spec.measures.contains(&Measure::Authors) {
            let sliding = matches!(spec.window, WindowSpec::Sliding { .. });
            let (from, to) = spec.window.sliding_bounds(self.clock);
            let mut authors = BTreeMap::<RowKey, BTreeSet<&str>>::new();
            self.each_row(view, spec, policy, |mut row, post| {
                let start = row.key.start;
                if sliding && !(from <= start && start < to) {
                    return;
                }
                if sliding {
                    row.key.start = 0;
                }
                let author = post.author.as_deref().filter(|author| !author.is_empty());
                authors.entry(row).or_default().extend(author);
            });
            for (row, acc) in &mut rows {
                acc.authors = i32::try_from(authors[row].len()).unwrap();
            }
        }
        rows
    }

    /// The numbers of a view's rows.
    fn numbers(
        &self,
        view: u16,
        spec: &ViewSpec,
        policy: Policy,
        rows: impl Iterator<Item = RowKey>,
    ) -> BTreeMap<RowKey, Numbers> {
        let sliding = matches!(spec.window, WindowSpec::Sliding { .. });
        let (from, to) = spec.window.sliding_bounds(self.clock);
        let mut posts: BTreeMap<RowKey, Vec<&Post>> = rows.map(|row| (row, Vec::new())).collect();
        self.each_row(view, spec, policy, |mut row, post| {
            if sliding && !(from..to).contains(&row.key.start) {
                return;
            }
            if sliding {
                row.key.start = 0;
            }
            if let Some(posts) = posts.get_mut(&row) {
                posts.push(post);
            }
        });
        let number = |posts: Vec<&Post>| {
            let all: Vec<Vec<(i64, &Post)>> = spec
                .extras
                .numbers
                .iter()
                .map(|used| {
                    posts
                        .iter()
                        .filter_map(|post| Some((self.number(post, used)?, *post)))
                        .collect()
                })
                .collect();
            let mut top = spec.extras.top.as_ref().map_or(vec![], |top| all[top.by].clone());
            top.sort_by_key(|(value, post)| (-value, post.created_at, PostKey::of(post.id.as_bytes())));
            let stats = all.iter().zip(&spec.extras.numbers).map(|(values, used)| {
                let wide = || values.iter().map(|(v, _)| i128::from(*v));
                let ends = values.iter().map(|(v, _)| *v);
                Stat {
                    known: i64::try_from(values.len()).unwrap(),
                    sum: wide().sum(),
                    squares: if used.squares { wide().map(|v| v * v).sum() } else { 0 },
                    bounds: ends.clone().min().zip(ends.max()).filter(|_| used.bounds),
                }
            });
            Numbers {
                stats: stats.collect(),
                top: top
                    .into_iter()
                    .take(spec.extras.top.as_ref().map_or(0, |top| top.k))
                    .map(|(value, post)| TopPost {
                        post: PostKey::of(post.id.as_bytes()),
                        value,
                    })
                    .collect(),
            }
        };
        posts.into_iter().map(|(row, posts)| (row, number(posts))).collect()
    }

    /// A post's number: its votes, or a field of what its record or its author's newest record says.
    #[allow(clippy::cast_possible_truncation)] // small
    fn number(&self, post: &Post, used: &Used) -> Option<i64> {
        let text = match used.number.of {
            Of::Votes => {
                let own = (post.observed_at, post.votes);
                return self.votes.get(&post.id).map_or(own, |seen| own.max(*seen)).1;
            }
            Of::Post(_) => post.extra.clone(),
            Of::Author(_) => {
                let author = post.author.as_ref().filter(|author| !author.is_empty())?;
                self.authors.get(author)?.1.clone()
            }
        }?;
        let fields: serde_json::Value = serde_json::from_str(&text).unwrap();
        let value = fields.get(&used.number.name)?.as_f64()?;
        Some((value * if used.number.decimal { 1e6 } else { 1.0 }).round() as i64)
    }

    fn summed(&self, view: u16, spec: &ViewSpec, policy: Policy) -> BTreeMap<RowKey, Acc> {
        use differential_dataflow::difference::Semigroup;
        let sums = self.sums(view, spec, policy);
        if !matches!(spec.window, WindowSpec::Sliding { .. }) {
            let kept = |key: &ViewKey| {
                let (_, end) = spec.window.bounds(key);
                spec.keep.is_none_or(|keep| end + keep > self.clock)
            };
            return sums.into_iter().filter(|(row, _)| kept(&row.key)).collect();
        }
        let (from, to) = spec.window.sliding_bounds(self.clock);
        let mut rows = BTreeMap::<RowKey, Acc>::new();
        for (row, acc) in sums
            .into_iter()
            .filter(|(row, _)| from <= row.key.start && row.key.start < to)
        {
            let key = RowKey {
                key: ViewKey { start: 0, ..row.key },
                ..row
            };
            rows.entry(key).or_default().plus_equals(&acc);
        }
        rows
    }

    /// Alerts whose windows are all beyond retention: they stand, and after a restart nobody knows them.
    pub fn forgotten(&self) -> BTreeSet<(String, RowKey)> {
        self.alerts.forgotten()
    }

    /// Rules and groups that go on from something forgotten.
    pub fn carried(&self) -> usize {
        self.alerts.carried()
    }

    pub fn views(&self, plan: &Plan) -> Views {
        let mut views = Views {
            alerts: self.alerts.standing(),
            ..Views::default()
        };
        if plan.ties() {
            let erased = |user: &str| matches!(self.erased.get(&Subject::author(user)), Some((_, true)));
            let stands = |tie: &&Tie| !erased(&tie.user) && (tie.kind != TieKind::Follow || !erased(&tie.target));
            let ties = self.ties.values().map(|(_, tie)| tie).filter(stands);
            let ties: Vec<Tie> = ties.cloned().collect();
            views.tied = Tied::of(&ties, &self.live_posts());
        }
        for (i, spec) in (0u16..).zip(plan.views.iter()).take(plan.declared) {
            let rows = self.rows(i, spec, plan.policy(i));
            if spec.has_numbers() {
                views
                    .numbers
                    .extend(self.numbers(i, spec, plan.policy(i), rows.keys().copied()));
            }
            views.rows.extend(rows);
        }
        if plan.compares() {
            views.tallies = self.tallies();
            let adrift = self
                .live_posts()
                .values()
                .filter(|post| self.times(&post.thread) == (None, None))
                .count();
            let tally = Tally {
                model: ModelKey::NONE,
                entity: Dim::NONE,
                count: Count::Adrift,
            };
            if adrift > 0 {
                views.tallies.insert(tally, isize::try_from(adrift).unwrap());
            }
        }
        views
    }
}
