#!/usr/bin/env bash
# Publishes ten million random updates within the limits, or as many as given, and measures memory
# and snapshot at every tenth: bash tests/growth.sh 1000000
#
# Prints a report. Fails if either grows by more than a fifth after the first four tenths. Release
# build.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_GROWTH_UPDATES=${1:-10000000} cargo test --locked --release --test it what_is_kept -- --nocapture
