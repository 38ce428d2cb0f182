"""Runs the frozen lower layers once over every text and keeps the result on disk.

Training only changes layers above SPLIT, so hidden state SPLIT of each token, and the
pooled states of all layers, are all it ever needs to see.
"""

import hashlib
import os
import time
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from encoder import LAYERS, WIDTH, Encoder, base_sha256, pool, tokenizer

SPLIT = 5
TOKENS_PER_BATCH = 2048


def cache_dir() -> Path:
    """Scratch outside the repository: GROUNDSWELL_CACHE/train."""
    root = Path(os.environ.get("GROUNDSWELL_CACHE", Path.home() / ".cache" / "groundswell"))
    path = root / "train"
    path.mkdir(parents=True, exist_ok=True)
    return path


class Progress:
    """Prints share done and time left at most every ten seconds."""

    def __init__(self, what, total):
        self.what, self.total, self.done = what, total, 0
        self.start = self.printed = time.time()

    def add(self, amount, note=""):
        self.done += amount
        now = time.time()
        if now - self.printed > 10 or self.done >= self.total:
            left = (now - self.start) * (self.total - self.done) / self.done
            share = self.done / self.total
            print(f"  {self.what}: {share:4.0%}, {left:4.0f} s left {note}", flush=True)
            self.printed = now


def batches(lengths, limit, rng=None):
    """Index batches of similar length with at most `limit` padded tokens each.

    With `rng`, texts of nearly equal length change places and batches come in random order.
    """
    noise = rng.uniform(0, 2, len(lengths)) if rng else 0
    batch, result = [], []
    for index in np.argsort(lengths + noise, kind="stable"):
        if batch and (len(batch) + 1) * max(lengths[index], lengths[batch].max()) > limit:
            result.append(np.array(batch))
            batch = []
        batch.append(index)
    result.append(np.array(batch))
    if rng:
        rng.shuffle(result)
    return result


def pad_ids(encodings, device):
    """(ids, mask) of a batch, padded on the right."""
    length = max(len(ids) for ids in encodings)
    ids = torch.zeros(len(encodings), length, dtype=torch.long)
    mask = torch.zeros(len(encodings), length, dtype=torch.bool)
    for row, tokens in enumerate(encodings):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = True
    return ids.to(device), mask.to(device)


class Activations:
    """Cached states: `tokens` (state SPLIT, flat, by part), `pooled` [N, 7, 384]."""

    def __init__(self, folders, device):
        self.device = device
        self.tokens = [np.load(folder / "tokens.npy", mmap_mode="r") for folder in folders]
        self.offsets = [np.load(folder / "offsets.npy") for folder in folders]
        pooled = [np.load(folder / "pooled.npy") for folder in folders]
        self.pooled = torch.from_numpy(np.concatenate(pooled))
        self.lengths = np.concatenate([np.diff(offsets) for offsets in self.offsets])
        self.starts = np.cumsum([0] + [len(part) for part in pooled])

    def _tokens_of(self, index):
        """State SPLIT of the tokens of one text."""
        part = np.searchsorted(self.starts, index, side="right") - 1
        start, end = self.offsets[part][index - self.starts[part] :][:2]
        return self.tokens[part][start:end]

    def states(self, index):
        """(hidden state SPLIT, mask) of a batch, padded on the right."""
        lengths = self.lengths[index]
        x = np.zeros((len(index), lengths.max(), WIDTH), dtype=np.float16)
        for row, i in enumerate(index):
            x[row, : lengths[row]] = self._tokens_of(i)
        mask = np.arange(lengths.max()) < lengths[:, None]
        return torch.from_numpy(x).to(self.device).float(), torch.from_numpy(mask).to(self.device)


def _compute(texts, folder, device):
    """Fills `folder`, longest-first so that memory trouble shows at once."""
    encodings = [encoding.ids for encoding in tokenizer().encode_batch(texts)]
    lengths = np.array([len(ids) for ids in encodings])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.lib.format.open_memmap(
        folder / "tokens.npy", "w+", np.float16, (int(offsets[-1]), WIDTH)
    )
    pooled = np.zeros((len(texts), LAYERS + 1, WIDTH), dtype=np.float16)
    model = Encoder().eval().to(device)
    progress = Progress("encoding (tokens)", int(offsets[-1]))
    for index in reversed(batches(lengths, TOKENS_PER_BATCH)):
        ids, mask = pad_ids([encodings[i] for i in index], device)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            hidden = model.hidden(ids, mask)
        pooled[index] = torch.stack([pool(x, mask) for x in hidden], 1).cpu().numpy()
        states = hidden[SPLIT].cpu().to(torch.float16).numpy()
        for row, i in enumerate(index):
            tokens[offsets[i] : offsets[i + 1]] = states[row, : lengths[i]]
        progress.add(int(lengths[index].sum()))
    tokens.flush()
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "pooled.npy", pooled)


def _cached(texts, device):
    """The folder of these texts' activations, computed first if need be."""
    parts = [base_sha256("model.safetensors"), str(SPLIT), *texts]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = cache_dir() / f"activations-{digest}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        partial.mkdir(exist_ok=True)
        _compute(texts, partial, device)
        partial.rename(folder)
    return folder


def activations(rows, device) -> Activations:
    """The cached activations of rows, kept by source so that a new source costs only itself."""
    by_source = groupby(rows, attrgetter("source"))
    texts = [[row.text for row in group] for _, group in by_source]
    return Activations([_cached(part, device) for part in texts], device)
