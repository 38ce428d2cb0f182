"""Tunes encoder and heads together, from heads that already fit the frozen encoder.

Heads first: the encoder then starts from useful gradients instead of being bent by random heads.
"""

import numpy as np
import torch

from adapter import Adapter
from encoder import Encoder, pool, tokenizer
from features import Progress
from fit import batch_loss
from heads import FEATURE_LAYERS
from plan import draw, steps

ADAPTER_RATE, WHOLE_RATE, HEAD_RATE = 2.5e-4, 1e-4, 2e-4
WARM_STEPS, FALL, WEIGHT_DECAY, CLIP = 50, 0.5, 0.01, 1.0
STEPS = 970  # about 100,000 texts of the plan
TOKEN_DROP, UNKNOWN = 0.08, 100  # the share of tokens hidden as [UNK]


def rate(step, total):
    """Share of the peak rate: up over WARM_STEPS, flat, down over the last FALL of the steps."""
    return min(1.0, (step + 1) / WARM_STEPS, (total - step) / (FALL * total))


def token_ids(encodings, index, rng, device):
    """Ids of texts of one length, some of them hidden so that no single word carries a label."""
    ids = np.array([encodings[i] for i in index])
    hidden = rng.random(ids.shape) < TOKEN_DROP
    hidden[:, [0, -1]] = False
    return torch.from_numpy(np.where(hidden, UNKNOWN, ids)).to(device)


def optimizer_of(adapter, heads):
    groups = [
        ([*adapter.a.parameters(), *adapter.b.parameters()], ADAPTER_RATE),
        (adapter.whole.parameters(), WHOLE_RATE),
        (heads.parameters(), HEAD_RATE),
    ]
    groups = [{"params": list(parameters), "lr": rate} for parameters, rate in groups]
    return torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))


def tune(heads, texts, labels, sources, seed, device):
    """The adapter, trained in place together with `heads`."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    encodings = [encoding.ids for encoding in tokenizer().encode_batch(texts)]
    lengths = np.array([len(ids) for ids in encodings])
    plan = steps(lengths, draw(sources, rng), rng)[:STEPS]
    adapter = Adapter(Encoder().to(device))
    encoder = Encoder().to(device).to(torch.bfloat16).train()
    adapter.mark(encoder)
    optimizer = optimizer_of(adapter, heads)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, len(plan)))
    parameters = [*adapter.parameters(), *heads.parameters()]
    tokens = [sum(int(lengths[index].sum()) for index in batches) for batches in plan]
    progress, smooth = Progress("tuning (tokens)", sum(tokens)), None
    heads.train()
    for batches, size in zip(plan, tokens):
        count, total = sum(map(len, batches)), 0.0
        adapter.push(encoder)
        optimizer.zero_grad()
        for index in batches:
            hidden = encoder.hidden(token_ids(encodings, index, rng, device))
            features = torch.cat([pool(hidden[layer]) for layer in FEATURE_LAYERS], 1)
            here = torch.as_tensor(index, device=device)
            value = batch_loss(heads, features, labels, here) / count
            value.backward()
            total += value.item()
        adapter.pull(encoder)
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        schedule.step()
        smooth = total if smooth is None else 0.98 * smooth + 0.02 * total
        progress.add(size, f"loss {smooth:.3f}")
    return adapter
