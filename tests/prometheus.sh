#!/usr/bin/env bash
# Gets Prometheus and its promtool for the tests of metrics, at target/tools/{prometheus,promtool}: bash tests/prometheus.sh
#
# Those on the PATH where they are there, else Debian's, which are not installed.
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
    bash tests/unpack.sh prometheus || fail "there is none"
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
