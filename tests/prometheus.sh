#!/usr/bin/env bash
# Provides Prometheus and promtool for the tests, at target/tools/{prometheus,promtool}:
# bash tests/prometheus.sh
#
# Uses those on the PATH, else unpacks Debian's without installing them.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools

fail() {
    printf 'tests/prometheus.sh: %s\n' "$*" >&2
    printf 'Put prometheus and promtool on the PATH: https://prometheus.io/download\n' >&2
    exit 1
}

run() {
    "$tools/prometheus" --version >/dev/null 2>&1 && "$tools/promtool" --version >/dev/null 2>&1
}

download() {
    bash tests/unpack.sh prometheus || fail "cannot get Debian's prometheus"
    for program in prometheus promtool; do
        ln -sf "prometheus.deb/usr/bin/$program" "$tools/$program"
    done
}

mkdir -p "$tools"
if run; then
    exit
fi
if on_path=$(command -v prometheus) && promtool=$(command -v promtool); then
    ln -sf "$on_path" "$tools/prometheus"
    ln -sf "$promtool" "$tools/promtool"
else
    download
fi
run || fail "$tools/prometheus or $tools/promtool does not run"
