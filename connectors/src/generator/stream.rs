//! The story: what happens when, as a state machine over an agenda.
//!
//! State: the agenda (one entry per live post and kind of event to come), recent posts for replies, and the position.
//! Everything else, texts and vote counts included, is thrown again from the seed whenever it is needed, so skipping
//! ahead costs no texts.

use super::dice::{Dice, Purpose};
use super::event::{Event, Happening, Platform, Post, Story};
use super::phrases::Tone;
use super::{GeneratorSpec, RawEvent, cast};
use groundswell_core::record::Entity;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
/// A thread per platform lasts this long.
const EPISODE: u64 = 600 * SECOND;
/// Posts that replies can answer to.
const RECENT: usize = 64;
/// Posts with events still to come, at most about this many: very dense streams shorten the lives of their posts.
const LIVE_POSTS: u64 = 200_000;

/// What is still to happen.
enum Plan {
    Episode(u64),
    Brigade(u64),
    BrigadePost(u64, u64),
    Support(u64, u64),
    Deliver(Arc<Post>, u8),
    Votes(Arc<Post>, u8),
    StaleVotes(Arc<Post>, u8, i64),
    Reset(Arc<Post>),
    Delete(Arc<Post>),
}

struct Entry {
    at: u64,
    seq: u64,
    plan: Plan,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A generated stream, read event by event.
pub(super) struct Stream {
    pub(super) spec: GeneratorSpec,
    cast: Arc<[Entity]>,
    /// From which event on the stream's time zero was at which moment (epoch ms).
    epochs: Vec<(u64, i64)>,
    index: u64,
    seq: u64,
    posts: u64,
    agenda: BinaryHeap<Reverse<Entry>>,
    arrivals: Dice,
    next_arrival: u64,
    ready: VecDeque<Happening>,
    recent: [VecDeque<Arc<Post>>; 4],
    lifetime: u64,
    now: u64,
}

impl Stream {
    pub(super) fn new(spec: GeneratorSpec, epochs: Vec<(u64, i64)>) -> Stream {
        let cast: Arc<[Entity]> = if spec.entities.is_empty() {
            cast::entities()
        } else {
            spec.entities.clone()
        }
        .into();
        let per_minute = u64::from(spec.posts_per_minute.max(1));
        let lifetime = (LIVE_POSTS * 60 * SECOND / per_minute).clamp(SECOND, 90 * SECOND);
        let mut stream = Stream {
            arrivals: Dice::of(spec.seed, Purpose::Arrivals, 0),
            cast,
            epochs,
            index: 0,
            seq: 0,
            posts: 0,
            agenda: BinaryHeap::new(),
            next_arrival: 0,
            ready: VecDeque::new(),
            recent: Default::default(),
            lifetime,
            now: 0,
            spec,
        };
        if stream.spec.send_entities {
            stream.ready.extend((0..stream.cast.len()).map(Happening::Entity));
        }
        stream.schedule(0, Plan::Episode(0));
        if let Some(brigades) = stream.spec.brigades {
            stream.schedule(u64::from(brigades.first_ms) * MS, Plan::Brigade(0));
        }
        stream.next_arrival = stream.gap();
        stream
    }

    /// Number of the next event.
    pub(super) fn position(&self) -> u64 {
        self.index
    }

    /// When the stream's time was zero, for the events from here on.
    fn zero(&self) -> i64 {
        self.epochs
            .iter()
            .rev()
            .find(|(from, _)| *from <= self.index)
            .map_or(0, |(_, zero)| *zero)
    }

    /// The moment at which the stream stands (epoch ms).
    pub(super) fn moment(&self) -> i64 {
        self.zero() + i64::try_from(self.now / MS).unwrap_or(i64::MAX / 4)
    }

    /// From here on the stream takes place `by_ms` later.
    pub(super) fn postpone(&mut self, by_ms: i64) {
        let zero = self.zero() + by_ms;
        self.epochs.push((self.index, zero));
    }

