#!/usr/bin/env bash
# Measures a normal client's throughput beside hostile clients, for ten seconds per attack or as
# many as given: bash tests/hostile.sh 30
#
# Prints a report: one durable batch every 10 ms, alone and beside each attack. Attackers and server
# share this machine. Release build.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_HOSTILE_SECONDS=${1:-10} cargo test --locked --release --test it a_publisher_is_served_beside -- --nocapture
