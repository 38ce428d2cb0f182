"""Game 7 of the 2016 NBA Finals through a Groundswell pipeline, from comments to a chart.

    nba_timeline.py prepare|run|recount|draw|all --work FOLDER [--data FOLDER] [--program FILE]

prepare   writes FOLDER/entities.yaml and FOLDER/pipeline.yaml
run       `groundswell check`, then `groundswell run --until-done`; leaves view changelogs, alerts and run.json in FOLDER
recount   counts posts per player and minute again in plain Python and compares
draw      folds the changelogs into docs/nba-finals.csv and docs/nba-finals.svg

Standard library only. A run that was interrupted goes on where it stopped; one that is finished is not repeated.
"""

import argparse
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
from collections import Counter
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
  posts: {{type: file, path: {posts}, into: posts, deleted_body: text}}
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
    metrics, said, stop = {}, [None], threading.Event()

    def watch():
        while not stop.wait(1.0):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=2) as reply:
                    text = reply.read().decode()
            except OSError:
                continue
            metrics.update(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
            done = metrics.get("groundswell_scorer_texts_total", "0")
            if done != said[0]:
                said[0] = done
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
            covers = merged((m.start(1), m.end(1)) for m in excludes.finditer(text))
            spans = [s for s in spans if not any(a <= s[0] and s[1] <= b for a, b in covers)]
        if spans:
            found.add(key)
    return found


def merged(spans):
    """Overlapping spans as one."""
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
    print(f"recount: {len(listed)} posts, {sum(minutes.values())} in {len(whole)} minute rows, "
          f"{len(differ_all)} rows differ")
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



# ---- the picture ----------------------------------------------------------------------------------------------------

# The five the story is about and the one the thread argued about most; colours told apart by all common eyes.
DRAWN = [
    ("lebron-james", "LeBron James", "#0072B2"),
    ("kyrie-irving", "Kyrie Irving", "#009E73"),
    ("kevin-love", "Kevin Love", "#8a5a83"),
    ("stephen-curry", "Stephen Curry", "#D55E00"),
    ("draymond-green", "Draymond Green", "#b07d00"),
    ("harrison-barnes", "Harrison Barnes", "#56808f"),
]
# Moments of the game, by the minute in which the thread's words jump (see docs/nba-finals.md).
MOMENTS = [("02:29", "the Block"), ("02:32", "Kyrie\u2019s three"), ("02:38", "final buzzer")]
DAY = int(datetime(2016, 6, 20, tzinfo=timezone.utc).timestamp() * 1000)
FROM, UNTIL = DAY, DAY + 180 * MINUTE
QUIET = 10  # fewer posts in five minutes draw no line


def clock(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%H:%M")


def number(x):
    return "" if x is None else f"{x:.4f}"


def five_minutes(rows, key, start):
    """\u03a3w\u00b7x / \u03a3w over the five minutes from `start`, from the minutes' rows."""
    parts = [rows.get((key, start + i * MINUTE)) for i in range(5)]
    parts = [r for r in parts if r and r["sentiment"] is not None]
    weight = sum(r["weight"] for r in parts)
    return sum(r["weight"] * r["sentiment"] for r in parts) / weight if weight else None


def draw(work, docs):
    rows, smooth = fold(work / "players.jsonl"), fold(work / "players_5m.jsonl")
    rows.update(fold(work / "everyone.jsonl"))
    worst = 0.0
    for (key, start), row in smooth.items():
        again = five_minutes(rows, key, start)
        if again is not None:
            worst = max(worst, abs(again - row["sentiment"]))
    print(f"draw: {len(smooth)} five-minute rows equal the sums of their minutes within {worst:.1e}")
    series = {}
    with open(docs / "nba-finals.csv", "w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["minute_utc", "player", "posts", "scored", "weight", "sentiment", "sentiment_ci",
                        "posts_5m", "sentiment_5m", "sentiment_5m_ci"])
        for key, name, _ in [*DRAWN, (None, "(all posts)", "")]:
            for start in range(FROM, UNTIL, MINUTE):
                row = rows.get((key, start))
                # The five minutes around this one; all posts have no such view, their sums do as well.
                wide = smooth.get((key, start - 2 * MINUTE))
                if key is None:
                    parts = [rows.get((None, start + i * MINUTE)) for i in range(-2, 3)]
                    wide = {"posts": sum(p["posts"] for p in parts if p), "sentiment_ci": None,
                            "sentiment": five_minutes(rows, None, start - 2 * MINUTE)}
                series[key, start] = (row, wide)
                r, w = row or {}, wide or {}
                table.writerow([datetime.fromtimestamp(start / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), name,
                                r.get("posts", 0), r.get("scored", 0), number(r.get("weight", 0)),
                                number(r.get("sentiment")), number(r.get("sentiment_ci")),
                                w.get("posts", 0), number(w.get("sentiment")), number(w.get("sentiment_ci"))])
    (docs / "nba-finals.svg").write_text(picture(series), encoding="utf-8")


LEFT, RIGHT, TOP, PANEL, GAP, VOLUME = 150, 1060, 92, 84, 12, 110
LOW, HIGH = -0.8, 0.8


def picture(series):
    """Small multiples, one panel a player, and the volume of all comments below, on one axis of time."""

    def x(ms):
        return LEFT + (ms + MINUTE / 2 - FROM) / (UNTIL - FROM) * (RIGHT - LEFT)

    bottom = TOP + len(DRAWN) * (PANEL + GAP)
    height = bottom + 26 + VOLUME + 52
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1100 {height}" width="1100" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#333" role="img" '
        'aria-labelledby="t d"><title id="t">Sentiment per player during game 7 of the 2016 NBA Finals</title>'
        '<desc id="d">One panel per player: vote-weighted sentiment over time with its 95 % interval; below, comments '
        "per minute.</desc>",
        f'<rect width="1100" height="{height}" fill="#fff"/>',
        '<text x="20" y="28" font-size="18" font-weight="bold" fill="#111">Game 7, 2016 NBA Finals: how the live thread '
        "felt about six players</text>",
        '<text x="20" y="48" fill="#555">Vote-weighted sentiment (\u22121 to 1), mean of the five minutes around each '
        "minute, band: 95 % interval; dotted: all comments. No line below "
        f"{QUIET} comments.</text>",
    ]
    guides = []
    for label, text in MOMENTS:
        at = x(FROM + (int(label[:2]) * 60 + int(label[3:])) * MINUTE)
        anchor, dx = {"02:29": ("end", -3), "02:32": ("middle", 0), "02:38": ("start", 3)}[label]
        row = 68 if label == "02:32" else 82
        guides.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{row + 4}" y2="{height - 52}" stroke="#555" '
                      'stroke-width="0.8" stroke-dasharray="3 3"/>')
        svg.append(f'<text x="{at + dx:.1f}" y="{row}" text-anchor="{anchor}" fill="#111">{text} {label}</text>')
    for i, (key, name, colour) in enumerate(DRAWN):
        svg += panel(series, key, name, colour, TOP + i * (PANEL + GAP), x)
    svg += volume(series, bottom + 26, x)
    svg += guides
    for start in range(FROM, UNTIL + 1, 15 * MINUTE):
        at = x(start - MINUTE / 2)
        svg.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{height - 52}" y2="{height - 47}" stroke="#666"/>')
        svg.append(f'<text x="{at:.1f}" y="{height - 33}" text-anchor="middle">{clock(start)}</text>')
    svg.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{height - 12}" text-anchor="middle" fill="#555">'
               "UTC, 20 June 2016 (Pacific time + 7 h)</text></svg>")
    return "\n".join(svg) + "\n"


