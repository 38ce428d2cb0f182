"""One small MLP per task on concatenated mean-pooled hidden states."""

import torch
from torch import nn
from torch.nn import functional as F

from data import LABELS, SHIPPED, SOURCES

FEATURE_LAYERS = [1, 3, 5, 6]
HIDDEN = 96
DROPOUT = 0.3


class Head(nn.Module):
    """fc2(gelu(fc1(standardised x))); `fold` moves the standardisation into fc1."""

    def __init__(self, mean, std, outputs):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.fc1 = nn.Linear(len(mean), HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, outputs)

    def forward(self, x):
        p = DROPOUT if self.training else 0.0
        inner = F.gelu(self.fc1(F.dropout((x - self.mean) / self.std, p)))
        return self.fc2(F.dropout(inner, p))

    def fold(self):
        """The four tensors of the bundle, acting on raw features."""
        weight = self.fc1.weight / self.std
        return {
            "fc1.weight": weight,
            "fc1.bias": self.fc1.bias - weight @ self.mean,
            "fc2.weight": self.fc2.weight,
            "fc2.bias": self.fc2.bias,
        }


class Heads(nn.Module):
    """The heads of all tasks, standardising with the moments of the training features.

    `offsets` holds what each source adds to the logits of its task while training.
    """

    def __init__(self, features):
        super().__init__()
        mean, std = features.mean(0), features.std(0).clamp(min=1e-4)
        outputs = {task: 1 if len(names) == 2 else len(names) for task, names in LABELS.items()}
        self.tasks = nn.ModuleDict({task: Head(mean, std, n) for task, n in outputs.items()})
        self.offsets = nn.Parameter(torch.zeros(len(SOURCES), max(outputs.values())))

    def forward(self, task, x, sources):
        """Logits of one task for rows of the given sources (numbers in SOURCES)."""
        logits = self.tasks[task](x)
        return logits + self.offsets[sources, : logits.shape[1]]

    @torch.no_grad()
    def fold(self):
        """All tensors of heads.safetensors, with the shipped share of the offsets."""
        result, sources = {}, list(SOURCES)
        for task, head in self.tasks.items():
            tensors = head.fold()
            for source, share in SHIPPED[task].items():
                offset = self.offsets[sources.index(source), : len(tensors["fc2.bias"])]
                tensors["fc2.bias"] = tensors["fc2.bias"] + share * offset
            result |= {f"{task}.{name}": tensor.detach() for name, tensor in tensors.items()}
        return result
