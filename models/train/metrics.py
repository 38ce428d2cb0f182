"""Figures of merit, and temperatures, from logits and target distributions."""

import torch
from torch.nn import functional as F


def probabilities(logits, temperature=1.0):
    """Class probabilities; a single logit is read as the sigmoid of "yes"."""
    logits = logits / temperature
    if logits.shape[1] == 1:
        yes = torch.sigmoid(logits)
        return torch.cat([1 - yes, yes], 1)
    return F.softmax(logits, 1)


def loss(logits, target):
    """Cross entropy per row against a target distribution."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], target[:, 1], reduction="none")
    return -(target * F.log_softmax(logits, 1)).sum(1)


def fit_temperature(logits, target):
    """The temperature with the least cross entropy, by golden-ratio search on its logarithm."""
    low, high, ratio = -1.5, 1.5, 0.618
    for _ in range(40):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        at_a, at_b = (loss(logits / torch.tensor(t).exp(), target).mean() for t in (a, b))
        low, high = (low, b) if at_a < at_b else (a, high)
    return float(torch.tensor((low + high) / 2).exp())


def ece(probs, truth, bins=15):
    """Expected calibration error of the most likely class, over equal-width bins."""
    confidence, guess = probs.max(1)
    correct = (guess == truth).float()
    index = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (correct[index == b].mean() - confidence[index == b].mean()).abs() * (index == b).sum()
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps) / len(truth))


def auroc(score, positive):
    """Chance that a positive outranks a negative; ties count half."""
    _, inverse, count = torch.unique(score, return_inverse=True, return_counts=True)
    rank = count.cumsum(0) - (count - 1) / 2
    pos = positive.sum()
    return float((rank[inverse][positive].sum() - pos * (pos + 1) / 2) / (pos * (~positive).sum()))


def classification(guess, truth, classes):
    """Accuracy, macro F1 and macro recall over the classes that occur in `truth`, and F1s."""
    pairs = torch.bincount(truth * classes + guess, minlength=classes**2).view(classes, classes)
    hit, real, said = pairs.diag().float(), pairs.sum(1), pairs.sum(0)
    present = real > 0
    f1 = 2 * hit / (real + said).clamp(min=1)
    return {
        "n": len(truth),
        "accuracy": float(hit.sum() / len(truth)),
        "macro_f1": float(f1[present].mean()),
        "macro_recall": float((hit / real.clamp(min=1))[present].mean()),
        "f1": [round(float(x), 4) for x in f1],
    }


def evaluate(logits, target, temperature=1.0, cutoff=0.5):
    """All figures over the rows that have a single label."""
    single = target.max(1).values == 1
    logits, truth = logits[single], target[single].argmax(1)
    probs = probabilities(logits, temperature)
    binary = logits.shape[1] == 1
    guess = (probs[:, 1] >= cutoff).long() if binary else probs.argmax(1)
    result = classification(guess, truth, probs.shape[1])
    result["ece"] = ece(probs, truth)
    if binary:
        result["auroc"] = auroc(probs[:, 1], truth == 1)
    return result