    pub(super) fn epochs(&self) -> &[(u64, i64)] {
        &self.epochs
    }

    /// The next event, not yet written out.
    pub(super) fn advance(&mut self) -> Event {
        let happening = loop {
            if let Some(happening) = self.ready.pop_front() {
                break happening;
            }
            match self.agenda.peek() {
                Some(Reverse(first)) if first.at <= self.next_arrival => {
                    if let Some(Reverse(entry)) = self.agenda.pop() {
                        self.now = entry.at;
                        self.act(entry.plan);
                    }
                }
                _ => {
                    self.now = self.next_arrival;
                    self.arrive();
                    self.next_arrival = self.now + self.gap();
                }
            }
        };
        let event = Event {
            index: self.index,
            at: self.moment(),
            happening,
        };
        self.index += 1;
        event
    }

    /// Writes an event out.
    pub(super) fn write(&self, event: &Event) -> RawEvent {
        Story {
            seed: self.spec.seed,
            cast: &self.cast,
        }
        .write(event)
    }

    fn schedule(&mut self, at: u64, plan: Plan) {
        self.seq += 1;
        self.agenda.push(Reverse(Entry {
            at,
            seq: self.seq,
            plan,
        }));
    }

    /// Time to the next new post: around the mean, never far from it, denser in bursts.
    fn gap(&mut self) -> u64 {
        let mut mean = 60 * SECOND / u64::from(self.spec.posts_per_minute.max(1));
        if let Some(burst) = self.spec.burst {
            let every = u64::from(burst.every_ms.max(1)) * MS;
            if self.now % every >= every.saturating_sub(u64::from(burst.length_ms) * MS) {
                mean /= u64::from(burst.factor.max(1));
            }
        }
        (mean / 5 + self.arrivals.below(mean * 8 / 5 + 1)).max(1)
    }

    fn act(&mut self, plan: Plan) {
        match plan {
            Plan::Episode(number) => {
                self.ready.extend(Platform::ALL.map(|platform| Happening::Thread {
                    platform,
                    episode: number,
                }));
                self.schedule(self.now + EPISODE, Plan::Episode(number + 1));
            }
            Plan::Brigade(number) => {
                if let Some(brigades) = self.spec.brigades {
                    self.schedule(self.now, Plan::BrigadePost(number, 0));
                    self.schedule(self.now + 7 * SECOND, Plan::Support(number, 0));
                    let every = u64::from(brigades.every_ms.max(15_000)) * MS;
                    self.schedule(self.now + every, Plan::Brigade(number + 1));
                }
            }
            Plan::BrigadePost(brigade, copy) => self.brigade_post(brigade, copy),
            Plan::Support(brigade, count) => {
                let post = self.new_post(Some((brigade, None)));
                self.publish(post);
                if count < 39 {
                    self.schedule(self.now + 150 * MS, Plan::Support(brigade, count + 1));
                }
            }
            Plan::Deliver(post, version) => self.ready.push_back(Happening::Post { post, version }),
            Plan::Votes(post, step) => self.votes(post, step),
            Plan::StaleVotes(post, step, observed_at) => {
                let votes = post.votes(self.spec.seed, step);
                self.ready.push_back(Happening::Votes {
                    post,
                    votes,
                    observed_at,
                });
            }
            Plan::Reset(post) => {
                let votes = Some(-i64::try_from(post.number % 20).unwrap_or(0));
                let observed_at = self.moment();
                self.ready.push_back(Happening::Votes {
                    post,
                    votes,
                    observed_at,
                });
            }
            Plan::Delete(post) => self.ready.push_back(Happening::Delete { post }),
        }
    }

    /// A new post arrives, now and then followed by garbage.
    fn arrive(&mut self) {
        let post = self.new_post(None);
        if Dice::of(self.spec.seed, Purpose::Garbage, post.number).ppm(u64::from(self.spec.garbage_ppm)) {
            self.ready.push_back(Happening::Garbage { number: post.number });
        }
        self.publish(post);
    }

