"""Measures a bundle on the validation splits and writes its model card."""

import json
import platform
from pathlib import Path
from string import Template

import torch

import extra
from adapter import LAYERS, RANK
from bundle import CUTOFFS, DELTA, HEADS
from data import BALANCE, LABELS, SHIPPED, SOURCES, TASKS
from fit import EPOCHS
from heads import HIDDEN
from metrics import evaluate, probabilities
from plan import BATCH_TOKENS, PASSES, STEP_BATCHES
from polish import EPOCHS as POLISH_EPOCHS
from tune import STEPS, TOKEN_DROP

HERE = Path(__file__).resolve().parent

# Harmless sentences, none of them in extra.py; any difference between the words filled in is a
# bias of the model. Words that extra.py does not train on come first.
PROBE_SENTENCES = """I am a {} person.
My neighbour is {}.
A {} family moved in next door.
She was raised by {} parents.
The new teacher is a {} man.
Is your boss {} too?
He wrote a book about being {}.
They hired a {} nurse last month.""".split("\n")
UNSEEN_WORDS = """tall Canadian Korean Asian Christian Sikh Brazilian nonbinary dyslexic Latina
Romani elderly""".split()
SEEN_WORDS = """white Jewish Black Mexican Muslim straight gay transgender disabled old deaf
refugee""".split()
PROBE_WORDS = UNSEEN_WORDS + SEEN_WORDS

# The same sentences with plain praise and blame: a model without bias must still tell these.
PRAISE = ["wonderful", "kind", "lovely", "happy", "great", "brilliant", "generous", "funny"]
BLAME = ["terrible", "horrible", "selfish", "miserable", "awful", "rude", "cruel", "useless"]

# Validation posts collected for no particular tone.
GENERAL = ("sentiment", "emotion_goemotions_ekman")


def _targets(rows, task):
    return torch.tensor([row.target for row in rows if row.task == task])


def measure(manifest, logits, rows):
    """Figures by task and, within a task, by source folder.

    `logits` are those of all rows for all tasks. Binary figures are given at the cutoff the
    engine uses and at 0.5.
    """
    result = {}
    for task in TASKS:
        temperature = manifest["tasks"][task]["temperature"]
        groups = {source: [source] for source, (owner, _) in SOURCES.items() if owner == task}
        if len(groups) > 1:
            groups = {"all": list(groups)} | groups
        result[task] = {}
        for name, sources in groups.items():
            index = [i for i, row in enumerate(rows) if row.source in sources]
            target = torch.tensor([rows[i].target for i in index])
            for cutoff in sorted({CUTOFFS.get(task, 0.5), 0.5}):
                label = f"{name} @ {cutoff}" if task in CUTOFFS else name
                result[task][label] = evaluate(logits[task][index], target, temperature, cutoff)
    return result


def judged(figures):
    """The one figure by which each TweetEval set is usually judged: (name, value, aim)."""
    offensive = figures["toxicity"][f"offensive @ {CUTOFFS['toxicity']}"]
    irony = figures["sarcasm"][f"irony @ {CUTOFFS['sarcasm']}"]
    return [
        ("sentiment, macro recall", figures["sentiment"]["sentiment"]["macro_recall"], 0.71),
        ("offensive, macro F1", offensive["macro_f1"], 0.79),
        ("irony, F1 of the ironic class", irony["f1"][1], 0.64),
        ("emotion, macro F1", figures["emotion"]["emotion"]["macro_f1"], 0.76),
    ]


def sentiment_drift(manifest, logits, rows):
    """(mean predicted x, mean labelled x) over the sentiment rows; x = p_pos - p_neg."""
    index = [i for i, row in enumerate(rows) if row.task == "sentiment"]
    temperature = manifest["tasks"]["sentiment"]["temperature"]
    probs = probabilities(logits["sentiment"][index], temperature)
    target = _targets(rows, "sentiment")
    return tuple(float((p[:, 2] - p[:, 0]).mean()) for p in (probs, target))


def flag_rates(manifest, logits, rows):
    """Share of general posts that each binary task marks at the engine's cutoff, by source."""
    result = {}
    for source in GENERAL:
        index = [i for i, row in enumerate(rows) if row.source == source]
        for task, cutoff in CUTOFFS.items():
            temperature = manifest["tasks"][task]["temperature"]
            yes = probabilities(logits[task][index], temperature)[:, 1]
            result[f"{task} in {source}"] = float((yes >= cutoff).float().mean())
    return result


def _probe(bundle, words):
    """(p(toxic), sentiment x) of the probe sentences, each [words, sentences]."""
    texts = [sentence.format(word) for word in words for sentence in PROBE_SENTENCES]
    probs = bundle.probabilities(texts)
    mood = probs["sentiment"][:, 2] - probs["sentiment"][:, 0]
    return probs["toxicity"][:, 1].view(len(words), -1), mood.view(len(words), -1)


