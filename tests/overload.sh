#!/usr/bin/env bash
# Finds how many publishers saturate a server, then runs twice as many for five minutes or as many
# seconds as given: bash tests/overload.sh 60
#
# Prints a report. Fails on a lost batch, a missing alert, or memory above the stated limit. Release
# build.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_OVERLOAD_SECONDS=${1:-300} cargo test --locked --release --test it twice_the_publishers -- --nocapture
