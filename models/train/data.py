"""Reads the labelled folders and turns them into one list of multi-task rows.

A row knows its task, its source folder, its text and a target distribution over the
task's labels, so that multi-label comments (GoEmotions) become soft targets.
"""

import hashlib
import html
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

LABELS = {
    "sentiment": ["negative", "neutral", "positive"],
    "toxicity": ["no", "yes"],
    "sarcasm": ["no", "yes"],
    "emotion": ["joy", "sadness", "anger", "fear", "surprise", "neutral"],
}
TASKS = list(LABELS)

# How strongly rare labels of a source are lifted: 1 = every label weighs the same.
# Emotion is lifted by half only: its rarest label is 80 times rarer than its commonest.
BALANCE = {"sentiment": 1.0, "toxicity": 1.0, "sarcasm": 1.0, "emotion": 0.5}

# Sources outside the balancing, with the weight of each of their rows instead.
FIXED_WEIGHT = {"identity": 2.0, "background": 1.0}

_SAME = {label: label for label in LABELS["sentiment"] + LABELS["emotion"]}

# folder -> (task, source label -> our label)
SOURCES = {
    "sentiment": ("sentiment", _SAME),
    "offensive": ("toxicity", {"offensive": "yes", "not_offensive": "no"}),
    "offensive_davidson": ("toxicity", {"offensive": "yes", "hate": "yes", "neither": "no"}),
    "irony": ("sarcasm", {"irony": "yes", "non_irony": "no"}),
    "sarcasm_isarcasm": ("sarcasm", {"sarcastic": "yes", "not_sarcastic": "no"}),
    "emotion_goemotions_ekman": ("emotion", {**_SAME, "disgust": "anger"}),
    "emotion": ("emotion", {**_SAME, "optimism": "joy"}),
}

# The sets of one task draw the line at different places, so while training each has an offset of
# its own on the task's logits; our own rows use that of a set. The shipped head has these shares.
OFFSET_OF = {source: source for source in SOURCES}
OFFSET_OF |= {"identity": "offensive", "background": "irony"}
SHIPPED = {
    "sentiment": {"sentiment": 1.0},
    "toxicity": {"offensive": 0.5, "offensive_davidson": 0.5},
    "sarcasm": {"irony": 0.75, "sarcasm_isarcasm": 0.25},
    "emotion": {"emotion": 0.25, "emotion_goemotions_ekman": 0.75},
}

_HANDLE = re.compile(r"@\w+")
_URL = re.compile(r"https?://\S+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """One labelled text; `target` is a distribution over LABELS[task]."""

    task: str
    source: str
    text: str
    target: tuple[float, ...]


def data_dir() -> Path:
    """The folder that holds eval/: GROUNDSWELL_DATA, else beside the repository."""
    return Path(os.environ.get("GROUNDSWELL_DATA", REPO.parent / "shared" / "data"))


def mask(text: str) -> str:
    """Replaces handles and links by the placeholders TweetEval uses, and HTML entities by text."""
    return _URL.sub("http", _HANDLE.sub("@user", html.unescape(text)))


def _key(text: str) -> str:
    """What two texts share when they are the same post up to masking, case and spacing."""
    return _SPACE.sub(" ", mask(text)).strip(" \"'").lower()


def _masked_half(text: str) -> str:
    """Masks every second text, chosen by digest, so that the model meets both forms."""
    return mask(text) if hashlib.sha256(text.encode()).digest()[0] & 1 else text


def _read(source: str, split: str) -> list[Row]:
    """Rows of one file; a label that the task does not know is left out of the target."""
    task, mapping = SOURCES[source]
    rows = []
    path = data_dir() / "eval" / source / f"{split}.tsv"
    for line in path.read_text(encoding="utf-8").split("\n"):
        names, tab, text = line.partition("\t")
        hits = {mapping[name] for name in names.split(",") if name in mapping}
        if tab and hits and text.strip():
            target = tuple((label in hits) / len(hits) for label in LABELS[task])
            rows.append(Row(task, source, text, target))
    return rows


def load() -> tuple[list[Row], list[Row]]:
    """(train, validation). No training text occurs in any validation split, or twice in a task."""
    val = [row for source in SOURCES for row in _read(source, "val")]
    held_out = {_key(row.text) for row in val}
    train, seen, dropped = [], set(), Counter()
    for row in (row for source in SOURCES for row in _read(source, "train")):
        key = _key(row.text)
        if key in held_out or (row.task, key) in seen:
            dropped[row.source] += 1
            continue
        seen.add((row.task, key))
        train.append(Row(row.task, row.source, _masked_half(row.text), row.target))
    print(f"train {len(train)}, val {len(val)}, dropped as duplicates {dict(dropped)}", flush=True)
    return train, val


def row_weights(rows: list[Row]) -> list[float]:
    """Loss weights with mean 1 in every source, lifting its rare labels by BALANCE.

    Labels are balanced within each source: the sources of one task have very different base
    rates, and the model must not learn to tell the sources apart.
    """
    mass, total, count = defaultdict(float), defaultdict(float), Counter()
    for row in rows:
        for label, share in zip(LABELS[row.task], row.target):
            mass[row.source, label] += share
    raw = [
        sum(
            share * mass[row.source, label] ** -BALANCE[row.task]
            for label, share in zip(LABELS[row.task], row.target)
            if share
        )
        for row in rows
    ]
    for row, weight in zip(rows, raw):
        total[row.source] += weight
        count[row.source] += 1
    return [
        FIXED_WEIGHT.get(row.source, weight * count[row.source] / total[row.source])
        for row, weight in zip(rows, raw)
    ]
