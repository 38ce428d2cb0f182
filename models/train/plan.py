"""Which training rows a tuning cycle sees, and in what batches.

The sets differ in size by a factor of 15, so each has a number of passes of its own. Batches
hold texts of exactly one length, so that nothing is padded; a step sums several of them, which
mixes lengths and, since lengths differ by source, tasks.
"""

import numpy as np

# Passes over each source in one cycle.
PASSES = {
    "sentiment": 0.7,
    "offensive": 1.5,
    "offensive_davidson": 0.35,
    "irony": 4.0,
    "sarcasm_isarcasm": 1.5,
    "emotion_goemotions_ekman": 0.5,
    "emotion": 4.0,
    "identity": 0.7,
    "background": 0.3,
}
BATCH_TOKENS, STEP_BATCHES = 1024, 3


def draw(sources, rng):
    """Row numbers of one cycle: whole passes, and a random part for the fraction."""
    drawn = []
    for source, count in PASSES.items():
        rows = np.flatnonzero(sources == source)
        drawn += [rows] * int(count)
        drawn.append(rng.permutation(rows)[: round(len(rows) * (count % 1))])
    return np.concatenate(drawn)


def steps(lengths, rows, rng):
    """The cycle's steps, in random order: lists of batches of one length each."""
    rows = rng.permutation(rows)
    batches = []
    for length in np.unique(lengths[rows]):
        same = rows[lengths[rows] == length]
        batches += np.array_split(same, -(-len(same) * length // BATCH_TOKENS))
    order = rng.permutation(len(batches))
    return [
        [batches[i] for i in order[start : start + STEP_BATCHES]]
        for start in range(0, len(order), STEP_BATCHES)
    ]
