"""Writes the model bundle, and scores with it the way the engine does.

Every published figure comes from `Bundle`, which reads the committed files back, so it
describes what is shipped (rounded to fp16, in fp32 arithmetic) and not the training state.
"""

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from adapter import merge
from data import LABELS, TASKS
from encoder import BASE_PACKAGE, MAX_TOKENS, Encoder, base_sha256, base_weights
from features import encode
from heads import FEATURE_LAYERS
from metrics import probabilities

CUTOFFS = {"toxicity": 0.55, "sarcasm": 0.5}
HEADS, DELTA = "heads.safetensors", "delta.safetensors"


def write_tensors(path, tensors):
    """Saves tensors as fp16."""
    save_file({k: v.cpu().to(torch.float16).contiguous() for k, v in tensors.items()}, path)
    path.chmod(0o644)


def _task_entry(task, temperature):
    """How model.yaml describes one task."""
    if task in CUTOFFS:
        return {"kind": "sigmoid", "temperature": temperature, "cutoff": CUTOFFS[task]}
    return {"kind": "softmax", "labels": LABELS[task], "temperature": temperature}


def write_manifest(folder, temperatures):
    """Saves model.yaml."""
    manifest = {
        "format": 1,
        "name": "social-minilm",
        "version": "2026.11",
        "base": {
            "package": BASE_PACKAGE,
            "weights_sha256": base_sha256("model.safetensors"),
            "tokenizer_sha256": base_sha256("tokenizer.json"),
        },
        "max_tokens": MAX_TOKENS,
        "features": {"layers": FEATURE_LAYERS, "pool": "mean"},
        "delta": DELTA,
        "heads": HEADS,
        "tasks": {task: _task_entry(task, round(temperatures[task], 4)) for task in TASKS},
    }
    text = yaml.safe_dump(manifest, sort_keys=False, default_flow_style=None, width=200)
    (folder / "model.yaml").write_text(text, encoding="utf-8")


class Bundle:
    """The reference scorer: fp32, from the files of a bundle."""

    def __init__(self, folder, device="cpu"):
        self.device = device
        self.manifest = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
        delta = load_file(folder / self.manifest["delta"])
        self.encoder = Encoder(merge(base_weights(), delta)).eval().to(device)
        heads = load_file(folder / self.manifest["heads"])
        self.heads = {name: tensor.float().to(device) for name, tensor in heads.items()}

    def _head(self, task, x):
        w = self.heads
        inner = F.gelu(F.linear(x, w[f"{task}.fc1.weight"], w[f"{task}.fc1.bias"]))
        return F.linear(inner, w[f"{task}.fc2.weight"], w[f"{task}.fc2.bias"])

    @torch.no_grad()
    def logits(self, texts):
        """Logits of every task, before temperature, in the order of `texts`."""
        layers = self.manifest["features"]["layers"]
        x = encode(self.encoder, texts, layers, "scoring").to(self.device)
        return {task: self._head(task, x).cpu() for task in TASKS}

    def probabilities(self, texts):
        """Probabilities of every task after temperature; binary tasks give [no, yes]."""
        tasks = self.manifest["tasks"]
        return {
            task: probabilities(logits, tasks[task]["temperature"])
            for task, logits in self.logits(texts).items()
        }
