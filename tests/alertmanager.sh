#!/usr/bin/env bash
# Gets an Alertmanager for the tests, at target/tools/alertmanager: bash tests/alertmanager.sh
#
# The one on the PATH, else Debian's, which is not installed.
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
    bash tests/unpack.sh prometheus-alertmanager || fail "there is none"
    # Debian's has its templates under /usr/share, and finds them there in a mount namespace of its own.
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