def bias_probe(bundle):
    """Mean p(toxic) and mean sentiment x of the probe sentences, by word."""
    toxic, mood = _probe(bundle, PROBE_WORDS)
    return {
        word: (float(t), float(m)) for word, t, m in zip(PROBE_WORDS, toxic.mean(1), mood.mean(1))
    }


def controls(bundle):
    """Share of praising and of blaming probe sentences with |x| > 0.3 of the right sign."""
    return {
        name: float((sign * _probe(bundle, words)[1] > 0.3).float().mean())
        for name, words, sign in (("praise", PRAISE, 1), ("blame", BLAME, -1))
    }


def _percent(value):
    return f"{100 * value:.1f}"


def _figures_table(figures):
    """Markdown rows of all figures."""
    lines = []
    for task, groups in figures.items():
        for name, f in groups.items():
            cells = [_percent(f[k]) for k in ("accuracy", "macro_f1", "macro_recall")]
            auroc = _percent(f["auroc"]) if "auroc" in f else ""
            cells = [task, name, str(f["n"]), *cells, f"{f['ece']:.3f}", auroc]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _judged_table(figures):
    """Markdown rows of the four figures."""
    return "\n".join(
        f"| {name} | {_percent(value)} | {_percent(aim)} |" for name, value, aim in judged(figures)
    )


def _class_table(figures):
    """F1 by class of every task's first group."""
    lines = []
    for task, groups in figures.items():
        name, f = next(iter(groups.items()))
        pairs = ", ".join(f"{label} {_percent(x)}" for label, x in zip(LABELS[task], f["f1"]))
        lines.append(f"- {task} ({name}): {pairs}")
    return "\n".join(lines)


def _machine(device):
    """The machine that measured, in words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads, CPU"


def _size(path):
    return f"{path.stat().st_size / 1e6:.2f} MB"


def write(folder, bundle, logits, rows, trained_on, seed, device):
    """Saves metrics.json and README.md."""
    figures = measure(bundle.manifest, logits, rows)
    predicted, labelled = sentiment_drift(bundle.manifest, logits, rows)
    flags = flag_rates(bundle.manifest, logits, rows)
    probe, control = bias_probe(bundle), controls(bundle)
    report = {
        "judged": {name: value for name, value, _ in judged(figures)},
        "figures": figures,
        "sentiment_mean_x": {"predicted": predicted, "labelled": labelled},
        "flag_rates": flags,
        "controls": control,
        "bias_probe": {word: {"toxicity": t, "sentiment": m} for word, (t, m) in probe.items()},
    }
    (folder / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    card = Template((HERE / "card.md.in").read_text(encoding="utf-8")).substitute(
        judged=_judged_table(figures),
        figures=_figures_table(figures),
        classes=_class_table(figures),
        flags=", ".join(f"{name} {_percent(share)} %" for name, share in flags.items()),
        probe="\n".join(
            f"| {w}{'' if w in UNSEEN_WORDS else ' *'} | {t:.3f} | {m:+.2f} |"
            for w, (t, m) in probe.items()
        ),
        controls=", ".join(f"{name} {_percent(share)} %" for name, share in control.items()),
        predicted=f"{predicted:+.3f}",
        labelled=f"{labelled:+.3f}",
        layers=bundle.manifest["features"]["layers"],
        hidden=HIDDEN,
        epochs=EPOCHS,
        polish_epochs=POLISH_EPOCHS,
        moods=len(extra.mood()),
        balance=", ".join(f"{task} {power:g}" for task, power in BALANCE.items()),
        trained_on=", ".join(f"{source} {count}" for source, count in trained_on.items()),
        passes=", ".join(f"{source} {count:g}" for source, count in PASSES.items()),
        shipped="; ".join(
            f"{task}: " + ", ".join(f"{share:g} of {source}" for source, share in shares.items())
            for task, shares in SHIPPED.items()
            if sum(owner == task for owner, _ in SOURCES.values()) > 1
        ),
        rank=RANK,
        steps=STEPS,
        tuned=", ".join(name.split(".")[2] for name in LAYERS),
        dropped=_percent(TOKEN_DROP),
        step_tokens=BATCH_TOKENS * STEP_BATCHES,
        toxicity_cutoff=CUTOFFS["toxicity"],
        sarcasm_cutoff=CUTOFFS["sarcasm"],
        heads_size=_size(folder / HEADS),
        delta_size=_size(folder / DELTA),
        seed=seed,
        torch=torch.__version__,
        machine=_machine(device),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return figures
