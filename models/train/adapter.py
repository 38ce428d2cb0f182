"""The trainable part of the encoder: a low-rank change of every matrix, and small tensors whole.

Training sees an ordinary bf16 encoder. Before a step `Adapter.push` writes base + b @ a into it,
after the backward passes `Adapter.pull` turns its gradients into those of a and b, so that no
layer knows of the adapter and no token pays for it.
"""

import torch
from torch import nn

RANK = 32
# The lowest two layers and the embeddings stay: less to compute, and a smaller delta.
LAYERS = ("encoder.layer.2.", "encoder.layer.3.", "encoder.layer.4.", "encoder.layer.5.")


def _key(name):
    """A tensor's name as torch lets a parameter be called: without dots."""
    return name.replace(".", "/")


class Adapter(nn.Module):
    """fp32 masters of what is trained; W = base + b @ a for matrices, biases and norms whole."""

    def __init__(self, encoder):
        super().__init__()
        self.names = [name for name, _ in encoder.named_parameters() if name.startswith(LAYERS)]
        self.a, self.b, self.whole = (nn.ParameterDict() for _ in range(3))
        self.base = {}
        for name, tensor in encoder.named_parameters():
            if name not in self.names:
                continue
            value, key = tensor.detach().float().clone(), _key(name)
            if value.dim() == 2:
                rows, columns = value.shape
                self.base[key] = value
                down = torch.randn(RANK, columns) * columns**-0.5
                self.a[key] = nn.Parameter(down.to(value.device))
                self.b[key] = nn.Parameter(torch.zeros(rows, RANK, device=value.device))
            else:
                self.whole[key] = nn.Parameter(value)

    def value(self, name):
        """One tensor of the changed encoder, in fp32."""
        key = _key(name)
        if key in self.whole:
            return self.whole[key].detach()
        return (self.base[key] + self.b[key] @ self.a[key]).detach()

    def mark(self, encoder):
        """Lets `encoder` compute gradients where the adapter needs them, and nowhere else."""
        encoder.requires_grad_(False)
        for name in self.names:
            encoder.get_parameter(name).requires_grad_(True)

    @torch.no_grad()
    def push(self, encoder):
        """Writes the changed tensors into `encoder` and clears its gradients."""
        for name in self.names:
            tensor = encoder.get_parameter(name)
            tensor.copy_(self.value(name))
            tensor.grad = None

    @torch.no_grad()
    def pull(self, encoder):
        """Takes the gradients of `encoder` over."""
        for name in self.names:
            key, grad = _key(name), encoder.get_parameter(name).grad
            if grad is None:
                continue
            if key in self.whole:
                self.whole[key].grad = grad.float()
            else:
                a, b, grad = self.a[key], self.b[key], grad.float()
                a.grad, b.grad = b.T @ grad, grad @ a.T

    def tensors(self):
        """The delta file: NAME.lora_a [r, in] with NAME.lora_b [out, r], or NAME to replace."""
        result = {}
        for name in self.names:
            key = _key(name)
            if key in self.whole:
                result[name] = self.whole[key].detach()
            else:
                result[f"{name}.lora_a"] = self.a[key].detach()
                result[f"{name}.lora_b"] = self.b[key].detach()
        return result


def merge(weights, delta):
    """Base tensors with a delta file's changes applied, in fp32."""
    result = {name: tensor.float() for name, tensor in weights.items()}
    for name, tensor in delta.items():
        if name.endswith(".lora_a"):
            target = name.removesuffix(".lora_a")
            result[target] = result[target] + delta[f"{target}.lora_b"].float() @ tensor.float()
        elif not name.endswith(".lora_b"):
            result[name] = tensor.float()
    return result
