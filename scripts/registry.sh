#!/usr/bin/env bash
# A real schema registry to run the tests against: Apicurio from Maven Central, in memory, until it is interrupted.
#
#   scripts/registry.sh [PORT]
#   GROUNDSWELL_TEST_REGISTRY=http://127.0.0.1:18081/apis/ccompat/v7 cargo test --release -p groundswell-connectors --test kafka registry
#
# Not part of `make test`: it is 142 MB to download and takes up to two minutes to start, and the tests have a small registry of
# their own (testing/src/registry.rs). Needs Java 11 or newer. MAVEN_CENTRAL names a mirror.
set -euo pipefail

port=${1:-18081}
cache=${GROUNDSWELL_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/groundswell}
version=2.6.13.Final
folder="$cache/apicurio-$version"

if [ ! -e "$folder/.complete" ]; then
    mkdir -p "$folder"
    archive="apicurio-registry-app/$version/apicurio-registry-app-$version-all.tar.gz"
    echo "registry: fetching Apicurio $version (142 MB) into $folder" >&2
    curl -fsSL "${MAVEN_CENTRAL:-https://repo1.maven.org/maven2}/io/apicurio/$archive" | tar -xz -C "$folder"
    touch "$folder/.complete"
fi
echo "registry: starting; when it serves: GROUNDSWELL_TEST_REGISTRY=http://127.0.0.1:$port/apis/ccompat/v7" >&2
cd "$folder"
QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT=$port exec java -Xmx384m -jar "apicurio-registry-app-$version-runner.jar"
