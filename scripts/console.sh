#!/usr/bin/env bash
# Builds the console into connectors/console/dist, which the binary embeds. Nothing is done twice.
#   scripts/console.sh [build|test]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../connectors/console"

if ! command -v npm >/dev/null 2>&1; then
    echo "console: Node.js is not installed, so the console is left out; the API works without it (https://nodejs.org, 20 or newer)" >&2
    exit 0
fi
sum() { find src index.html public package-lock.json vite.config.ts -type f 2>/dev/null | sort | xargs cat | sha256sum | cut -d' ' -f1; }
install() {
    local lock
    lock=$(sha256sum package-lock.json | cut -d' ' -f1)
    [ "$(cat node_modules/.installed 2>/dev/null)" = "$lock" ] && return 0
    echo "console: installing its build tools (npm ci)" >&2
    npm ci --no-audit --no-fund --loglevel=error >&2
    echo "$lock" >node_modules/.installed
}
now=$(sum)
if [ "$(cat dist/.built 2>/dev/null)" != "$now" ]; then
    install
    echo "console: building" >&2
    npm run --silent build >&2
    echo "$now" >dist/.built
fi
if [ "${1:-build}" = test ]; then
    install
    npm test --silent
fi
