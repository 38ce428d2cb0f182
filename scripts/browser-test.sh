#!/usr/bin/env bash
# The console as a user sees it, in headless Chromium: every page over the demo, what it says at the end, then revisions and a
# restart, phases and models, best times and events, and signing in. Leaves screenshots in target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v npm >/dev/null 2>&1; then echo "browser: skipped, Node.js is not installed" >&2; exit 0; fi
program=$PWD/target/release/groundswell
log=$(mktemp)
trap 'kill $demo 2>/dev/null || true; rm -f "$log"' EXIT
# It is told to end once it was looked at; the time is for a browser that hangs.
"$program" demo --for 170s --port 0 >"$log" 2>&1 &
demo=$!
url=
for _ in $(seq 200); do
    url=$(sed -n 's/^console at \(http[^ ]*\).*/\1/p' "$log")
    [ -n "$url" ] && break
    kill -0 $demo 2>/dev/null || { cat "$log"; echo "browser: the demo ended early" >&2; exit 1; }
    sleep 0.2
done
[ -n "$url" ] || { cat "$log"; echo "browser: the demo did not serve the console" >&2; exit 1; }
(cd connectors/console && node e2e/console.mjs "$url" ../../target/console.png --need-revision --need-alert) || { cat "$log"; exit 1; }
kill -TERM $demo
wait $demo || { cat "$log"; echo "browser: the demo failed" >&2; exit 1; }
tail -n 20 "$log"
# "N texts scored in P forward passes; F alerts fired, E resolved or retracted"
read -r scored fired ended < <(sed -n 's/^\([0-9]*\) texts scored in [0-9]* forward passes; \([0-9]*\) alerts fired, \([0-9]*\) resolved.*/\1 \2 \3/p' "$log")
if [ "${scored:-0}" -lt 1 ] || [ "${fired:-0}" -lt 1 ] || [ "${ended:-0}" -lt 1 ]; then
    echo "browser: expected scored texts and an alert that fired and ended; got scored=${scored:-0} fired=${fired:-0} ended=${ended:-0}" >&2
    exit 1
fi
(cd connectors/console && node e2e/revisions.mjs "$program" ../../target/revisions.png)
(cd connectors/console && node e2e/phases.mjs "$program" ../../target/phases.png)
(cd connectors/console && node e2e/insights.mjs "$program" ../../target/insights.png)
(cd connectors/console && node e2e/sign-in.mjs "$program" ../../target/sign-in.png)
echo "browser: 5 passed, 0 failed"
