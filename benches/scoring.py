#!/usr/bin/env python3
"""Texts a second of one small encoder in several engines, one after the other on one machine.

usage: scoring.py [--texts N] [--rounds N] [--seconds S]

The model is all-MiniLM-L6-v2 (22.7M parameters, `make setup` fetches it) with a random three-way classifier, written as a
Hugging Face folder; every engine gets that folder and the same texts (`eval/sentiment/val.tsv` of GROUNDSWELL_DATA, by
default ../shared/data), 32 at a time in the file's order. Rows: `pipeline` of transformers, ONNX Runtime in fp32 and in
int8 (dynamic, per channel), and Groundswell in fp32, bf16 and int8, each on one thread and on two, each in a process of
its own; what is shown is the median of the rounds, which are taken in turn. Python with the packages of
`models/parity/requirements.txt`, onnx and onnxruntime; Groundswell's part is built with `cargo build --release -p
groundswell-models --example speed`.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("GROUNDSWELL_CACHE", Path.home() / ".cache/groundswell"))
WORK = CACHE / "bench/scoring"
BATCH = 32
PEERS = ["pipeline", "onnxruntime fp32", "onnxruntime int8"]
OURS = ["groundswell fp32", "groundswell bf16", "groundswell int8"]


def texts(n):
    data = Path(os.environ.get("GROUNDSWELL_DATA", REPO.parent / "shared/data"))
    lines = (data / "eval/sentiment/val.tsv").read_text().splitlines()
    return [line.split("\t", 1)[1].strip() for line in lines[:n]]


def prepare(n):
    """The folder, the ONNX files and the texts."""
    import torch
    import transformers as hf

    torch.cuda.is_current_stream_capturing = lambda: False  # crashes in a torch without CUDA libraries
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "texts.txt").write_text("\n".join(texts(n)) + "\n")
    base = REPO / ".deps/all-MiniLM-L6-v2"
    base = base if base.exists() else CACHE / "all-MiniLM-L6-v2-0.1.0"
    names = dict(enumerate(["negative", "neutral", "positive"]))
    torch.manual_seed(1)
    model = hf.BertForSequenceClassification.from_pretrained(
        base, num_labels=3, id2label=names, label2id={v: k for k, v in names.items()}, attn_implementation="eager"
    ).eval()
    model.save_pretrained(WORK)
    shutil.copy(base / "tokenizer.json", WORK)
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        model, (ids, ids, ids), str(WORK / "fp32.onnx"), dynamo=False, opset_version=17, output_names=["logits"],
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        dynamic_axes={name: axes for name in ["input_ids", "attention_mask", "token_type_ids"]},
    )
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(WORK / "fp32.onnx", WORK / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)


def tokenizer():
    from tokenizers import Tokenizer

    tok = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    tok.enable_truncation(512)
    tok.enable_padding()
    return tok


def pipeline(threads):
    import torch
    import transformers as hf

    torch.cuda.is_current_stream_capturing = lambda: False
    torch.set_num_threads(threads)
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_file=str(WORK / "tokenizer.json"), unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=512,
    )
    model = hf.BertForSequenceClassification.from_pretrained(WORK)
    return hf.pipeline("text-classification", model=model, tokenizer=fast, batch_size=BATCH, truncation=True, device="cpu")


def onnx(kind, threads):
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(str(WORK / f"{kind}.onnx"), options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    tok = tokenizer()

    def run(batch):
        encoded = tok.encode_batch(batch)
        ids = np.array([e.ids for e in encoded], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        session.run(["logits"], {k: v for k, v in feed.items() if k in wanted})

    return run


def peer(engine, threads, seconds):
    """One row, in this process."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    lines = (WORK / "texts.txt").read_text().splitlines()
    if engine == "pipeline":
        pipe = pipeline(threads)

        def run_all():
            # Given as a list it warns that a data set would be faster; a generator is one.
            for _ in pipe(line for line in lines):
                pass
    else:
        run = onnx(engine.split()[1], threads)

        def run_all():
            for start in range(0, len(lines), BATCH):
                run(lines[start : start + BATCH])

    run_all()
    cpu = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])  # noqa: E731
    began, before, n = time.time(), cpu(), 0
    while time.time() - began < seconds:
        run_all()
        n += len(lines)
    wall, used = time.time() - began, cpu() - before
    # Not ru_maxrss: a process starts with that of the one it was forked from.
    rss = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) >> 10
    print(json.dumps({"texts_per_s": n / wall, "texts_per_cpu_s": n / used, "cpu_s_per_1000": 1000 * used / n, "rss_mib": rss}))


def row(engine, threads, seconds):
    """One row, in a process of its own."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    if engine in PEERS:
        command = [sys.executable, __file__, "--peer", engine, "--threads", str(threads), "--seconds", str(seconds)]
    else:
        target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
        speed = target / "release/examples/speed"
        if not speed.exists():
            sys.exit(f'no "{speed}": cargo build --release -p groundswell-models --example speed')
        command = [str(speed), str(WORK), str(WORK / "texts.txt"), engine.split()[1], str(threads), str(BATCH)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{engine} on {threads} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--texts", type=int, default=512)
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--seconds", type=float, default=3.0)
    args.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    args.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.peer:
        return peer(args.peer, args.threads, args.seconds)
    prepare(args.texts)
    cells = [(engine, threads) for threads in (1, 2) for engine in PEERS + OURS]
    found = {cell: [] for cell in cells}
    loads = []
    for _ in range(args.rounds):
        for cell in cells:
            loads.append(os.getloadavg()[0])
            found[cell].append(row(*cell, args.seconds))
            print(f"  {cell[0]}, {cell[1]}: {found[cell][-1]['texts_per_s']:.0f}/s", file=sys.stderr)
    print(f"load {min(loads):.1f}–{max(loads):.1f}, {args.rounds} rounds, {args.texts} texts")
    print("| Engine | Threads | Texts/s | Texts per CPU s | CPU s per 1,000 | Peak RSS MiB | CPU time ÷ int8 of ONNX Runtime |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    middle = {c: {k: statistics.median(r[k] for r in rows) for k in
                  ("texts_per_s", "texts_per_cpu_s", "cpu_s_per_1000", "rss_mib")} for c, rows in found.items()}
    for (engine, threads), m in middle.items():
        ratio = m["cpu_s_per_1000"] / middle["onnxruntime int8", threads]["cpu_s_per_1000"]
        print(f"| {engine} | {threads} | {m['texts_per_s']:.0f} | {m['texts_per_cpu_s']:.0f} | {m['cpu_s_per_1000']:.2f} "
              f"| {m['rss_mib']:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
