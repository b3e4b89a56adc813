#!/usr/bin/env bash
# Load, kills, stops, suspensions, slow readers, backups and deleted archives, mixed, for an hour or as many seconds as given:
# bash tests/soak.sh 600
#
# Prints a report. Any broken promise ends it with an error and the state of things. In release, as it is run in earnest. What it
# writes goes to TMPDIR: some 3 GB in an hour. After that time everything is checked against a replay, for some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
LODEWATCH_SOAK_SECONDS=${1:-3600} cargo test --locked --release --test it everything_mixed -- --nocapture
