"""Runs the frozen encoder once over every text and keeps the pooled features on disk."""

import hashlib
import os
import time
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from encoder import Encoder, base_sha256, pool, tokenizer
from heads import FEATURE_LAYERS

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


def batches(lengths):
    """Index batches of similar length, longest first so that memory trouble shows at once."""
    batch, result = [], []
    for index in np.argsort(-lengths, kind="stable"):
        if batch and (len(batch) + 1) * lengths[batch[0]] > TOKENS_PER_BATCH:
            result.append(np.array(batch))
            batch = []
        batch.append(index)
    result.append(np.array(batch))
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


@torch.no_grad()
def encode(encoder, texts, layers, what):
    """Features [N, len(layers) * 384] of texts: masked means of hidden states, in fp32."""
    device = encoder.embeddings.word_embeddings.weight.device.type
    encodings = [encoding.ids for encoding in tokenizer().encode_batch(texts)]
    lengths = np.array([len(ids) for ids in encodings])
    parts, order, progress = [], [], Progress(f"{what} (tokens)", int(lengths.sum()))
    for index in batches(lengths):
        ids, mask = pad_ids([encodings[i] for i in index], device)
        hidden = encoder.hidden(ids, mask)
        parts.append(torch.cat([pool(hidden[layer], mask) for layer in layers], 1).cpu())
        order.append(index)
        progress.add(int(lengths[index].sum()))
    return torch.cat(parts)[np.argsort(np.concatenate(order))]


def _cached(source, texts, device):
    """Features of one source's texts, in bf16 arithmetic, computed once."""
    parts = [base_sha256("model.safetensors"), str(FEATURE_LAYERS), *texts]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = cache_dir() / f"features-{digest}.npy"
    if not path.exists():
        encoder = Encoder().eval().to(device)
        with torch.autocast(device, torch.bfloat16):
            features = encode(encoder, texts, FEATURE_LAYERS, source)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, features.numpy().astype(np.float16))
        partial.rename(path)
    return torch.from_numpy(np.load(path)).float()


def features(rows, device):
    """Features of rows, kept by source so that a new source costs only itself."""
    parts = [
        _cached(source, [row.text for row in group], device)
        for source, group in groupby(rows, attrgetter("source"))
    ]
    return torch.cat(parts).to(device)
