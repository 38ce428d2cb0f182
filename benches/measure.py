#!/usr/bin/env python3
"""Runs one engine once and notes what it cost, or prints the table of all that was noted.

usage: measure.py run RESULTS.jsonl LABEL -- COMMAND...
       measure.py table RESULTS.jsonl EVENTS DELTA

A run adds one JSON line: wall and processor seconds of the process (`wait4`), its greatest resident memory, the load of
the machine when it began, and what the program itself printed about its steps. Python >= 3.8, standard library only.
"""
import json
import os
import re
import subprocess
import sys
import time
from statistics import median


def steps(output):
    """Wall and processor seconds per step, from the lines that the programs print.

    job-j and the hand-written loop print both (the loop's processor seconds are totals so far); DBSP prints wall only.
    """
    found, before = [], 0.0
    for line in output.splitlines():
        step = {k: float(v) for k, v in re.findall(r"(\w+)=([0-9.]+)", line)}
        if "wall_s" not in step:
            continue
        if "cpu_total_s" in step:
            total = step.pop("cpu_total_s")
            step["cpu_s"], before = total - before, total
        found.append({k: step[k] for k in ("wall_s", "cpu_s", "changes") if k in step})
    return found


def run(results, label, command):
    load, began = os.getloadavg()[0], time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.time() - began
    sys.stderr.write("".join(f"  {line}\n" for line in output.splitlines()))
    if status != 0:
        sys.exit(f"{label} failed (status {status}): {' '.join(command)}")
    note = {
        "label": label,
        "wall_s": round(wall, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "rss_mib": usage.ru_maxrss >> 10,
        "load": round(load, 1),
        "steps": steps(output),
    }
    with open(results, "a") as file:
        file.write(json.dumps(note) + "\n")


def table(results, events, delta):
    by_label = {}
    for line in open(results):
        note = json.loads(line)
        by_label.setdefault(note["label"], []).append(note)

    def middle(notes, step, field):
        values = [n["steps"][step][field] for n in notes if len(n["steps"]) > step and field in n["steps"][step]]
        return median(values) if values else None

    def show(value, form):
        return "–" if value is None else format(value, form)

    floor = median(n["cpu_s"] for n in next(iter(by_label.values())))
    print("| Engine | Runs | Base: events/s | Base: wall s | Base: CPU s | Delta: wall s | Delta: CPU s "
          "| CPU µs/event | CPU ÷ first row | Peak RSS MiB | Load |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for label, notes in by_label.items():
        wall = middle(notes, 0, "wall_s")
        cpu = median(n["cpu_s"] for n in notes)
        loads = [n["load"] for n in notes]
        cells = [
            label,
            str(len(notes)),
            show(wall and events / wall, ",.0f"),
            show(wall, ".2f"),
            show(middle(notes, 0, "cpu_s"), ".2f"),
            show(middle(notes, 1, "wall_s"), ".2f"),
            show(middle(notes, 1, "cpu_s"), ".2f"),
            show(cpu / (events + delta) * 1e6, ".1f"),
            show(cpu / floor, ".1f"),
            str(int(median(n["rss_mib"] for n in notes))),
            f"{min(loads)}–{max(loads)}",
        ]
        print("| " + " | ".join(cells) + " |")


def main():
    if len(sys.argv) > 5 and sys.argv[1] == "run" and sys.argv[4] == "--":
        run(sys.argv[2], sys.argv[3], sys.argv[5:])
    elif len(sys.argv) == 5 and sys.argv[1] == "table":
        table(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(__doc__)


main()
