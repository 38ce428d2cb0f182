#!/usr/bin/env python3
"""The API as its clients see it, against a running engine: run.py GROUNDSWELL

1. schemathesis asks everything the OpenAPI document allows, and much that it does not: no answer may be a server error or
   differ from the document. Bounded: some thousand requests, always the same ones.
2. The clients in examples/ follow a view while it changes; what they hold in the end is what HTTP says.
3. curl follows it as server-sent events.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VIEW = "by_minute"
THREAD = "t3_starlight0"
SECONDS = 15
EXAMPLES = 30
SEED = 2026
# Streams without an end, and upgrades: the clients below use them.
STREAMS = ("/ws", "/ws/sentiment", "/ws/thread/{thread}", "/api/v1/events")


def fail(message):
    sys.exit(f"api: {message}")


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def started(program, folder):
    """The engine and its address."""
    shutil.copy(HERE / "pipeline.yaml", folder)
    log = open(folder / "log", "w+")
    engine = subprocess.Popen([program, "run", folder / "pipeline.yaml"], stdout=log, stderr=log)
    for _ in range(300):
        found = re.search(r"serving (http://\S+)", (folder / "log").read_text())
        if found:
            return engine, found[1]
        if engine.poll() is not None:
            break
        time.sleep(0.1)
    fail("the engine does not serve:\n" + (folder / "log").read_text())


def until(what, holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    fail(f"never: {what}")


def listed(url):
    """All rows of the view, page by page."""
    rows, cursor = [], ""
    while cursor is not None:
        page = get(f"{url}/api/v1/views/{VIEW}?limit=1000{cursor}")
        rows += page["data"]
        after = page["metadata"]["next_cursor"]
        cursor = f"&cursor={after}" if after else None
    return canonical(rows)


def canonical(rows):
    """Rows as sorted text. Some languages write 1.0 as 1."""
    same = lambda value: float(value) if isinstance(value, (int, float)) else value
    return sorted(json.dumps({k: same(v) for k, v in row.items()}, sort_keys=True) for row in rows)


def clients(url, folder):
    """Commands of all clients that there are tools for, by name."""
    ws, view = url.replace("http", "ws", 1) + "/ws", [VIEW, str(SECONDS)]
    result = {"python": [sys.executable, ROOT / "examples/python/follow.py", ws, *view]}
    tsc = ROOT / "connectors/console/node_modules/.bin/tsc"
    if tsc.exists():
        made = folder / "follow.js"
        options = "--target es2022 --module es2022 --lib es2022,dom --strict --outDir".split()
        subprocess.run([tsc, ROOT / "examples/typescript/follow.ts", *options, folder], check=True)
        script = made.rename(folder / "follow.mjs")
        result["typescript"] = ["node", "--experimental-websocket", "--no-warnings", script, ws, *view]
    else:
        print("api: the TypeScript client is skipped, Node.js is not installed")
    result["curl"] = ["curl", "-sN", "--max-time", view[1], f"{url}/api/v1/events?view={VIEW}"]
    return result


def folded(events):
    """The rows at the end of server-sent events."""
    rows, key, complete = {}, [], False
    for event in events.split("\n\n"):
        data = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
        if not data:
            continue
        frame = json.loads("\n".join(data))
        if frame["type"] == "snapshot":
            rows, key = {}, frame["key"]
        for row in frame.get("rows", []):
            rows[tuple(row[name] for name in key)] = row
        for row in frame.get("gone", []):
            rows.pop(tuple(row[name] for name in key), None)
        complete = frame["type"] == "progress"
    assert complete or rows, "no events"
    return canonical(rows.values())


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def schemathesis(url, folder):
    """Fails if the server answers with an error of its own or otherwise than documented."""
    alert = get(f"{url}/api/v1/alerts?limit=1")["data"][0]["id"]
    post = get(f"{url}/api/v1/posts?limit=1")["data"][0]["id"]
    model = get(f"{url}/api/v1/models")["data"][-1]["name"]
    # A view takes the columns it has.
    group = {"query.group": {"thread": THREAD}}
    known = {
        "/api/v1/views/{view}": {"path.view": VIEW, **group},
        "/api/v1/views/{view}/export": {"path.view": VIEW, **group},
        "/api/v1/posts/{id}": {"path.id": post},
        "/api/v1/alerts/{id}": {"path.id": alert},
        "/api/v1/alerts/{id}/explain": {"path.id": alert},
        "/api/v1/models/{model}/comparison": {"path.model": model},
        "/api/v1/models/{model}/promote": {"path.model": model},
        "/api/v1/sinks/{sink}/{action}": {"path.sink": "alerts"},
        "/api/posts/{id}": {"path.id": post},
        "/api/threads/{thread}": {"path.thread": THREAD},
        "/api/threads/{thread}/cast": {"path.thread": THREAD},
        "/api/threads/{thread}/cast/{member}": {"path.thread": THREAD},
        "/api/threads/{thread}/timeline": {"path.thread": THREAD},
    }
    # What is opaque cannot be made up: cursors are followed by the tests in Rust.
    lines = ["[parameters]", '"query.cursor" = ""', ""]
    for path, values in known.items():
        lines += ["[[operations]]", f"include-path = {json.dumps(path)}"]
        lines += [f"parameters.{json.dumps(name)} = {toml(value)}" for name, value in values.items()] + [""]
    config = folder / "schemathesis.toml"
    config.write_text("\n".join(lines))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", f"{url}/openapi.json"]
    command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--no-color"]
    # Which columns a view has, and which hours are kept, is the pipeline's: the document cannot promise that all of them
    # are accepted. What is refused must be refused as documented.
    command += ["--exclude-checks", "positive_data_acceptance"]
    command += [part for path in STREAMS for part in ("--exclude-path", path)]
    # Its own folder: it leaves a database of examples where it runs.
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        fail("schemathesis found something:\n" + done.stdout)
    counted = re.search(r"(\d+) generated", done.stdout)
    print(f"api: schemathesis asked {counted[1] if counted else '?'} times and found nothing")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        engine, url = started(program, folder)
        try:
            until("rows", lambda: get(f"{url}/api/v1/views/{VIEW}")["metadata"]["total"] > 10)
            followers = {
                name: subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                for name, command in clients(url, folder).items()
            }
            until("an alert", lambda: get(f"{url}/api/v1/alerts?limit=1")["data"])
            said = {name: follower.communicate()[0] for name, follower in followers.items()}
            rows = listed(url)
            for name, text in said.items():
                lines = folded(text) if name == "curl" else canonical(map(json.loads, text.splitlines()))
                if lines != rows:
                    missing, extra = set(rows) - set(lines), set(lines) - set(rows)
                    fail(f"{name} holds {len(lines)} rows, HTTP says {len(rows)}: {list(missing)[:2]} {list(extra)[:2]}")
            print(f"api: {', '.join(said)} hold the {len(rows)} rows that HTTP shows")
            schemathesis(url, folder)
            # It may have been paused last, and what it has not taken would be told at the end.
            urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/sinks/alerts/resume", method="POST"), timeout=30)
            if engine.poll() is not None:
                fail("the engine ended:\n" + (folder / "log").read_text())
        finally:
            engine.terminate()
            if engine.wait(60) != 0:
                fail("the engine did not end well:\n" + (folder / "log").read_text())


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
