#!/usr/bin/env bash
# Provides target/tools/nats-server for the tests of replicas: bash tests/nats-server.sh
#
# Uses the one on the PATH if it is new enough, else unpacks that of Debian trixie.
set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest version with `jetstream { sync_interval: always }`. It is also in
# crates/testkit/src/nats/program.rs.
OLDEST=2.10

program=$PWD/target/tools/nats-server

fail() {
    printf 'tests/nats-server.sh: %s\n' "$*" >&2
    printf 'Put nats-server %s or later on the PATH: https://nats.io/download\n' "$OLDEST" >&2
    exit 1
}

# is_new_enough PROGRAM
is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null) || return 1
    printf '%s\n' "$OLDEST" "${version##*v}" | sort -V -C
}

mkdir -p target/tools
if is_new_enough "$program"; then
    exit
fi
if on_path=$(command -v nats-server) && is_new_enough "$on_path"; then
    ln -sf "$on_path" "$program"
    exit
fi
bash tests/from-trixie.sh nats-server usr/sbin/nats-server || fail "cannot get nats-server of Debian trixie"
is_new_enough "$program" || fail "$program does not run, or is older than $OLDEST"