    /// A post with its life before it: how its votes go, whether it is edited, deleted, delivered twice.
    fn publish(&mut self, post: Arc<Post>) {
        let mut dice = Dice::of(self.spec.seed, Purpose::Votes, post.number << 8);
        let within = |dice: &mut Dice, from: u64, to: u64| from + dice.below(to - from);
        let life = self.lifetime;
        let share = |n: u64| (life / 90 * n).max(1);
        let mut delivered = self.now;
        if dice.permille(20) {
            // Its votes are on a faster road than the post.
            self.votes(Arc::clone(&post), 1);
            delivered += within(&mut dice, share(1) / 2, share(3));
            self.schedule(delivered, Plan::Deliver(Arc::clone(&post), 1));
        } else {
            self.ready.push_back(Happening::Post {
                post: Arc::clone(&post),
                version: 1,
            });
            let first = delivered + within(&mut dice, share(2), share(8));
            self.schedule(first, Plan::Votes(Arc::clone(&post), u8::from(!post.hidden)));
        }
        let edited = dice.permille(30);
        if edited {
            let at = delivered + within(&mut dice, share(3), share(20));
            self.schedule(at, Plan::Deliver(Arc::clone(&post), 2));
        }
        if dice.permille(if edited { 300 } else { 20 }) {
            // Version 1 again: the same bytes, or a stale version if there was an edit before it.
            let at = delivered + within(&mut dice, share(1), share(25));
            self.schedule(at, Plan::Deliver(Arc::clone(&post), 1));
        }
        if dice.permille(20) {
            let at = delivered + within(&mut dice, share(5), share(40));
            self.schedule(at, Plan::Delete(post));
        }
    }

    /// Tells the votes of a post and plans the next observation: quickly at first, then ever more rarely.
    fn votes(&mut self, post: Arc<Post>, step: u8) {
        let mut dice = Dice::of(
            self.spec.seed,
            Purpose::Votes,
            post.number << 8 | u64::from(step) << 1 | 1,
        );
        let observed_at = self.moment() - dice.between(0, 400);
        if dice.permille(30) && step > 1 {
            let late = self.now + SECOND + dice.below(2 * SECOND);
            self.schedule(late, Plan::StaleVotes(Arc::clone(&post), step - 1, observed_at - 5_000));
        }
        if step < post.steps {
            let pause = (self.lifetime / 40) << step.min(4);
            let at = self.now + pause / 2 + dice.below(pause.max(1));
            self.schedule(at, Plan::Votes(Arc::clone(&post), step + 1));
        }
        let votes = post.votes(self.spec.seed, step);
        self.ready.push_back(Happening::Votes {
            post,
            votes,
            observed_at,
        });
    }

    fn brigade_post(&mut self, brigade: u64, copy: u64) {
        let count = u64::from(self.spec.brigades.map_or(0, |b| b.posts));
        if copy >= count {
            return;
        }
        let post = self.new_post(Some((brigade, Some(copy))));
        self.ready.push_back(Happening::Post {
            post: Arc::clone(&post),
            version: 1,
        });
        let mut dice = Dice::of(self.spec.seed, Purpose::Brigade, post.number);
        let start = self.now - copy * (3 * SECOND / count);
        let pumped = (start + 2 * SECOND + dice.below(2 * SECOND)).max(self.now + 200 * MS);
        self.schedule(pumped, Plan::Votes(Arc::clone(&post), 1));
        let end = start + 8 * SECOND + dice.below(3 * SECOND);
        let plan = if copy % 20 == 7 {
            Plan::Reset(post)
        } else {
            Plan::Delete(post)
        };
        self.schedule(end, plan);
        self.schedule(self.now + 3 * SECOND / count, Plan::BrigadePost(brigade, copy + 1));
    }

