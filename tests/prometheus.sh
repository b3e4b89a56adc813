#!/usr/bin/env bash
# Gets Prometheus and its promtool for the tests of metrics, at target/tools/{prometheus,promtool}: bash tests/prometheus.sh
#
# Those on the PATH where they are there, else Debian's: downloaded from this machine's own mirror, checked with Debian's keys,
# unpacked and not installed. So no service starts, and nothing else changes on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools
unpacked=$tools/prometheus-package

fail() {
    printf 'tests/prometheus.sh: %s\n' "$*" >&2
    printf 'Put prometheus and promtool on the PATH: https://prometheus.io/download\n' >&2
    exit 1
}

run() {
    "$tools/prometheus" --version >/dev/null 2>&1 && "$tools/promtool" --version >/dev/null 2>&1
}

download() {
    command -v apt-get >/dev/null || fail "there is none, and no apt-get to get it with"
    rm -rf "$unpacked"
    mkdir -p "$unpacked"
    cd "$unpacked"
    apt-get -q -o APT::Sandbox::User= download prometheus ||
        { apt-get -q update && apt-get -q -o APT::Sandbox::User= download prometheus; } ||
        fail "Debian's prometheus cannot be downloaded"
    dpkg-deb --extract prometheus_*.deb .
    rm -f prometheus_*.deb
    for program in prometheus promtool; do
        ln -sf "prometheus-package/usr/bin/$program" "$tools/$program"
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
