#!/usr/bin/env bash
# How much somebody else gets done beside hostile clients, in ten seconds each or as many as given: bash tests/hostile.sh 30
#
# Prints a report: a durable batch every 10 ms, alone and beside each attack. Attackers and server share this machine. In release.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_HOSTILE_SECONDS=${1:-10} cargo test --locked --release --test it others_are_answered_beside -- --nocapture
