#!/usr/bin/env bash
# Writes the reference pages from the code, or checks that the committed ones are what the code says.
#   scripts/reference.sh write|check
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=docs/reference
mkdir -p "$folder"
stale=0
for file in config.md metrics.md cli.md schemas.md openapi.json; do
    fresh=$(mktemp)
    target/release/groundswell reference "${file%.*}" >"$fresh"
    if [ "$1" = write ]; then
        mv "$fresh" "$folder/$file" && chmod 644 "$folder/$file"
    elif ! diff -u "$folder/$file" "$fresh"; then
        stale=1
    fi
    rm -f "$fresh"
done
[ "$stale" = 0 ] || { echo "reference: the pages above are out of date; run \`make docs\`" >&2; exit 1; }
