"""Game 7 of the 2016 NBA Finals through a Groundswell pipeline, from comments to a chart.

    nba_timeline.py prepare|run|recount|draw|all --work FOLDER [--data FOLDER] [--program FILE]

prepare   writes FOLDER/entities.yaml and FOLDER/pipeline.yaml
run       `groundswell check`, then `groundswell run --until-done`; leaves view changelogs, alerts and run.json in FOLDER
recount   counts posts per player and minute again in plain Python and compares
draw      folds the changelogs into docs/nba-finals.csv and docs/nba-finals.svg

Standard library only. A run that was interrupted goes on where it stopped; one that is finished is not repeated.
"""

import argparse
import bisect
import csv
import gzip
import html
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POSTS, ROSTER = "events/nba_g7.jsonl.gz", "entities/nba_finals_2016_roster.json"
MINUTE = 60_000
PORT = 8097

# ---- the dictionary -------------------------------------------------------------------------------------------------

# Aliases of the roster that stand for something else more often than for the player in this thread.
DROPPED = {
    "James Jones": ["Champ"],  # "the champ is here"
    "Leandro Barbosa": ["LB"],  # pounds
    "Brandon Rush": ["Rush"],  # "rush hour", "endorphin rush"; his full name is still found
}

# Letter case is folded before matching, so "I love it" and "Love it" are one and the same: the alias stays, and the
# phrases in which the word is a verb or a noun are excluded.
LOVE = """i love|i'd love|i'll love|i do love|i also love|i really love|i fucking love|i just love|i always love|we love
you love|they love|y'all love|people love|everyone love|guys love|fans love|who love|would love|gotta love|got to love
have to love|must love|don't love|didn't love|in love|the love of|my love|much love|no love for|some love for|true love
bandwagon love|love/hate|love or hate|love him or|love it|love this|love that|love the|love these|love those|love you
love ya|love u|love how|love to|love when|love seeing|love watching|love my|love your|love our|love his|love a|love all
love of|love hearing|love it's|love me|love them|love him|love 'em|love em|love us|love their|love everything"""

EXCLUDED = {
    "Kevin Love": re.split(r"[|\n]", LOVE),
    "Stephen Curry": ["Ayesha Curry", "Seth Curry", "Dell Curry", "Riley Curry", "Sonya Curry", "Mrs. Curry", "Mrs Curry"],
    "Draymond Green": ["Green Day", "Danny Green", "Gerald Green", "Jeff Green", "green light"],
    "Mo Williams": ["Mo Buckets", "Mo Bucket", "Mo Speights", "Mo money", "Mo problems", "Mo Gotti"],
    "Anderson Varejao": ["Andy Grammer"],
    "Andre Iguodala": ["Andre Miller", "Andre Drummond"],
    "Richard Jefferson": ["Al Jefferson"],
}

# Names people use in this thread that the roster lacks.
ADDED = {"Draymond Green": ["Dramond"], "Kevin Love": ["Kev Love", "K Love"], "Marreese Speights": ["Mo Speights"]}


def entities(data):
    """The roster as the engine's entities: id → name, aliases, exclude."""
    roster = json.loads((data / ROSTER).read_text(encoding="utf-8"))["players"]
    out = {}
    for name, team, aliases in roster:
        key = re.sub(r"[^a-z]+", "-", name.lower()).strip("-")
        aliases = [a for a in aliases if a not in DROPPED.get(name, [])] + ADDED.get(name, [])
        out[key] = {"name": name, "aliases": aliases, "kind": team, "exclude": EXCLUDED.get(name, [])}
    return out


# ---- the pipeline ---------------------------------------------------------------------------------------------------

PIPELINE = """\
name: nba-finals
state: {{url: {state}}}
time: {{clock: event, strict: true}}
sources:
  posts: {{type: file, path: {posts}, into: posts}}
  players: {{type: file, path: entities.yaml, into: entities}}
link: {{exact: {{confidence: 0.95}}, fuzzy: false, inherit_from_parent: true}}
models:
  live: {{path: {model}, device: cpu}}
weight: {{kind: log1p}}
views:
  players:
    group_by: [entity]
    window: {{tumble: 1m, on: created_at}}
  players_5m:
    group_by: [entity]
    window: {{hop: {{size: 5m, every: 1m}}, on: created_at}}
  everyone:
    group_by: []
    window: {{tumble: 1m, on: created_at}}
rules:
  uproar: {{view: everyone, when: "posts > 550", clear: "posts < 400"}}
  souring: {{view: players_5m, when: "sentiment < -0.35", min_posts: 100, clear: "sentiment > -0.25", for: 2m}}
  delight: {{view: players_5m, when: "sentiment > 0.1", min_posts: 100, clear: "sentiment < 0", for: 2m}}
sinks:
  players: {{type: file, path: players.jsonl, from: players}}
  players_5m: {{type: file, path: players_5m.jsonl, from: players_5m}}
  everyone: {{type: file, path: everyone.jsonl, from: everyone}}
  alerts: {{type: file, path: alerts.jsonl, from: rules}}
  dead: {{type: file, path: dead_letters.jsonl, from: dead_letters}}
serve: {{http: "127.0.0.1:{port}"}}
"""


def prepare(data, work):
    """Writes the dictionary and the pipeline. JSON strings are YAML strings, so no YAML library is needed."""
    work.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entities(data).items()]
    (work / "entities.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = PIPELINE.format(
        state=json.dumps(f"file:{work / 'state'}"),
        posts=json.dumps(str(data / POSTS)),
        model=json.dumps(str(ROOT / "models/social")),
        port=PORT,
    )
    (work / "pipeline.yaml").write_text(text, encoding="utf-8")


