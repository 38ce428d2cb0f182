//! Encoders and heads together: packed tokens in, logits out. Belongs to one thread at a time; a clone shares the weights.
//!
//! On a CPU a batch goes through the encoder in runs of a few texts: what lies between two products then stays in the
//! cores' own caches, which makes more than the products lose by being smaller. Several threads work on runs of their own,
//! and not together on each operation: they never wait for each other before the end.

use super::encoder::Encoder;
use super::heads::{Features, Head, pooled};
use super::layout::{Layout, Sharing};
use super::linear::Precision;
use super::tokens::{Packed, Run};
use super::weights::Weights;
use crate::bundle::{Bundle, BundleError};
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::{Device, TchError};

/// A network ready to run.
#[derive(Clone)]
pub(super) struct Network {
    branches: Vec<Branch>,
    device: Device,
}

/// Most tokens in a run: at 1536 floats for each between the products, they fill a mebibyte and a half.
const RUN: usize = 256;
/// Least tokens that a run is cut to so that every thread has one: below, the products are too small to be fast.
const LEAST: usize = 64;

/// One encoder with its heads.
#[derive(Clone)]
struct Branch {
    encoder: Encoder,
    /// The hidden states that are pooled.
    pooled: Vec<usize>,
    last: usize,
    sharing: Sharing,
    heads: Vec<(&'static str, Head)>,
}

/// The logits of a batch, by task.
#[derive(Default)]
pub(super) struct BatchLogits {
    tasks: Vec<TaskLogits>,
}

struct TaskLogits {
    task: &'static str,
    outputs: usize,
    all: Vec<f32>,
    /// For each text its place among the logits.
    places: Vec<usize>,
}

impl Network {
    /// The network of a bundle; `probes` has the texts of [`super::probe`] as each encoder's tokenizer sees them.
    pub(super) fn of(
        bundle: &Bundle,
        probes: &[Packed],
        device: Device,
        precision: Precision,
    ) -> Result<Self, BundleError> {
        let file = bundle.head_file.as_ref().map(|file| Weights::in_file(file, device));
        let file = file.transpose()?;
        let branches = bundle
            .encoders
            .iter()
            .zip(probes)
            .enumerate()
            .map(|(n, (encoder, probe))| {
                let weights = Weights::of(encoder, device)?;
                let heads = bundle.heads.iter().filter(|head| head.encoder == n);
                let heads = heads.map(|head| Ok((head.task, Head::of(head, encoder, &weights, file.as_ref())?)));
                let heads = heads.collect::<Result<Vec<_>, BundleError>>()?;
                let pooled = match &encoder.features {
                    Some(features) if heads.iter().any(|(_, head)| head.wants_pooled()) => features.layers.clone(),
                    _ => Vec::new(),
                };
                let deepest = pooled.iter().copied().max().unwrap_or(0);
                let last = if heads.iter().all(|(_, head)| head.wants_pooled()) {
                    deepest
                } else {
                    encoder.config.layers
                };
                Ok(Branch {
                    encoder: Encoder::of(&weights, &encoder.config, &encoder.names, last, precision, probe)?,
                    pooled,
                    last,
                    sharing: if precision == Precision::Int8 {
                        Sharing::Equal
                    } else {
                        Sharing::Like
                    },
                    heads,
                })
            });
        Ok(Network {
            branches: branches.collect::<Result<_, BundleError>>()?,
            device,
        })
    }

    /// How many tokens go through at once where `threads` share `tokens`.
    fn run(&self, tokens: usize, threads: usize) -> usize {
        if self.device.is_cuda() {
            return usize::MAX;
        }
        RUN.min(tokens.div_ceil(threads.max(1)).max(LEAST))
    }
}

/// One forward pass by a team of networks that are clones of each other, each on a thread of its own; `packed` has the
/// texts as each encoder's tokenizer sees them. An empty team gives no logits.
pub(super) fn logits(team: &mut [Network], packed: &[Packed]) -> Result<BatchLogits, TchError> {
    let _guard = tch::no_grad_guard();
    let mut logits = BatchLogits::default();
    for (n, packed) in packed.iter().enumerate() {
        let features = features(team, n, packed)?;
        for (task, head) in team
            .first()
            .and_then(|network| network.branches.get(n))
            .iter()
            .flat_map(|b| &b.heads)
        {
            logits.tasks.push(TaskLogits {
                task,
                outputs: head.outputs(),
                all: head.logits(&features, packed.lengths.len())?,
                places: packed.places.clone(),
            });
        }
    }
    Ok(logits)
}

/// What the heads of the n-th encoder look at.
fn features(team: &mut [Network], n: usize, packed: &Packed) -> Result<Features, TchError> {
    let size = team
        .first()
        .map_or(RUN, |network| network.run(packed.ids.len(), team.len()));
    let runs: Vec<Run<'_>> = packed.runs(size).collect();
    let next = AtomicUsize::new(0);
    // Whoever is free takes the next run; the place it has in the batch comes along.
    let work = |network: &Network| {
        let mut done = Vec::new();
        while let Some((place, run)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, runs.get(n)?)))
        {
            let Some(branch) = network.branches.get(n) else { break };
            done.push((place, branch.features(run, network.device)?));
        }
        Ok::<_, TchError>(done)
    };
    let mut all = Vec::with_capacity(runs.len());
    if let Some((own, helpers)) = team.split_first_mut() {
        std::thread::scope(|scope| {
            let helpers = helpers.iter_mut().take(runs.len().saturating_sub(1)).map(|network| {
                let work = &work;
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    let _guard = tch::no_grad_guard();
                    work(network)
                })
            });
            // All are started before the first is waited for.
            let helpers: Vec<_> = helpers.collect();
            all.extend(work(own)?);
            for helper in helpers {
                all.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, TchError>(())
        })?;
    }
    all.sort_by_key(|(place, _)| *place);
    Features::joined(all.into_iter().map(|(_, features)| features).collect())
}

impl Branch {
    fn features(&self, run: &Run<'_>, device: Device) -> Result<Features, TchError> {
        let layout = Layout::of(run.lengths, self.sharing, device)?;
        let wants_first = self.heads.iter().any(|(_, head)| !head.wants_pooled());
        let wanted: Vec<usize> = self.pooled.iter().copied().chain([self.last]).collect();
        let mut states = self.encoder.hidden(run, &layout, &wanted)?;
        let last = states.pop().filter(|_| wants_first);
        Ok(Features {
            pooled: if states.is_empty() {
                None
            } else {
                Some(pooled(&states, &layout)?)
            },
            first: last.map(|state| state.f_index_select(0, &layout.firsts)).transpose()?,
        })
    }
}

impl BatchLogits {
    /// The logits of the n-th text for a task; empty if there is no such task.
    pub(super) fn of(&self, task: &str, n: usize) -> &[f32] {
        let found = self.tasks.iter().find(|logits| logits.task == task);
        found
            .and_then(|logits| {
                let (place, width) = (*logits.places.get(n)?, logits.outputs);
                logits.all.get(place * width..(place + 1) * width)
            })
            .unwrap_or(&[])
    }
}
