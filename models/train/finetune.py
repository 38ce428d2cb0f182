"""Trains the heads on frozen features, then heads and top layers together.

Heads first: the encoder then starts from useful gradients instead of being bent by random
heads. Of the encoder only TRAINABLE changes, which is what fits into a small delta file.
"""

import copy

import numpy as np
import torch

from activations import SPLIT, Progress, batches
from data import LABELS, TASKS
from encoder import LAYERS, Encoder, pool
from heads import FEATURE_LAYERS, Heads, features_of
from metrics import evaluate, loss

TRAINABLE = "encoder.layer.5."  # the layer after hidden state 5, whole
HEAD_EPOCHS, HEAD_BATCH, HEAD_RATE = 6, 256, 1e-3
EPOCHS, ENCODER_RATE, TUNED_HEAD_RATE = 2, 1.5e-4, 3e-4
# A batch holds texts of one length, hence mostly of one task; a step sums several of them.
BATCH_TOKENS, STEP_BATCHES = 2048, 5
DROPOUT, DECAY, CLIP = 0.1, 0.01, 1.0


class Labels:
    """Targets, tasks and weights of rows as tensors."""

    def __init__(self, rows, weights, device):
        width = max(map(len, LABELS.values()))
        padded = [row.target + (0.0,) * (width - len(row.target)) for row in rows]
        self.target = torch.tensor(padded, device=device)
        self.task = torch.tensor([TASKS.index(row.task) for row in rows], device=device)
        self.weight = torch.tensor(weights, device=device)

    def of(self, task):
        """(indices, targets) of the rows of one task."""
        index = (self.task == TASKS.index(task)).nonzero()[:, 0]
        return index, self.target[index, : len(LABELS[task])]


def batch_loss(heads, features, labels, index):
    """Weighted mean loss of a batch that mixes tasks; each row counts for its own task only."""
    index = torch.as_tensor(index, device=labels.task.device)
    total = 0.0
    for number, task in enumerate(TASKS):
        here = (labels.task[index] == number).nonzero()[:, 0]
        if len(here):
            rows = index[here]
            target = labels.target[rows, : len(LABELS[task])]
            total += (loss(heads[task](features[here]), target) * labels.weight[rows]).sum()
    return total / len(index)


def one_cycle(optimizer, steps):
    """Linear warm-up over the first tenth, then cosine down to zero, at each group's own rate."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=0.1)


@torch.no_grad()
def validate(heads, features, labels):
    """Macro F1 (sentiment: macro recall) of every task, and their mean."""
    heads.eval()
    scores = {}
    for task in TASKS:
        index, target = labels.of(task)
        figures = evaluate(heads[task](features[index]).float(), target)
        scores[task] = figures["macro_recall" if task == "sentiment" else "macro_f1"]
    scores["mean"] = sum(scores.values()) / len(TASKS)
    return scores


def show(scores):
    return " ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())


def train_heads(frozen, labels, frozen_val, labels_val, rng):
    """Heads on the frozen encoder: the starting point, and the baseline to beat."""
    heads = Heads(frozen).to(labels.task.device)
    optimizer = torch.optim.AdamW(heads.parameters(), HEAD_RATE, weight_decay=DECAY)
    per_epoch = -(-len(frozen) // HEAD_BATCH)
    schedule = one_cycle(optimizer, HEAD_EPOCHS * per_epoch)
    for epoch in range(HEAD_EPOCHS):
        heads.train()
        for index in np.array_split(rng.permutation(len(frozen)), per_epoch):
            optimizer.zero_grad()
            batch_loss(heads, frozen[index], labels, index).backward()
            optimizer.step()
            schedule.step()
        scores = validate(heads, frozen_val, labels_val)
        print(f"heads, epoch {epoch + 1}: {show(scores)}", flush=True)
    return heads


class Tuner:
    """The encoder above SPLIT with its heads, fed from cached activations."""

    def __init__(self, heads, device):
        self.device = device
        self.heads = heads
        self.encoder = Encoder().to(device)
        self.chosen = {
            name: tensor
            for name, tensor in self.encoder.named_parameters()
            if name.startswith(TRAINABLE)
        }
        self.encoder.requires_grad_(False)
        for tensor in self.chosen.values():
            tensor.requires_grad_(True)

    def features(self, cache, index):
        """Feature vectors of a batch, from its cached lower states."""
        x, mask = cache.states(index)
        with torch.autocast(self.device, torch.bfloat16):
            upper = self.encoder.resume(x, mask, SPLIT, DROPOUT)
        fresh = dict(zip(range(SPLIT + 1, LAYERS + 1), upper))
        below = cache.pooled[index].to(self.device)
        parts = [
            pool(fresh[layer], mask) if layer in fresh else below[:, layer].float()
            for layer in FEATURE_LAYERS
        ]
        return torch.cat(parts, 1)

    @torch.no_grad()
    def all_features(self, cache):
        """Feature vectors of every cached text."""
        self.encoder.eval()
        result = torch.zeros(len(cache.lengths), len(FEATURE_LAYERS) * cache.pooled.shape[2])
        for index in batches(cache.lengths, BATCH_TOKENS):
            result[index] = self.features(cache, index).cpu()
        return result.to(self.device)

    def snapshot(self):
        """Copies of the trained tensors and heads."""
        delta = {name: tensor.detach().clone() for name, tensor in self.chosen.items()}
        return delta, copy.deepcopy(self.heads)

    def epoch(self, cache, labels, plan, optimizer, schedule):
        """One pass over the planned batches."""
        self.encoder.train()
        self.heads.train()
        progress, smooth = Progress("tuning (texts)", sum(map(len, plan))), None
        parameters = [*self.chosen.values(), *self.heads.parameters()]
        for start in range(0, len(plan), STEP_BATCHES):
            group = plan[start : start + STEP_BATCHES]
            rows, total = sum(map(len, group)), 0.0
            optimizer.zero_grad()
            for index in group:
                value = batch_loss(self.heads, self.features(cache, index), labels, index)
                (value * (len(index) / rows)).backward()
                total += value.item() * len(index) / rows
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            schedule.step()
            smooth = total if smooth is None else 0.95 * smooth + 0.05 * total
            progress.add(rows, f"loss {smooth:.3f}")


def tune(heads, cache, labels, cache_val, labels_val, rng, device):
    """Tunes TRAINABLE and the heads; returns the delta and heads of the best epoch."""
    tuner = Tuner(heads, device)
    groups = [
        {"params": list(tuner.chosen.values()), "lr": ENCODER_RATE},
        {"params": list(heads.parameters()), "lr": TUNED_HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    plans = [batches(cache.lengths, BATCH_TOKENS, rng) for _ in range(EPOCHS)]
    schedule = one_cycle(optimizer, sum(-(-len(plan) // STEP_BATCHES) for plan in plans))
    best, kept = 0.0, None
    for number, plan in enumerate(plans):
        tuner.epoch(cache, labels, plan, optimizer, schedule)
        scores = validate(heads, tuner.all_features(cache_val), labels_val)
        print(f"tuned, epoch {number + 1}: {show(scores)}", flush=True)
        if scores["mean"] > best:
            best, kept = scores["mean"], tuner.snapshot()
    return kept


def fit(cache, labels, cache_val, labels_val, seed, device):
    """Both stages; returns (delta, heads)."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    frozen, frozen_val = (features_of(c.pooled).to(device) for c in (cache, cache_val))
    heads = train_heads(frozen, labels, frozen_val, labels_val, rng)
    return tune(heads, cache, labels, cache_val, labels_val, rng, device)
