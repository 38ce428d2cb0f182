"""The head of sentiment once more, on the tuned encoder, which stays.

Against a fault that tuning made worse: merely naming a group read as bad news. Only a sample of the
posts is needed, since the head starts from where it is: on it sentiment has to answer what it
answered before, and on the rows of `extra.mood` what is true.
"""

import numpy as np
import torch

from data import LABELS, SOURCES
from metrics import loss, probabilities

SAMPLE = 8  # every so manieth post of the sentiment set
EPOCHS, BATCH, RATE, DECAY = 20, 256, 5e-5, 0.01
# What a row of ours weighs, where a post weighs 1; praise more, or the head grows shy of it.
MOOD, PRAISE = 0.1, 0.3


def sample(rows):
    """The posts that keep their answers."""
    return [row for row in rows if row.source == "sentiment"][::SAMPLE]


def polish(heads, x_posts, x_mood, mood, seed):
    """Trains the head in place. The two x are the features of the posts and of the rows `mood`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = torch.cat([x_posts, x_mood])
    sources = torch.full((len(x),), list(SOURCES).index("sentiment"))
    heads.eval()
    with torch.no_grad():
        kept = probabilities(heads("sentiment", x_posts, sources[: len(x_posts)]))
    target = torch.cat([kept, torch.tensor([row.target for row in mood])])
    weight = torch.ones(len(x))
    praise = target[len(x_posts) :, LABELS["sentiment"].index("positive")] == 1
    weight[len(x_posts) :] = torch.where(praise, PRAISE, MOOD)
    optimizer = torch.optim.AdamW(heads.tasks["sentiment"].parameters(), weight_decay=DECAY)
    batches = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * batches, pct_start=0.1
    )
    for _ in range(EPOCHS):
        heads.train()
        for part in np.array_split(rng.permutation(len(x)), batches):
            optimizer.zero_grad()
            logits = heads("sentiment", x[part], sources[part])
            (loss(logits, target[part]) * weight[part]).mean().backward()
            optimizer.step()
            schedule.step()
    heads.eval()
