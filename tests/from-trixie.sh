#!/usr/bin/env bash
# Gets one program out of a package of Debian's trixie, at target/tools/NAME: bash tests/from-trixie.sh nats-server usr/sbin/nats-server
#
# For what this machine's release has not or only older: from this machine's own mirror, by tests/unpack.sh.
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

# With sources of its own, so that the system's packages stay what they are.
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
printf '%s\n' "Types: deb" "URIs: $mirror" "Suites: $PACKAGES_OF" "Components: main" "Signed-By: $KEYS" \
    >"$sources/$PACKAGES_OF.sources"
bash tests/unpack.sh "$package" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$sources" ||
    fail "$package of Debian's $PACKAGES_OF cannot be had from $mirror"
ln -sf "$unpacked/$file" "$program"
