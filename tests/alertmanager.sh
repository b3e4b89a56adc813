#!/usr/bin/env bash
# Provides Alertmanager for the tests, at target/tools/alertmanager: bash tests/alertmanager.sh
#
# Uses the one on the PATH, else unpacks Debian's without installing it.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$PWD/target/tools/alertmanager
unpacked=$PWD/target/tools/prometheus-alertmanager.deb

fail() {
    printf 'tests/alertmanager.sh: %s\n' "$*" >&2
    printf 'Put alertmanager on the PATH: https://prometheus.io/download\n' >&2
    exit 1
}

download() {
    rm -f "$program"
    bash tests/unpack.sh prometheus-alertmanager || fail "cannot get Debian's prometheus-alertmanager"
    # Debian's reads its templates from /usr/share, so it runs in its own mount namespace.
    cat >"$program" <<END
#!/bin/sh
exec unshare --mount --map-root-user sh -c 'mount -t overlay overlay -o "lowerdir=$unpacked/usr/share:/usr/share" /usr/share &&
    exec "$unpacked/usr/bin/prometheus-alertmanager" "\$@"' sh "\$@"
END
    chmod +x "$program"
}

runs() { "$program" --version >/dev/null 2>&1; }

mkdir -p target/tools
if runs; then
    exit
fi
if on_path=$(command -v alertmanager || command -v prometheus-alertmanager); then
    ln -sf "$on_path" "$program"
    exit
fi
download
runs || fail "$program does not run"
