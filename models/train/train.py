"""Trains and publishes the social model: data, heads, tuning, calibration, bundle, card.

usage: train.py [--seed N] [--threads N] [--out DIR]
"""

import argparse
import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

import bundle
import card
import extra
import fixtures
from adapter import merge
from data import LABELS, REPO, TASKS, load, row_weights
from encoder import Encoder, base_weights
from features import encode, features
from fit import Labels, fit
from heads import FEATURE_LAYERS
from metrics import fit_temperature
from polish import polish, sample
from tune import tune


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch CPU threads")
    parser.add_argument("--out", type=Path, default=REPO / "models" / "social")
    return parser.parse_args()


def pick_device():
    """cuda where it works, else cpu; a CPU-only build of the CUDA wheel warns, which is no news."""
    warnings.filterwarnings("ignore", "CUDA initialization")
    return "cuda" if torch.cuda.is_available() else "cpu"


def temperatures(logits, rows):
    """One temperature per task, fitted on its validation rows that have a single label."""
    result = {}
    for task in TASKS:
        index = [i for i, row in enumerate(rows) if row.task == task and max(row.target) == 1]
        target = torch.tensor([rows[i].target for i in index])
        result[task] = fit_temperature(logits[task][index], target)
    return result


def train(train_rows, val_rows, seed, device):
    """(tensors of the delta, folded head tensors)."""
    sources = np.array([row.source for row in train_rows])
    labels = Labels(train_rows, row_weights(train_rows), device)
    labels_val = Labels(val_rows, row_weights(val_rows), device)
    x_val, x = features(val_rows, device), features(train_rows, device)
    heads = fit(x, labels, sources, x_val, labels_val, seed)
    adapter = tune(heads, [row.text for row in train_rows], labels, sources, seed, device)
    polished(heads, adapter, train_rows, seed, device)
    return adapter.tensors(), heads.fold()


def polished(heads, adapter, train_rows, seed, device):
    """Trains one of the heads once more, in place, on what the tuned encoder makes of some texts."""
    delta = {name: tensor.cpu().half() for name, tensor in adapter.tensors().items()}
    encoder = Encoder(merge(base_weights(), delta)).eval().to(device)
    mood = extra.mood()
    with torch.autocast(device, torch.bfloat16):
        x_posts, x_mood = (
            encode(encoder, [row.text for row in rows], FEATURE_LAYERS, "polishing").float()
            for rows in (sample(train_rows), mood)
        )
    polish(heads.cpu(), x_posts, x_mood, mood, seed)


def publish(folder, delta, heads, train_rows, val_rows, seed, device):
    """Writes the bundle, calibrates and measures it from its own files, writes the card."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle.write_tensors(folder / bundle.DELTA, delta)
    bundle.write_tensors(folder / bundle.HEADS, heads)
    bundle.write_manifest(folder, dict.fromkeys(TASKS, 1.0))
    logits = bundle.Bundle(folder, device).logits([row.text for row in val_rows])
    bundle.write_manifest(folder, temperatures(logits, val_rows))
    scorer = bundle.Bundle(folder, device)
    fixtures.write(folder, bundle.Bundle(folder))
    counts = Counter(row.source for row in train_rows)
    figures = card.write(folder, scorer, logits, val_rows, counts, seed, device)
    for task, groups in figures.items():
        for name, f in groups.items():
            print(f"{task:9} {name:26} " + " ".join(f"{k} {v}" for k, v in f.items()))


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    device = pick_device()
    print(f"device {device}, {args.threads} threads, tasks {LABELS}", flush=True)
    train_rows, val_rows = load()
    train_rows += extra.identity() + extra.background(train_rows)
    delta, heads = train(train_rows, val_rows, args.seed, device)
    publish(args.out, delta, heads, train_rows, val_rows, args.seed, device)


if __name__ == "__main__":
    main()
