#!/usr/bin/env bash
# Apache Kafka for the tests: its jars from Maven Central, pinned in scripts/kafka.jars, fetched once.
#
#   scripts/kafka.sh
#
# Into the cache (see scripts/setup.sh): kafka-…/ with the jars → linked as .deps/kafka. `scripts/setup.sh test` calls this
# and installs Java; the tests start the broker themselves (testing/src/kafka.rs).
# MAVEN_CENTRAL names a mirror. An interrupted run goes on where it stopped; a second run does nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cache=${GROUNDSWELL_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/groundswell}
name="kafka-4.3.1"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

if [ ! -e "$cache/$name/.complete" ]; then
    mkdir -p "$cache" || fail "cannot create the cache folder $cache (set GROUNDSWELL_CACHE to another place)"
    # One at a time; the second one finds everything there.
    exec 8>"$cache/.lock-kafka"
    if command -v flock >/dev/null 2>&1 && ! flock -n 8; then say "waiting for another set-up to finish"; flock 8; fi
    if [ ! -e "$cache/$name/.complete" ]; then
        free=$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')
        [ "$free" -gt 200000 ] || fail "$cache has $((free / 1024)) MiB free, fetching needs about 200 (set GROUNDSWELL_CACHE to another place)."
        say "fetching Apache Kafka 4.3.1 for the tests (44 MiB to download and on disk) into $cache"
        python3 "$here/fetch_jars.py" "$here/kafka.jars" "$cache/$name"
        touch "$cache/$name/.complete"
    fi
fi

if [ "$(readlink "$root/.deps/kafka" 2>/dev/null)" != "$cache/$name" ]; then
    mkdir -p "$root/.deps"
    ln -sfn "$cache/$name" "$root/.deps/kafka"
fi
