#!/usr/bin/env bash
# Game 7 of the 2016 NBA Finals, 45,962 comments, through the whole graph with the real model: docs/nba-finals.{csv,svg}.
#
#   scripts/nba-timeline.sh [prepare|run|recount|draw|all] [FOLDER]
#
# FOLDER (default: in the cache) keeps the state and the views. Needs the built program and the data folder named by
# GROUNDSWELL_DATA. A run that was interrupted goes on; one that is finished is only drawn and recounted again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GROUNDSWELL_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/groundswell}
exec nice -n 10 python3 "$here/nba_timeline.py" "${1:-all}" --work "${2:-$cache/nba-finals}"
