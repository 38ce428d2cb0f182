#!/usr/bin/env bash
# Job J: the same posts through Groundswell and its peers, one after the other, and a Markdown table of what each cost.
#
#   benches/job-j.sh                      2,000,000 posts and a delta of 100,000; three runs of each engine
#   EVENTS=50000 DELTA=5000 RUNS=1 …      smaller
#   PROFILE=release …                     ours as `make build` builds it: minutes less to build, slower
#   WITH_DBSP=1 …                         DBSP too; its build takes many minutes
#
# The generator, the oracle and the peers' programs are read from GROUNDSWELL_PEERS (default ../shared/peers, seen from
# the repository). All that is built or written lies below GROUNDSWELL_CACHE (default ~/.cache/groundswell).
set -euo pipefail
repo="$(cd "$(dirname "$0")/.." && pwd)"
peers="${GROUNDSWELL_PEERS:-$repo/../shared/peers}"
cache="${GROUNDSWELL_CACHE:-$HOME/.cache/groundswell}/bench"
events="${EVENTS:-2000000}" delta="${DELTA:-100000}" seed="${SEED:-42}" runs="${RUNS:-3}"
profile="${PROFILE:-dist}"

say() { echo "job-j: $*" >&2; }
fail() { say "$*"; exit 1; }

command -v python3 >/dev/null || fail "python3 is not on the PATH; the generator, the oracle and the table need it."
command -v cargo >/dev/null || fail "cargo is not on the PATH; see README.md."
needed=(gen.py oracle_naive.py check.py handrolled/Cargo.toml)
[ -z "${WITH_DBSP:-}" ] || needed+=(dbsp/Cargo.toml)
for file in "${needed[@]}"; do
    [ -f "$peers/$file" ] || fail "no $file in $peers; set GROUNDSWELL_PEERS to the peers' folder."
done
peers="$(cd "$peers" && pwd)"
mkdir -p "$cache/tmp"
export TMPDIR="$cache/tmp"

data="$cache/data-$events-$delta-$seed"
if [ ! -f "$data/complete" ]; then
    say "generating $events + $delta records, seed $seed, in $data"
    python3 "$peers/gen.py" "$data" "$events" "$delta" "$seed" >&2
    touch "$data/complete"
fi
base="$data/events.jsonl" more="$data/delta.jsonl" aliases="$data/aliases.csv"

# A peer is built from a copy, so that nothing is written into the peers' folder.
build_peer() {
    mkdir -p "$cache/src/$1/src"
    for file in Cargo.toml Cargo.lock src/main.rs; do
        [ ! -f "$peers/$1/$file" ] || install -m 644 "$peers/$1/$file" "$cache/src/$1/$file"
    done
    say "building $1"
    CARGO_TARGET_DIR="$cache/$1" nice -n 19 cargo build --quiet --release -j "${JOBS:-1}" \
        --manifest-path "$cache/src/$1/Cargo.toml"
}
build_peer handrolled
[ -z "${WITH_DBSP:-}" ] || build_peer dbsp
say "building job-j (profile $profile; dist, as it is shipped, takes many minutes)"
cargo build --quiet --profile "$profile" --manifest-path "$repo/Cargo.toml" -p groundswell-benches --bin job-j
target="${CARGO_TARGET_DIR:-$repo/target}/$profile"

for set in base delta; do
    [ $set = base ] && files=("$base") || files=("$base" "$more")
    expected="$data/expected-$set.csv"
    if [ ! -f "$expected" ]; then
        say "computing the answer after $set with the plain-Python oracle"
        python3 "$peers/oracle_naive.py" "$expected.part" "$aliases" "${files[@]}"
        mv "$expected.part" "$expected"
    fi
    for workers in 1 2; do
        say "checking ours after $set, workers: $workers"
        "$target/job-j" $workers "$aliases" "$cache/tmp/got.csv" "${files[@]}" >&2
        python3 "$peers/check.py" "$expected" "$cache/tmp/got.csv" >&2
    done
done
rm -f "$cache/tmp/got.csv"

results="$cache/results-$(date +%Y%m%dT%H%M%S).jsonl"
measure() { say "$1"; python3 "$repo/benches/measure.py" run "$results" "$1" -- "${@:2}"; }
for _ in $(seq "$runs"); do
    measure "hand-written loop" "$cache/handrolled/release/handrolled" "$aliases" - "$base" "$more"
    for workers in 1 2; do
        measure "Groundswell, workers: $workers" "$target/job-j" $workers "$aliases" - "$base=$events" "$more=$delta"
    done
    if [ -n "${WITH_DBSP:-}" ]; then
        for workers in 1 2; do
            measure "DBSP, workers: $workers" "$cache/dbsp/release/dbsp_peer" $workers 50000 "$aliases" - "$base" "$more"
        done
    fi
done
python3 "$repo/benches/measure.py" table "$results" "$events" "$delta"
say "every single run is in $results"
