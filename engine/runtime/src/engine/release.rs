//! Release: a recorded tick, split by worker, on its way into the graph.

use crossbeam_channel::{Receiver, Sender, bounded};
use groundswell_core::id::{Collision, Names, PostKey, TextKey};
use groundswell_core::keywords::about;
use groundswell_core::number::NumberSpec;
use groundswell_core::record::{Record, TickBatch};
use groundswell_core::spec::ViewSpec;
use groundswell_core::text::Texts;
use groundswell_core::time::Tick;
use groundswell_operators::event::{Control, Event, Fact, PostEvent, TieEvent};
use groundswell_operators::graph::Plan;
use groundswell_operators::tags::{Sought, said};
use std::io;

/// A post event on its way to a worker of another process, with the text it names, and its address and title; empty where it
/// names none.
pub(crate) type Texted = (PostKey, PostEvent, [Box<str>; 2]);

/// Events of one tick for one worker.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) tick: Tick,
    pub(crate) posts: Vec<(PostKey, PostEvent)>,
    /// Events of workers in other processes that name a text which is not there yet.
    pub(crate) texted: Vec<Texted>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) ties: Vec<TieEvent>,
    pub(crate) control: Vec<Control>,
    /// Whether more batches of the same tick follow (pieces of a snapshot).
    pub(crate) more: bool,
}

/// What a batch is to its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of it.
    Whole,
    /// All of it, and the graph is to say which of its records change nothing.
    Watched,
    /// More batches of the same tick follow.
    Piece,
}

/// What else than views is asked of a tick's records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Ids of posts are kept beside their texts.
    pub(crate) ids: bool,
    /// So are addresses and titles.
    pub(crate) about: bool,
    /// Ties go into the graph.
    pub(crate) ties: bool,
    /// Of texts these are made known.
    pub(crate) sought: Sought,
}

/// Buffers of post events on their way back from the workers: a tick's events are megabytes, and memory that is freed by
/// another thread than the one that made it is the slowest kind.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    empty: Receiver<Vec<(PostKey, PostEvent)>>,
    back: Sender<Vec<(PostKey, PostEvent)>>,
}

impl Buffers {
    /// For `workers` workers with a few ticks each on the way.
    pub(crate) fn new(workers: usize) -> Self {
        let (back, empty) = bounded(workers * 2);
        Buffers { empty, back }
    }

