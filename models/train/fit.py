"""Trains the heads of all tasks on the features of the frozen encoder."""

import numpy as np
import torch

from data import LABELS, TASKS
from heads import Heads
from metrics import evaluate, loss

EPOCHS, BATCH, RATE, DECAY = 6, 256, 1e-3, 0.01


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
    total = 0.0
    for number, task in enumerate(TASKS):
        here = (labels.task[index] == number).nonzero()[:, 0]
        if len(here):
            rows = index[here]
            target = labels.target[rows, : len(LABELS[task])]
            total += (loss(heads[task](features[here]), target) * labels.weight[rows]).sum()
    return total / len(index)


@torch.no_grad()
def validate(heads, features, labels):
    """Macro F1 (sentiment: macro recall) of every task, and their mean, in words."""
    heads.eval()
    scores = {}
    for task in TASKS:
        index, target = labels.of(task)
        figures = evaluate(heads[task](features[index]), target)
        scores[task] = figures["macro_recall" if task == "sentiment" else "macro_f1"]
    scores["mean"] = sum(scores.values()) / len(TASKS)
    return " ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())


def fit(features, labels, features_val, labels_val, seed):
    """The trained heads: AdamW at one cycle, a fixed number of epochs."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    heads = Heads(features).to(features.device)
    optimizer = torch.optim.AdamW(heads.parameters(), weight_decay=DECAY)
    per_epoch = -(-len(features) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * per_epoch, pct_start=0.1
    )
    for epoch in range(EPOCHS):
        heads.train()
        for part in np.array_split(rng.permutation(len(features)), per_epoch):
            index = torch.as_tensor(part, device=features.device)
            optimizer.zero_grad()
            batch_loss(heads, features[index], labels, index).backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {validate(heads, features_val, labels_val)}", flush=True)
    return heads
