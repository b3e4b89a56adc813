#!/usr/bin/env bash
# Measures what a normal client gets beside hostile clients, for ten seconds per attack or as many
# as given: bash tests/hostile.sh 30
#
# Prints a report: one durable batch and one read every 10 ms, alone and beside each attack.
# Attackers and server share this machine. Fails if the client gets less than 90 % of its turns, if
# memory exceeds the stated limit, if an acknowledged batch is missing, or if the restart afterwards
# takes more than 2 s. Release build.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_HOSTILE_SECONDS=${1:-10} cargo test --locked --release --test it others_are_served_beside -- --nocapture
