"""podman with its own storage, so that stand-ins never mix with the images of the user."""

import atexit
import functools
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import threading
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / "target/tools/containers"
# An image is built in some minutes; everything else takes seconds.
BUILD_SECONDS_MAX = 1800
SECONDS_MAX = 300

# For machines without systemd, and for those with both cgroup versions, where crun fails.
CONFIGURATION = f"""[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{STATE}/networks"
"""
# A socket's path has at most 108 bytes, so the runtime folder is elsewhere, one per folder.
RUNS = f"/run/lodewatch-tests-{zlib.crc32(bytes(STATE)):08x}"
STORAGE = ["--root", f"{STATE}/storage", "--runroot", RUNS, "--storage-driver", "overlay"]


@functools.cache
def environment():
    """Environment in which `podman` uses this storage, also if another program calls it."""
    real = shutil.which("podman")
    if real is None:
        raise RuntimeError("podman is missing; on Debian: apt-get install podman buildah runc netavark aardvark-dns iptables")
    for folder in ("bin", "networks", "tmp"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    configuration = STATE / "containers.conf"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    wrapper = STATE / "bin/podman"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join([real, *STORAGE])} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LODEWATCH_")}
    ours = {"CONTAINERS_CONF": str(configuration), "TMPDIR": f"{STATE}/tmp", "PATH": f"{STATE}/bin:{clean['PATH']}"}
    return clean | ours


def run(*arguments, seconds_max=SECONDS_MAX, check=True, program="podman", **options):
    """Runs podman to its end; a failure raises its output."""
    words = [program, *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL, "cwd": ROOT, "env": environment()} | options
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds_max, check=False, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{shlex.join(words)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def output(*arguments, **options):
    """Runs podman; returns its output, such as the id of a new container."""
    return run(*arguments, **options).stdout.strip()


def inspect(kind, name):
    """Everything that podman knows of an image, a container or a volume."""
    return json.loads(output(kind, "inspect", name))[0]


def start(*arguments):
    """`podman run` in the background; returns the id. It is removed when the tests end."""
    container = output("run", "--detach", *arguments)
    atexit.register(run, "rm", "--force", "--time=0", "--volumes", container, check=False)
    return container


def network():
    """An isolated network on which containers reach each other by name."""
    name = f"lodewatch-{os.getpid()}"
    if run("network", "exists", name, check=False).returncode != 0:
        output("network", "create", name)
        # Registered first, so it runs last, when no container uses it.
        atexit.register(run, "network", "rm", "--force", name, check=False)
    return name


def volume(name):
    """A volume with a name; removed when the tests end."""
    name = f"{name}-{os.getpid()}"
    output("volume", "create", name)
    atexit.register(run, "volume", "rm", "--force", name, check=False)
    return name


def lines(container, until):
    """Reads a container's standard output by line until `until(line)`; fails after a while."""
    with subprocess.Popen(
        ["podman", "logs", "--follow", container],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as follow:
        bound = threading.Timer(SECONDS_MAX, follow.kill)
        bound.start()
        try:
            for line in follow.stdout:
                yield line
                if until(line):
                    return
            said = run("logs", container).stderr
            raise RuntimeError(f"{container} ended or did not print within {SECONDS_MAX} s what was waited for:\n{said}")
        finally:
            bound.cancel()
            follow.kill()


def tool(name, package, path):
    """A program in target/tools or on the PATH."""
    found = shutil.which(name, path=f"{ROOT / 'target/tools'}:{os.environ['PATH']}")
    if found is None:
        raise RuntimeError(f"{name} is missing; get it with: bash tests/from-trixie.sh {package} {path}")
    return found
