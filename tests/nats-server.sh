#!/usr/bin/env bash
# Gets a nats-server for the tests of many replicas, at target/tools/nats-server: bash tests/nats-server.sh
#
# The one on the PATH where it is new enough, else that of Debian's trixie: downloaded from this machine's own mirror, checked
# with Debian's keys, unpacked and not installed. So nothing else changes on this machine, and it needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first that can flush every write: `jetstream { sync_interval: always }`. tests/nats/program.rs knows it too.
OLDEST=2.10
PACKAGES_OF=trixie
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

program=$PWD/target/tools/nats-server
unpacked=$PWD/target/tools/nats

fail() {
    printf 'tests/nats-server.sh: %s\n' "$*" >&2
    printf 'Put nats-server %s or later on the PATH: https://nats.io/download\n' "$OLDEST" >&2
    exit 1
}

# is_new_enough PROGRAM
is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null) || return 1
    printf '%s\n' "$OLDEST" "${version##*v}" | sort -V -C
}

# download: with sources, lists and a cache of its own, so that the system's packages stay what they are.
download() {
    local release mirror options
    command -v apt-get >/dev/null || fail "there is none, and no apt-get to get it with"
    [[ -r $KEYS ]] || fail "there is none, and no $KEYS to check Debian's with"
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016 # the dollar is apt's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Release: $release" "Component: main" | sed -n 1p)
    [[ -n $mirror ]] || fail "there is none, and apt has no source of packages of this release, '$release'"
    rm -rf "$unpacked"
    mkdir -p "$unpacked"/{sources,lists/partial,cache/archives/partial}
    printf '%s\n' "Types: deb" "URIs: $mirror" "Suites: $PACKAGES_OF" "Components: main" "Signed-By: $KEYS" \
        >"$unpacked/sources/$PACKAGES_OF.sources"
    options=(-q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$unpacked/sources"
        -o Dir::State::Lists="$unpacked/lists" -o Dir::Cache="$unpacked/cache" -o APT::Sandbox::User=)
    cd "$unpacked"
    apt-get "${options[@]}" update || fail "the packages of Debian's $PACKAGES_OF cannot be listed from $mirror"
    apt-get "${options[@]}" download nats-server || fail "nats-server cannot be downloaded from $mirror"
    dpkg-deb --extract nats-server_*.deb .
    rm -rf sources lists cache nats-server_*.deb
    ln -sf nats/usr/sbin/nats-server "$program"
}

mkdir -p target/tools
if is_new_enough "$program"; then
    exit
fi
if on_path=$(command -v nats-server) && is_new_enough "$on_path"; then
    ln -sf "$on_path" "$program"
    exit
fi
download
is_new_enough "$program" || fail "$program does not run, or is older than $OLDEST"
