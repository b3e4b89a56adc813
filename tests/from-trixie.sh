#!/usr/bin/env bash
# Gets one program out of a package of Debian's trixie, at target/tools/NAME: bash tests/from-trixie.sh nats-server usr/sbin/nats-server
#
# For what this machine's release has not or only older: downloaded from this machine's own mirror, checked with Debian's keys,
# unpacked and not installed. So nothing else changes on this machine, and it needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES_OF=trixie
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

package=$1
file=$2
program=$PWD/target/tools/${file##*/}
unpacked=$PWD/target/tools/$package.deb

fail() {
    printf 'tests/from-trixie.sh: %s\n' "$*" >&2
    exit 1
}

mkdir -p target/tools
command -v apt-get >/dev/null || fail "there is no apt-get to get $package with"
[[ -r $KEYS ]] || fail "there is no $KEYS to check $package with"
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
# shellcheck disable=SC2016 # the dollar is apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Release: $release" "Component: main" | sed -n 1p)
[[ -n $mirror ]] || fail "apt has no source of packages of this release, '$release'"

# With sources, lists and a cache of its own, so that the system's packages stay what they are.
rm -rf "$unpacked"
mkdir -p "$unpacked"/{sources,lists/partial,cache/archives/partial}
printf '%s\n' "Types: deb" "URIs: $mirror" "Suites: $PACKAGES_OF" "Components: main" "Signed-By: $KEYS" \
    >"$unpacked/sources/$PACKAGES_OF.sources"
options=(-q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$unpacked/sources"
    -o Dir::State::Lists="$unpacked/lists" -o Dir::Cache="$unpacked/cache" -o APT::Sandbox::User=)
cd "$unpacked"
apt-get "${options[@]}" update || fail "the packages of Debian's $PACKAGES_OF cannot be listed from $mirror"
apt-get "${options[@]}" download "$package/$PACKAGES_OF" || fail "$package cannot be downloaded from $mirror"
dpkg-deb --extract "$package"_*.deb .
rm -rf sources lists cache "$package"_*.deb
ln -sf "$unpacked/$file" "$program"
