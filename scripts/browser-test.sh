#!/usr/bin/env bash
# The demo as a user sees it: runs it for a while, looks at the console in headless Chromium, and checks what it says at
# the end. Leaves the screenshot in target/console.png.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v npm >/dev/null 2>&1; then echo "browser: skipped, Node.js is not installed" >&2; exit 0; fi
log=$(mktemp)
trap 'kill $demo 2>/dev/null || true; rm -f "$log"' EXIT
target/release/groundswell demo --for 60s --port 0 >"$log" 2>&1 &
demo=$!
url=
for _ in $(seq 200); do
    url=$(sed -n 's/^console at \(http[^ ]*\).*/\1/p' "$log")
    [ -n "$url" ] && break
    kill -0 $demo 2>/dev/null || { cat "$log"; echo "browser: the demo ended early" >&2; exit 1; }
    sleep 0.2
done
[ -n "$url" ] || { cat "$log"; echo "browser: the demo did not serve the console" >&2; exit 1; }
(cd connectors/console && node e2e/console.mjs "$url" ../../target/console.png) || { cat "$log"; exit 1; }
wait $demo || { cat "$log"; echo "browser: the demo failed" >&2; exit 1; }
tail -n 20 "$log"
# "N texts scored in P forward passes; F alerts fired, E resolved or retracted"
read -r scored fired ended < <(sed -n 's/^\([0-9]*\) texts scored in [0-9]* forward passes; \([0-9]*\) alerts fired, \([0-9]*\) resolved.*/\1 \2 \3/p' "$log")
if [ "${scored:-0}" -lt 1 ] || [ "${fired:-0}" -lt 1 ] || [ "${ended:-0}" -lt 1 ]; then
    echo "browser: expected scored texts and an alert that fired and ended; got scored=${scored:-0} fired=${fired:-0} ended=${ended:-0}" >&2
    exit 1
fi
(cd connectors/console && node e2e/sign-in.mjs ../../target/release/groundswell ../../target/sign-in.png)
echo "browser: 2 passed, 0 failed"
