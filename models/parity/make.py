"""Writes tiny random checkpoints of every family, with the logits `transformers` computes for them.

In: nothing. Out: one Hugging Face folder per case under `fixtures/`, each with an `expected.json` of texts and logits;
`models/src/torch/tests/parity.rs` loads the folders and compares. Weights are random but fixed by a seed; vocabularies are
made of the texts below, so that the folders stay small enough to be committed.
"""

import json
import os
import shutil
import sys

import torch
import transformers as hf
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# A torch without its CUDA libraries crashes in this question, which transformers asks for every mask.
torch.cuda.is_current_stream_capturing = lambda: False

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
WIDTH, INNER, HEADS, LAYERS, POSITIONS = 16, 24, 4, 2, 26

TEXTS = [
    "good game",
    "",
    "the bad team lost again, what a shame!",
    "The BEST game I have ever seen; the team was great and the crowd was great too, all of them, all night long.",
    "#win @you http://x.y 😀😀",
    "no",
    "schlechtes Spiel, très mauvais match, плохая игра",
    "a <pad> in the middle </s> of [PAD] it",
]


def word_piece():
    words = sorted({w for t in TEXTS for w, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(t.lower())})
    letters = sorted({c for w in words for c in w if c.isascii()})
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + [w for w in words if w.isascii() and len(w) > 1][:20]
    vocab += letters + ["##" + c for c in letters]
    tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(vocab))}, unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tok


def byte_bpe():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(TEXTS, trainer)
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tok


def unigram():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.NFKC()
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tok.train_from_iterator(TEXTS, trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tok


def common(vocabulary, **more):
    return dict(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_attention_heads=HEADS,
        num_hidden_layers=LAYERS,
        max_position_embeddings=POSITIONS,
        **more,
    )


def labels(*names):
    return dict(
        num_labels=len(names), id2label=dict(enumerate(names)), label2id={name: n for n, name in enumerate(names)}
    )


def wide(model):
    """Weights large enough that a mistake shows, norms that do something."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.5 if p.ndim > 1 else 0.2
            p.copy_(torch.randn_like(p) * scale + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
    # The plain attention, written out: no kernel of its own that both sides could share.
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    return model.eval()


def ids_of(tok, longest, text):
    tok.enable_truncation(longest)
    return tok.encode(text).ids


@torch.no_grad()
def one_by_one(tok, longest, heads):
    """Logits per head and text, every text alone: what no padding can have touched."""
    out = {name: [] for name in heads}
    for text in TEXTS:
        ids = torch.tensor([ids_of(tok, longest, text)])
        for name, head in heads.items():
            out[name].append([float(x) for x in head(ids)[0]])
    return out


@torch.no_grad()
def padded(model, tok, longest, pad):
    """The same in one padded batch, as `transformers` is mostly used."""
    rows = [ids_of(tok, longest, text) for text in TEXTS]
    width = max(map(len, rows))
    ids = torch.tensor([r + [pad] * (width - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
    return model(input_ids=ids, attention_mask=mask).logits


def folder(name):
    path = os.path.join(OUT, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write(path, tok, expected, **more):
    tok.no_truncation()
    tok.save(os.path.join(path, "tokenizer.json"), pretty=False)
    with open(os.path.join(path, "expected.json"), "w") as f:
        json.dump({"texts": TEXTS, "logits": expected, **more}, f, ensure_ascii=False, indent=1)
        f.write("\n")


def classifier(name, model, tok, longest, pad, **save):
    path = folder(name)
    model = wide(model)
    model.save_pretrained(path, **save)
    alone = one_by_one(tok, longest, {"sentiment": lambda ids: model(input_ids=ids).logits})
    together = padded(model, tok, longest, pad)
    far = (together - torch.tensor(alone["sentiment"])).abs().max()
    # A padding token that is written out moves RoBERTa's positions but not its mask; alone and padded agree all the same.
    assert far < 1e-4, (name, far)
    write(path, tok, alone)


def two_level(name, tok, config):
    """The multi-task form of seed 000: one RoBERTa, and linear heads on its first token."""
    path = folder(name)
    encoder = wide(hf.RobertaModel(config, add_pooling_layer=False))
    heads = {task: wide(torch.nn.Linear(WIDTH, n)) for task, n in [("sentiment", 3), ("sarcasm", 1), ("toxicity", 1)]}
    tensors = {f"roberta.{k}": v.contiguous() for k, v in encoder.state_dict().items() if not k.endswith("position_ids")}
    for task, head in heads.items():
        tensors |= {f"{task}_head.{k}": v.contiguous() for k, v in head.state_dict().items()}
    save_file(tensors, os.path.join(path, "model.safetensors"))
    config.save_pretrained(path)

    def logits(task):
        return lambda ids: heads[task](encoder(input_ids=ids).last_hidden_state[:, 0, :])

    write(path, tok, one_by_one(tok, POSITIONS - 2, {task: logits(task) for task in heads}))
    with open(os.path.join(path, "model.yaml"), "w") as f:
        f.write(
            "format: 1\nname: two-level\nversion: '1'\nbase: {path: .}\ntasks:\n"
            "  sentiment: {head: {linear: sentiment_head}, labels: [positive, neutral, negative]}\n"
            "  sarcasm: {head: {linear: sarcasm_head}, cutoff: 0.6}\n"
            "  toxicity: {head: {linear: toxicity_head}, cutoff: 0.7}\n"
        )


def main():
    sentiment = labels("negative", "neutral", "positive")
    pieces, pairs, parts = word_piece(), byte_bpe(), unigram()

    def seeded(n):
        torch.manual_seed(n)

    seeded(1)
    config = hf.BertConfig(**common(pieces.get_vocab_size(), pad_token_id=0), **sentiment)
    classifier("bert", hf.BertForSequenceClassification(config), pieces, POSITIONS, 0)
    seeded(2)
    roberta = common(pairs.get_vocab_size(), pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5)
    config = hf.RobertaConfig(**roberta, **labels("positive", "neutral", "negative"), hidden_act="gelu_new")
    classifier("roberta", hf.RobertaForSequenceClassification(config), pairs, POSITIONS - 2, 1)
    seeded(3)
    config = hf.XLMRobertaConfig(
        **common(parts.get_vocab_size(), pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5), **sentiment
    )
    classifier("xlm-roberta", hf.XLMRobertaForSequenceClassification(config), parts, POSITIONS - 2, 1)
    seeded(4)
    config = hf.DistilBertConfig(
        vocab_size=pieces.get_vocab_size(),
        dim=WIDTH,
        hidden_dim=INNER,
        n_layers=LAYERS,
        n_heads=HEADS,
        max_position_embeddings=POSITIONS,
        activation="relu",
        **labels("NEGATIVE", "POSITIVE"),
    )
    classifier("distilbert", hf.DistilBertForSequenceClassification(config), pieces, POSITIONS, 0)
    seeded(5)
    config = hf.BertConfig(**common(pieces.get_vocab_size(), pad_token_id=0), **sentiment)
    classifier("sharded", hf.BertForSequenceClassification(config), pieces, POSITIONS, 0, max_shard_size="10KB")
    seeded(6)
    two_level("two-level", pairs, hf.RobertaConfig(**roberta))


if __name__ == "__main__":
    sys.exit(main())
