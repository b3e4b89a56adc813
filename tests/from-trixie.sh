#!/usr/bin/env bash
# Extracts one program from a Debian trixie package to target/tools/NAME:
# bash tests/from-trixie.sh nats-server usr/sbin/nats-server
#
# For programs that this machine's release lacks, or has only in an older version. Uses this
# machine's mirror and tests/unpack.sh.
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
command -v apt-get >/dev/null || fail "cannot get $package: apt-get is missing"
[[ -r $KEYS ]] || fail "cannot verify $package: $KEYS is missing"
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
# shellcheck disable=SC2016 # apt expands the variables
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Release: $release" "Component: main" | sed -n 1p)
[[ -n $mirror ]] || fail "cannot find a mirror: apt has no source for this release, '$release'"

# With separate apt sources, so that the system's packages do not change.
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
printf '%s\n' "Types: deb" "URIs: $mirror" "Suites: $PACKAGES_OF" "Components: main" "Signed-By: $KEYS" \
    >"$sources/$PACKAGES_OF.sources"
bash tests/unpack.sh "$package" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$sources" ||
    fail "cannot get $package of Debian $PACKAGES_OF from $mirror"
ln -sf "$unpacked/$file" "$program"
