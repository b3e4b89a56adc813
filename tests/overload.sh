#!/usr/bin/env bash
# Finds how many publishers saturate a server, then lets twice as many publish for five minutes or as many seconds as given:
# bash tests/overload.sh 60
#
# Prints a report. A lost batch, a missing alert, or memory past the stated bound ends it with an error. In release, as it is run in
# earnest.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_OVERLOAD_SECONDS=${1:-300} cargo test --locked --release --test it twice_the_publishers -- --nocapture
