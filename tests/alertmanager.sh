#!/usr/bin/env bash
# Gets an Alertmanager for the tests, at target/tools/alertmanager: bash tests/alertmanager.sh
#
# The one on the PATH, else Debian's: downloaded with lists and a cache of its own, unpacked and not installed. So no service is
# started, nothing else changes on this machine, and it needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$PWD/target/tools/alertmanager
unpacked=$PWD/target/tools/alertmanager.deb

fail() {
    printf 'tests/alertmanager.sh: %s\n' "$*" >&2
    printf 'Put alertmanager on the PATH: https://prometheus.io/download\n' >&2
    exit 1
}

download() {
    local options
    command -v apt-get >/dev/null || fail "there is none, and no apt-get to get it with"
    rm -rf "$unpacked" "$program"
    mkdir -p "$unpacked"/{lists/partial,cache/archives/partial}
    options=(-q -o Dir::State::Lists="$unpacked/lists" -o Dir::Cache="$unpacked/cache" -o APT::Sandbox::User=)
    cd "$unpacked"
    apt-get "${options[@]}" update || fail "Debian's packages cannot be listed"
    apt-get "${options[@]}" download prometheus-alertmanager || fail "prometheus-alertmanager cannot be downloaded"
    dpkg-deb --extract prometheus-alertmanager_*.deb .
    rm -rf lists cache prometheus-alertmanager_*.deb
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