def panel(series, key, name, colour, top, x):
    def y(v):
        return top + (HIGH - min(max(v, LOW), HIGH)) / (HIGH - LOW) * PANEL

    total = sum(series[key, s][0]["posts"] for s in range(FROM, UNTIL, MINUTE) if series[key, s][0])
    svg = [f'<rect x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{PANEL}" fill="#fafafa" stroke="#ddd"/>']
    for v in (-0.5, 0, 0.5):
        label = "0" if v == 0 else f"{v:+.1f}".replace("-", "\u2212")
        stroke = "#bbb" if v == 0 else "#e6e6e6"
        svg.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="{stroke}"/>')
        svg.append(f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end" font-size="10" fill="#666">'
                   f'{label}</text>')
    svg.append(f'<text x="20" y="{top + 32}" font-weight="bold" fill="{colour}">{html.escape(name)}</text>')
    svg.append(f'<text x="20" y="{top + 48}" font-size="11" fill="#666">{total:,} comments</text>')
    everyone = [(x(s), y(series[None, s][1]["sentiment"])) for s in range(FROM, UNTIL, MINUTE)
                if series[None, s][1]["sentiment"] is not None]
    svg.append(line(everyone, "#888", 'stroke-width="1" stroke-dasharray="1 3"'))
    for piece in pieces(series, key):
        band = [(x(s), y(w["sentiment"] + (w["sentiment_ci"] or 0))) for s, w in piece]
        band += [(x(s), y(w["sentiment"] - (w["sentiment_ci"] or 0))) for s, w in reversed(piece)]
        svg.append(f'<polygon points="{points(band)}" fill="{colour}" fill-opacity="0.18"/>')
        svg.append(line([(x(s), y(w["sentiment"])) for s, w in piece], colour, 'stroke-width="1.8"'))
    return svg