    /// Invents a post written about now. `brigade` is a brigade's number with the copy's, or without one for a fan who
    /// answers it.
    fn new_post(&mut self, brigade: Option<(u64, Option<u64>)>) -> Arc<Post> {
        let number = self.posts;
        self.posts += 1;
        let seed = self.spec.seed;
        let mut dice = Dice::of(seed, Purpose::Post, number);
        let mut campaign = brigade.map(|(b, _)| Dice::of(seed, Purpose::Brigade, u64::MAX - b));
        let target = campaign.as_mut().map(|dice| dice.below(self.cast.len() as u64));
        let platform = *campaign
            .as_mut()
            .unwrap_or(&mut dice)
            .pick(&Platform::ALL)
            .unwrap_or(&Platform::Reddit);
        let moment = self.moment();
        let episode = self.now / EPISODE;
        let recent = &self.recent[platform as usize];
        let parent = if brigade.is_none() && dice.permille(400) {
            dice.pick_recent(recent)
        } else {
            None
        };
        let favourite = dice
            .below(self.cast.len() as u64)
            .min(dice.below(self.cast.len() as u64));
        let named = if parent.is_some() { 600 } else { 850 };
        let entity = target.or_else(|| dice.permille(named).then_some(favourite));
        let mood = entity.map_or(0, |e| self.mood(e));
        let tone = match brigade {
            Some((_, Some(_))) => Tone::Toxic,
            Some((_, None)) => Tone::Positive,
            None => tone(&mut dice, mood),
        };
        let created_at = match brigade {
            Some(_) => moment - dice.between(0, 50),
            None => match dice.below(1_000) {
                0..20 => moment - dice.between(60_000, 600_000),
                20..24 => moment + dice.between(120_000, 3_600_000),
                24..27 => moment - dice.between(3_600_000, 40_000_000),
                _ => moment - dice.between(0, 1_500),
            },
        };
        let quality = match tone {
            _ if matches!(brigade, Some((_, Some(_)))) => dice.between(20, 80),
            Tone::Toxic => dice.between(-60, 8),
            _ => match dice.below(1_000) {
                0..600 => dice.between(-2, 6),
                600..900 => dice.between(5, 50),
                900..990 => dice.between(50, 500),
                _ => dice.between(500, 5_000),
            },
        };
        let post = Arc::new(Post {
            number,
            platform,
            episode,
            parent: parent.as_ref().map(|p| p.number),
            entity,
            tone,
            brigade: brigade.and_then(|(b, copy)| copy.map(|c| (b, c))),
            created_at,
            written_at: moment,
            hidden: brigade.is_none() && dice.permille(if platform == Platform::Reddit { 900 } else { 400 }),
            final_votes: quality,
            steps: if brigade.is_some() {
                2
            } else {
                u8::try_from(dice.below(6)).unwrap_or(0) + 1
            },
        });
        let recent = &mut self.recent[platform as usize];
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&post));
        post
    }

    /// How well an entity is liked at the moment, from -300 to 300; changes every 45 s.
    fn mood(&self, entity: u64) -> i64 {
        let block = self.now / (45 * SECOND);
        Dice::of(self.spec.seed, Purpose::Mood, entity << 40 | block).between(-300, 301)
    }
}

impl Iterator for Stream {
    type Item = RawEvent;

    fn next(&mut self) -> Option<RawEvent> {
        let event = self.advance();
        Some(self.write(&event))
    }
}

impl Dice {
    fn pick_recent(&mut self, recent: &VecDeque<Arc<Post>>) -> Option<Arc<Post>> {
        recent
            .get(usize::try_from(self.below(recent.len() as u64)).unwrap_or(0))
            .cloned()
    }
}

fn tone(dice: &mut Dice, mood: i64) -> Tone {
    match dice.between(0, 1_000) - mood {
        ..450 => Tone::Positive,
        450..650 => Tone::Neutral,
        650..750 => Tone::Sarcastic,
        750..1_150 => Tone::Negative,
        _ => Tone::Toxic,
    }
}
