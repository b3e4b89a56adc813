#!/usr/bin/env bash
# Unpacks a Debian package to target/tools/PACKAGE.deb:
# bash tests/unpack.sh PACKAGE [OPTION OF apt-get]...
#
# Downloads with its own lists and cache, checks Debian's signature, and unpacks without installing.
# So it starts no service, changes nothing else on this machine, and needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

package=$1
unpacked=$PWD/target/tools/$package.deb

fail() {
    printf 'tests/unpack.sh: %s\n' "$*" >&2
    exit 1
}

command -v apt-get >/dev/null || fail "cannot get $package: apt-get is missing"
rm -rf "$unpacked"
mkdir -p "$unpacked"/{lists/partial,cache/archives/partial}
options=(-q -o Dir::State::Lists="$unpacked/lists" -o Dir::Cache="$unpacked/cache" -o APT::Sandbox::User= "${@:2}")
cd "$unpacked"
apt-get "${options[@]}" update || fail "cannot download Debian's package lists"
apt-get "${options[@]}" download "$package" || fail "cannot download $package"
dpkg-deb --extract "$package"_*.deb .
rm -rf lists cache "$package"_*.deb