    /// An empty buffer, used before if there is one.
    pub(crate) fn take(&self) -> Vec<(PostKey, PostEvent)> {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Gives a buffer back; one of a restored snapshot is too large to keep.
    pub(crate) fn give(&self, mut buffer: Vec<(PostKey, PostEvent)>) {
        buffer.clear();
        if buffer.capacity() <= LARGEST {
            // Full: this one is dropped.
            let _ = self.back.try_send(buffer);
        }
    }
}

/// Events a buffer may have room for and still be kept.
const LARGEST: usize = 1 << 17;

/// Why a recorded tick cannot be released.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseError {
    #[error("cannot keep texts: {0}")]
    Texts(#[from] io::Error),
    #[error(transparent)]
    Names(#[from] Collision),
}

/// Makes the words known that stand in rows without having come in a record.
pub(crate) fn know(plan: &Plan, names: &Names) -> Result<(), Collision> {
    let words = plan.views.iter().flat_map(ViewSpec::words);
    words.into_iter().try_for_each(|word| names.intern(&word).map(|_| ()))
}

/// Keeps the strings and splits the events over the workers of this process, each with a buffer; control events go to the
/// first worker, whose graph broadcasts them. Numbers are read where some are declared. Of `peers` workers in all, those of other processes get theirs by exchange.
pub(crate) fn split(
    batch: &TickBatch,
    share: Share,
    buffers: Vec<Vec<(PostKey, PostEvent)>>,
    peers: usize,
    (names, declared): (&Names, &[NumberSpec]),
    texts: &Texts,
    asked: Asked,
) -> Result<Vec<Released>, ReleaseError> {
    let workers = buffers.len();
    let mut out: Vec<Released> = buffers
        .into_iter()
        .map(|posts| Released {
            tick: batch.tick,
            posts,
            ..Released::default()
        })
        .collect();
    let expected = batch.records.len() / workers + 1;
    out.iter_mut().for_each(|r| r.posts.reserve(expected));
    let mut fresh = Vec::with_capacity(batch.records.len());
    let mut next = 0;
    let mut abouts = Vec::new();
    for envelope in &batch.records {
        if asked.ties
            && let Some(passed_on) = TieEvent::passed_on(envelope)
        {
            out[0].ties.push(passed_on);
        }
        match Event::of(envelope, names)? {
            Event::Post(key, mut event) => {
                let worker = worker_of(key.route(), peers);
                let slot = &mut out[worker % workers];
                let (mut text, mut told) = (None, None);
                if let Record::Post(post) = &envelope.record {
                    if asked.sought.any() {
                        let words = said(&post.text, asked.sought).into_iter();
                        words
                            .map(|(_, word)| names.intern(&word))
                            .collect::<Result<Vec<_>, _>>()?;
                    }
                    if let Some(text_key) = event.text() {
                        fresh.push((text_key, post.created_at, post.text.as_str()));
                        text = Some(post.text.as_str());
                    }
                    if asked.about
                        && let Some(about) = about(post.extra.as_deref())
                    {
                        let about_key = TextKey::of(about.as_bytes());
                        event.set_about(about_key);
                        told = (worker >= workers).then(|| Box::from(&*about));
                        abouts.push((about_key, post.created_at, about));
                    }
                    if asked.ids {
                        // A post's key is the digest of its id, so the id is stored like a text.
                        fresh.push((TextKey(key.0), post.created_at, post.id.as_str()));
                    }
                    // Shown beside the post, whether it ever comes or not.
                    if let Some(parent) = post
                        .parent
                        .as_deref()
                        .filter(|id| asked.ties && asked.ids && !id.is_empty())
                    {
                        let parent_key = PostKey::of(parent.as_bytes());
                        fresh.push((TextKey(parent_key.0), post.created_at, parent));
                    }
                }
                match text.filter(|_| worker >= workers).map(Box::from) {
                    None if told.is_none() => slot.posts.push((key, event)),
                    text => slot
                        .texted
                        .push((key, event, [text.unwrap_or_default(), told.unwrap_or_default()])),
                }
            }
            Event::Fact(fact) => out[worker_of(fact.text.route(), peers) % workers].facts.push(fact),
            // The graph exchanges them; only decoding them is to be shared.
            Event::Tie(tie) if asked.ties => {
                next = (next + 1) % workers;
                out[next].ties.push(tie);
            }
            Event::Tie(_) => {}
            Event::Control(control) => out[0].control.push(control),
            Event::Nothing => {}
        }
        if !declared.is_empty() {
            match Event::numbers(envelope, declared, names)? {
                Event::Post(key, numbers) => out[worker_of(key.route(), peers) % workers].posts.push((key, numbers)),
                Event::Control(control) => out[0].control.push(control),
                Event::Fact(_) | Event::Tie(_) | Event::Nothing => {}
            }
        }
    }
    let abouts = abouts.iter().map(|(key, at, about)| (*key, *at, &**about));
    texts.put(fresh.iter().copied().chain(abouts))?;
    out[0].control.push(Control::Clock(batch.clock));
    if share == Share::Watched {
        out[0].control.push(Control::Watched);
    }
    out.iter_mut().for_each(|r| r.more = share == Share::Piece);
    Ok(out)
}

/// The worker a route leads to, as timely's exchange has it; those of the leader are the first.
#[allow(clippy::cast_possible_truncation)] // a remainder below `workers`
fn worker_of(route: u64, workers: usize) -> usize {
    (route % workers as u64) as usize
}
