"""Trains the heads of all tasks on the features of the frozen encoder: where tuning starts."""

import numpy as np
import torch

from data import LABELS, OFFSET_OF, SOURCES, TASKS
from heads import Heads
from metrics import evaluate, loss
from plan import draw

EPOCHS, BATCH, RATE, DECAY = 4, 256, 1e-3, 0.01


class Labels:
    """Targets, tasks, sources and weights of rows as tensors."""

    def __init__(self, rows, weights, device):
        width = max(map(len, LABELS.values()))
        padded = [row.target + (0.0,) * (width - len(row.target)) for row in rows]
        self.target = torch.tensor(padded, device=device)
        self.task = torch.tensor([TASKS.index(row.task) for row in rows], device=device)
        numbers = {name: number for number, name in enumerate(SOURCES)}
        offsets = [numbers[OFFSET_OF[row.source]] for row in rows]
        self.source = torch.tensor(offsets, device=device)
        self.weight = torch.tensor(weights, device=device)

    def of(self, task):
        """(indices, targets) of the rows of one task."""
        index = (self.task == TASKS.index(task)).nonzero()[:, 0]
        return index, self.target[index, : len(LABELS[task])]


def batch_loss(heads, features, labels, index):
    """Weighted sum of losses over a batch that mixes tasks; each row counts for its own only."""
    total = 0.0
    for number, task in enumerate(TASKS):
        here = (labels.task[index] == number).nonzero()[:, 0]
        if len(here):
            rows = index[here]
            target = labels.target[rows, : len(LABELS[task])]
            logits = heads(task, features[here], labels.source[rows])
            total += (loss(logits, target) * labels.weight[rows]).sum()
    return total


@torch.no_grad()
def validate(heads, features, labels):
    """Macro F1 (sentiment: macro recall) of every task, and their mean, in words."""
    heads.eval()
    scores = {}
    for task in TASKS:
        index, target = labels.of(task)
        figures = evaluate(heads(task, features[index], labels.source[index]), target)
        scores[task] = figures["macro_recall" if task == "sentiment" else "macro_f1"]
    scores["mean"] = sum(scores.values()) / len(TASKS)
    return " ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())


def fit(features, labels, sources, features_val, labels_val, seed):
    """The trained heads: AdamW at one cycle, a fixed number of epochs of the tuning's plan."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    heads = Heads(features).to(features.device)
    optimizer = torch.optim.AdamW(heads.parameters(), weight_decay=DECAY)
    epochs = [rng.permutation(draw(sources, rng)) for _ in range(EPOCHS)]
    parts = [np.array_split(rows, -(-len(rows) // BATCH)) for rows in epochs]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=sum(map(len, parts)), pct_start=0.1
    )
    for epoch in range(EPOCHS):
        heads.train()
        for part in parts[epoch]:
            index = torch.as_tensor(part, device=features.device)
            optimizer.zero_grad()
            (batch_loss(heads, features[index], labels, index) / len(index)).backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {validate(heads, features_val, labels_val)}", flush=True)
    return heads
