"""One small MLP per task on concatenated mean-pooled hidden states."""

from torch import nn
from torch.nn import functional as F

from data import LABELS

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


class Heads(nn.ModuleDict):
    """The heads of all tasks, standardising with the moments of the training features."""

    def __init__(self, features):
        mean, std = features.mean(0), features.std(0).clamp(min=1e-4)
        outputs = {task: 1 if len(names) == 2 else len(names) for task, names in LABELS.items()}
        super().__init__({task: Head(mean, std, count) for task, count in outputs.items()})

    def fold(self):
        """All tensors of heads.safetensors."""
        return {
            f"{task}.{name}": tensor.detach()
            for task, head in self.items()
            for name, tensor in head.fold().items()
        }
