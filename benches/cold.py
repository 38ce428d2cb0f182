"""How long a program takes from its start to its first answer, without a model.

cold.py [PROGRAM=target/release/groundswell] [RUNS=20]

A pipeline over a file of 1,000 posts that brought their sentiment, with no state: from the start of the process to the first
page of the view that is answered with 200, and to one that has every post in it. Prints medians and the greatest.
"""
import json, pathlib, socket, statistics, subprocess, sys, tempfile, time, urllib.request

POSTS = 1_000
PIPELINE = """name: cold
sources: {{posts: {{type: file, path: posts.jsonl, into: posts, map: {{sentiment: sentiment}}}}}}
models: {{live: given}}
views: {{by_source: {{group_by: [source], window: {{tumble: 1d}}}}}}
serve: {{http: "127.0.0.1:{port}"}}
"""


def asked(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/views/by_source", timeout=5) as answer:
            return sum(row["posts"] for row in json.load(answer)["data"])
    except OSError:
        return None


def run(program):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "p.yaml").write_text(PIPELINE.format(port=port))
        with open(folder / "posts.jsonl", "w") as posts:
            for n in range(POSTS):
                post = {"id": f"p{n}", "source": "s", "thread": f"t{n % 7}", "text": f"post {n}", "sentiment": 0.5,
                        "created_at": 1_767_225_600_000 + n}
                posts.write(json.dumps(post) + "\n")
        began = time.perf_counter()
        engine = subprocess.Popen([program, "run", "p.yaml"], cwd=folder, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        first = None
        try:
            while engine.poll() is None:
                there = asked(port)
                if there is not None:
                    first = first or time.perf_counter() - began
                if there == POSTS:
                    return first, time.perf_counter() - began
                time.sleep(0.002)
            sys.exit(f"{program} ended by itself with {engine.returncode}")
        finally:
            engine.terminate()
            engine.wait()


program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/groundswell").resolve()
runs = [run(program) for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 20)]
for what, times in zip(("first answer", "all posts in it"), zip(*runs)):
    print(f"{what}: n={len(times)} median_ms={statistics.median(times) * 1e3:.0f} max_ms={max(times) * 1e3:.0f}")
