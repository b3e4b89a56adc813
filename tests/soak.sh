#!/usr/bin/env bash
# Mixes load, kills, stops, suspensions, slow readers, backups and deleted archives, for an hour or
# as many seconds as given: bash tests/soak.sh 600
#
# Prints a report. Fails on any violated guarantee, and prints the state. Release build. Writes
# about 3 GB per hour to TMPDIR. Afterwards it checks everything against a replay, for some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_SOAK_SECONDS=${1:-3600} cargo test --locked --release --test it everything_mixed -- --nocapture
