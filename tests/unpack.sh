#!/usr/bin/env bash
# Unpacks a package of Debian to target/tools/PACKAGE.deb: bash tests/unpack.sh PACKAGE [OPTION OF apt-get]...
#
# Downloaded with lists and a cache of its own, checked with Debian's keys, unpacked and not installed. So no service is started,
# nothing else changes on this machine, and it needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

package=$1
unpacked=$PWD/target/tools/$package.deb

fail() {
    printf 'tests/unpack.sh: %s\n' "$*" >&2
    exit 1
}

command -v apt-get >/dev/null || fail "there is no apt-get to get $package with"
rm -rf "$unpacked"
mkdir -p "$unpacked"/{lists/partial,cache/archives/partial}
options=(-q -o Dir::State::Lists="$unpacked/lists" -o Dir::Cache="$unpacked/cache" -o APT::Sandbox::User= "${@:2}")
cd "$unpacked"
apt-get "${options[@]}" update || fail "Debian's packages cannot be listed"
apt-get "${options[@]}" download "$package" || fail "$package cannot be downloaded"
dpkg-deb --extract "$package"_*.deb .
rm -rf lists cache "$package"_*.deb
