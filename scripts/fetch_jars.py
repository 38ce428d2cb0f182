"""Fetches the jars that a list pins, into one folder.

usage: fetch_jars.py LIST DEST

Each line of LIST is a SHA-256, a size in bytes and a path below Maven Central (or below MAVEN_CENTRAL, a mirror). A jar
whose digest is right is kept; one that arrived in part is gone on with; nothing that differs from its digest stays.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CENTRAL = os.environ.get("MAVEN_CENTRAL", "https://repo1.maven.org/maven2").rstrip("/")
TRIES = 5
SECONDS = 60
REPORT_EVERY = 3.0


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file) -> str:
    total = hashlib.sha256()
    while block := file.read(1 << 20):
        total.update(block)
    return total.hexdigest()


class Progress:
    """Says how far the whole is, every few seconds."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.last = total, 0, time.monotonic()

    def add(self, count: int) -> None:
        """Counts bytes that are there now."""
        self.done += count
        if time.monotonic() - self.last > REPORT_EVERY:
            self.last = time.monotonic()
            print(f"setup:   {self.done >> 20} of {self.total >> 20} MiB", file=sys.stderr, flush=True)


def fetch(url: str, part: Path, size: int, progress: Progress) -> None:
    """Appends what is missing of a file to `part`."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        # A server that knows no ranges sends the whole.
        mode = "ab" if answer.status == 206 else "wb"
        with part.open(mode) as file:
            while block := answer.read(1 << 17):
                file.write(block)
                progress.add(len(block))


def obtain(path: str, sha256: str, size: int, dest: Path, progress: Progress) -> None:
    """Makes sure that a jar is there, whole."""
    jar = dest / path.rsplit("/", 1)[-1]
    if jar.exists() and jar.stat().st_size == size and digest(jar) == sha256:
        progress.add(size)
        return
    part = jar.with_suffix(".part")
    for attempt in range(1, TRIES + 1):
        try:
            fetch(f"{CENTRAL}/{path}", part, size, progress)
            if digest(part) == sha256:
                part.rename(jar)
                return
            part.unlink()
            problem = "its digest is not the one pinned in scripts/kafka.jars"
        except (urllib.error.URLError, OSError) as error:
            problem = str(error)
        if attempt < TRIES:
            time.sleep(attempt)
    sys.exit(f"setup: could not fetch {CENTRAL}/{path}: {problem}. What arrived is kept; run this again to go on.")


def main() -> None:
    """Fetches all jars of a list."""
    lines = Path(sys.argv[1]).read_text().splitlines()
    pins = [line.split() for line in lines if line and not line.startswith("#")]
    dest = Path(sys.argv[2])
    dest.mkdir(parents=True, exist_ok=True)
    progress = Progress(sum(int(size) for _, size, _ in pins))
    for sha256, size, path in pins:
        obtain(path, sha256, int(size), dest, progress)


if __name__ == "__main__":
    main()
