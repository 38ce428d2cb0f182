#!/usr/bin/env python3
"""Draws the CSV of `kafka latency --csv` as an SVG: memory, state on disk, lag and lateness over time.

    scripts/soak_chart.py soak.csv docs/soak.svg "5,000 records/s for 30 minutes"
"""

import csv
import sys
from html import escape

WIDTH, PANEL, LEFT, TOP, GAP = 860, 150, 70, 46, 42
PANELS = [
    ("resident memory (MiB)", "rss_mib", "#2563eb"),
    ("state on disk (MiB)", "state_mib", "#0f766e"),
    ("records not yet committed by the consumer groups", "lag_records", "#b45309"),
    ("latest row of ten seconds, event to Postgres (ms)", "latest_row_ms", "#be123c"),
]


def nice(top):
    """The least round number that is not below `top`."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * 4 >= top:
                return step * factor * 4
        step *= 10


def panel(rows, title, column, colour, y):
    seconds = [float(row["seconds"]) for row in rows]
    values = [float(row[column]) for row in rows]
    end, top = max(seconds), nice(max(values) or 1)
    inner = WIDTH - LEFT - 20
    at = lambda s, v: f"{LEFT + inner * s / end:.1f},{y + PANEL - PANEL * v / top:.1f}"
    out = [f'<text x="{LEFT}" y="{y - 8}" class="t">{escape(title)}</text>']
    for quarter in range(5):
        line = y + PANEL - PANEL * quarter / 4
        out.append(f'<path d="M{LEFT} {line}H{WIDTH - 20}" class="g"/>')
        out.append(f'<text x="{LEFT - 8}" y="{line + 4}" class="n">{top * quarter / 4:g}</text>')
    points = " ".join(at(s, v) for s, v in zip(seconds, values))
    out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return out


def main():
    source, target, title = sys.argv[1:4]
    with open(source, newline="") as file:
        rows = list(csv.DictReader(file))
    height = TOP + len(PANELS) * (PANEL + GAP) + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<style>.t{font-size:13px;font-weight:600}.n{font-size:11px;text-anchor:end;fill:#555}"
        ".m{font-size:11px;text-anchor:middle;fill:#555}.g{stroke:#ddd}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="15" font-weight="700">{escape(title)}</text>',
    ]
    y = TOP + 8
    for name, column, colour in PANELS:
        out += panel(rows, name, column, colour, y)
        y += PANEL + GAP
    end = max(float(row["seconds"]) for row in rows)
    for sixth in range(7):
        x = LEFT + (WIDTH - LEFT - 20) * sixth / 6
        out.append(f'<text x="{x:.1f}" y="{height - 16}" class="m">{end * sixth / 6 / 60:.0f} min</text>')
    out.append("</svg>")
    with open(target, "w") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
