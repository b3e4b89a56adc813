"""podman with a storage of its own, so that stand-ins never meet the images of whoever runs the tests."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / "target/tools/containers"
IMAGE = "localhost/lodewatch:test"
# An image is built in some minutes; everything else takes seconds.
BUILD_SECONDS_MAX = 1800
SECONDS_MAX = 120

# What podman needs on a machine without systemd, and on one whose cgroups are of both versions, where crun fails.
CONFIGURATION = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""


def environment():
    STATE.mkdir(parents=True, exist_ok=True)
    configuration = STATE / "containers.conf"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LODEWATCH_")}
    # Build caches of buildah and the unpacked layers need more room than some /var/tmp have.
    temporary = STATE / "tmp"
    temporary.mkdir(exist_ok=True)
    return clean | {"CONTAINERS_CONF": str(configuration), "TMPDIR": str(temporary)}


def command(*arguments):
    # A socket's path has at most 108 bytes, so what runs is not below this folder.
    storage = ["--root", str(STATE / "storage"), "--runroot", "/run/lodewatch-tests", "--storage-driver", "overlay"]
    return ["podman", *storage, *map(str, arguments)]


def run(*arguments, seconds_max=SECONDS_MAX, check=True, **options):
    """Runs podman to its end; what it said, on both streams, where it fails."""
    done = subprocess.run(
        command(*arguments),
        env=environment(),
        cwd=ROOT,
        stdin=options.pop("stdin", subprocess.DEVNULL) if "input" not in options else None,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        **options,
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"podman {' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def told(*arguments, **options):
    """The first thing that podman prints, such as the id of what it made."""
    return run(*arguments, **options).stdout.strip()


def inspect(kind, name):
    return json.loads(told(kind, "inspect", name))[0]