def pieces(series, key):
    """Runs of minutes with enough posts to say something."""
    piece = []
    for start in range(FROM, UNTIL, MINUTE):
        wide = series[key, start][1]
        if wide and wide["posts"] >= QUIET and wide["sentiment"] is not None:
            piece.append((start, wide))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def points(xy):
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in xy)


def line(xy, colour, style):
    return f'<polyline points="{points(xy)}" fill="none" stroke="{colour}" {style}/>'


def volume(series, top, x):
    counts = {s: (series[None, s][0] or {"posts": 0})["posts"] for s in range(FROM, UNTIL, MINUTE)}
    most = 200 * -(-max(counts.values()) // 200)
    svg = [f'<text x="20" y="{top + 32}" font-weight="bold">Comments</text>',
           f'<text x="20" y="{top + 48}" font-size="11" fill="#666">per minute, all</text>']
    for n in range(0, most + 1, 400):
        at = top + VOLUME - n / most * VOLUME
        svg.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e6e6e6"/>')
        svg.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" font-size="10" fill="#666">{n}</text>')
    width = (RIGHT - LEFT) / len(counts)
    for start, n in counts.items():
        tall = n / most * VOLUME
        svg.append(f'<rect x="{x(start) - width / 2 + 0.4:.1f}" y="{top + VOLUME - tall:.1f}" width="{width - 0.8:.1f}" '
                   f'height="{tall:.1f}" fill="#8c8c8c"/>')
    return svg


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["prepare", "run", "recount", "draw", "all"])
    parser.add_argument("--work", type=Path, required=True, help="folder for the state and the views")
    folder = os.environ.get("GROUNDSWELL_DATA") or ROOT / "../shared/data"
    parser.add_argument("--data", type=Path, default=Path(folder), help="folder with events/ and entities/")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/groundswell")
    args = parser.parse_args()
    data, work = args.data.resolve(), args.work.resolve()
    for path in (POSTS, ROSTER):
        if not (data / path).exists():
            print(f"nba-timeline: no {path} in {data}; point GROUNDSWELL_DATA at the data folder", file=sys.stderr)
            return 3
    if args.step in ("prepare", "all"):
        prepare(data, work)
    if args.step in ("run", "all"):
        run(work, args.program)
    same = recount(data, work) if args.step in ("recount", "all") else True
    if args.step in ("draw", "all"):
        draw(work, ROOT / "docs")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