def run(work, program):
    """Runs the pipeline to its end; what the metrics said last goes to run.json."""
    if (work / "run.json").exists():
        print("run: already done (remove the work folder to do it again)", file=sys.stderr)
        return
    pipeline = work / "pipeline.yaml"
    subprocess.run([program, "check", pipeline], check=True, stdout=subprocess.DEVNULL)
    metrics, stop = {}, threading.Event()

    def watch():
        while not stop.wait(1.0):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=2) as reply:
                    text = reply.read().decode()
            except OSError:
                continue
            metrics.update(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
            done = metrics.get("groundswell_scorer_texts_total", "0")
            print(f"run: {time.monotonic() - start:6.0f} s, {done} texts scored", file=sys.stderr)

    start = time.monotonic()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    subprocess.run([program, "run", pipeline, "--until-done"], check=True)
    wall = time.monotonic() - start
    stop.set()
    watcher.join()
    keep = {k: v for k, v in metrics.items() if "_bucket" not in k}
    report = {"wall_seconds": round(wall, 1), "machine": machine(), "metrics": keep}
    (work / "run.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"run: {wall:.0f} s in all", file=sys.stderr)


def machine():
    """CPU and core count, in words."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


# ---- reading what came out ------------------------------------------------------------------------------------------


def fold(path):
    """A view's changelog as its last state: (entity or None, window start in ms) → row."""
    rows, held = {}, []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            change = json.loads(line)
            if "progress" in change:  # what precedes it is committed
                for c in held:
                    start = datetime.fromisoformat(c["window_start"].replace("Z", "+00:00"))
                    key = (c["key"].get("entity"), round(start.timestamp() * 1000))
                    if c.get("gone"):
                        rows.pop(key, None)
                    else:
                        rows[key] = c
                held = []
            elif "window_start" in change:
                held.append(change)
    return rows


def posts(data):
    with gzip.open(data / POSTS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# ---- the independent recount ----------------------------------------------------------------------------------------


def phrase(text):
    return r"(?<!\w)" + re.escape(text.strip().casefold()) + r"(?!\w)"


def named(text, players):
    """The players a text names by whole words outside their exclude phrases."""
    text = re.sub(r"\s+", " ", text.casefold().replace("\u2019", "'"))
    found = set()
    for key, (names, excludes) in players.items():
        spans = [(m.start(1), m.end(1)) for m in names.finditer(text)]
        if spans and excludes:
            # Overlapping phrases count as one, hence the searches one character apart.
            covers = [(m.start(1), m.end(1)) for m in excludes.finditer(text)]
            covers = merged(covers)
            spans = [s for s in spans if not any(a <= s[0] and s[1] <= b for a, b in covers)]
        if spans:
            found.add(key)
    return found


def merged(spans):
    out = []
    for a, b in sorted(spans):
        if out and a < out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return out


def compiled(cast):
    def group(phrases):
        # A look-ahead finds overlapping matches; longest first, as an alternation takes the first that fits.
        ordered = sorted(phrases, key=len, reverse=True)
        return re.compile("(?=(" + "|".join(phrase(p) for p in ordered) + "))")

    return {
        key: (group([e["name"], *e["aliases"]]), group(e["exclude"]) if e["exclude"] else None)
        for key, e in cast.items()
    }


def recount(data, work):
    """Compares the engine's rows with counts made here, by their own words and with what replies inherit."""
    players = compiled(entities(data))
    listed = posts(data)
    own = {p["id"]: named(p["text"], players) for p in listed}
    parents = {p["id"]: p["parent"] for p in listed}

    def effective(post):
        seen = set()
        while post in own and post not in seen:
            if own[post]:
                return own[post]
            seen.add(post)
            post = parents[post]
        return set()

    direct, full = Counter(), Counter()
    for p in listed:
        minute = p["created_at"] // MINUTE * MINUTE
        for name in own[p["id"]]:
            direct[name, minute] += 1
        for name in effective(p["id"]):
            full[name, minute] += 1
    engine = {key: row["posts"] for key, row in fold(work / "players.jsonl").items()}
    minutes = Counter((None, p["created_at"] // MINUTE * MINUTE) for p in listed)
    whole = {key: row["posts"] for key, row in fold(work / "everyone.jsonl").items()}
    differ = {k for k in engine.keys() | full.keys() if engine.get(k, 0) != full.get(k, 0)}
    differ_all = {k for k in whole.keys() | minutes.keys() if whole.get(k, 0) != minutes.get(k, 0)}
    mentioned = sum(1 for p in listed if effective(p["id"]))
    print(f"recount: {len(listed)} posts, {sum(minutes.values())} in {len(whole)} minute rows, {len(differ_all)} rows differ")
    print(f"recount: {len(engine)} player rows, {sum(engine.values())} mentions in {mentioned} posts; "
          f"{sum(direct.values())} by the post's own words ({sum(1 for v in own.values() if v)} posts), "
          f"{sum(full.values()) - sum(direct.values())} inherited; {len(differ)} rows differ")
    for key in sorted(differ)[:20]:
        print(f"recount:   {key}: engine {engine.get(key, 0)}, here {full.get(key, 0)}")
    sums = [Counter(), Counter(), Counter()]
    for total, counts in zip(sums, (direct, full, engine)):
        for (name, _), n in counts.items():
            total[name] += n
    for name, n in sums[2].most_common(12):
        print(f"recount:   {name:<18} own words {sums[0][name]:>5}  with replies {sums[1][name]:>5}  engine {n:>5}")
    return not differ and not differ_all


if __name__ == "__main__":
    work, data = Path("/root/.cache/groundswell/nba-finals"), Path("/work/shared/data")
    prepare(data, work)
    run(work, ROOT / "target/release/groundswell")
