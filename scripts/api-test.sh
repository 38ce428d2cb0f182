#!/usr/bin/env bash
# The API as its clients see it (scripts/api/run.py), with target/release/groundswell. What it needs of Python is fetched
# once, into the cache (see scripts/setup.sh), and kept apart from the system's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${GROUNDSWELL_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/groundswell}
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "api: skipped, its tools need Python 3.10 or newer" >&2
    exit 0
fi
wanted=$({ cat scripts/api/requirements.txt; python3 --version; } | sha256sum | cut -c1-16)
tools=$cache/api-tools-$wanted
if [ ! -e "$tools/.complete" ]; then
    echo "api: fetching its tools into $tools" >&2
    rm -rf "$tools"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$tools" -r scripts/api/requirements.txt
    touch "$tools/.complete"
fi
PYTHONPATH=$tools exec python3 scripts/api/run.py target/release/groundswell
