"""Our image, built by deploy/Dockerfile, and what runs of it."""

import contextlib
import functools
import socket
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import podman
import stand_ins

# As deploy/compose.yaml and deploy/kubernetes name it.
NAME = "localhost/lodewatch:0.1.0"
PROGRAM = "/usr/local/bin/lodewatch"
HEALTH_PORT = 50063
# Enough for an alert.
REPORT = {
    "mineral": "gallium",
    "stage": "STAGE_REFINING",
    "source": "USGS",
    "period": "2025",
    "vintage": "2026-02-06",
    "rows": [{"country": "China", "share": 0.99}],
}
# Far above what it takes, on a machine that does much else.
READY_SECONDS_MAX = 120
# Each try connects anew, rather than wait as long as the one before advises.
CHANNEL = [("grpc.use_local_subchannel_pool", 1)]


@functools.cache
def build():
    """Builds it, by the Dockerfile as it is; with what was built before where nothing has changed."""
    podman.environment()
    stand_in = stand_ins.make()
    podman.run(
        *("build", "--format=docker", *stand_in, "--tag", NAME, "--file", "deploy/Dockerfile", "."),
        seconds_max=podman.BUILD_SECONDS_MAX,
    )
    return NAME


@functools.cache
def program():
    """The program in it, which needs nothing of the image and so runs here as well."""
    container = podman.told("create", build())
    path = podman.STATE / "lodewatch"
    try:
        podman.run("cp", f"{container}:{PROGRAM}", path)
    finally:
        podman.run("rm", "--volumes", container)
    return path


def command(network, *arguments, mounts=()):
    """Runs a sub-command in a container of its own, to its end; what it printed."""
    volumes = [f"--volume={mount}" for mount in mounts]
    return podman.told("run", "--rm", "--read-only", "--network", network, *volumes, build(), *arguments)


def is_well(container, service=""):
    """Asks from within, as an exec probe does."""
    words = [PROGRAM, "health", "--address", f"127.0.0.1:{HEALTH_PORT}", "--service", service]
    return podman.run("exec", container, *words, check=False).returncode == 0


def wait_until_well(container, service=""):
    """The same until it is."""
    begin = time.monotonic()
    while time.monotonic() - begin < READY_SECONDS_MAX:
        if is_well(container, service):
            return
    raise RuntimeError(f"{container} is not well:\n{podman.run('logs', container).stderr}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until_ready(port):
    """Asks the health service at a port of this machine until it serves."""
    begin = time.monotonic()
    while time.monotonic() - begin < READY_SECONDS_MAX:
        with contextlib.suppress(grpc.RpcError), grpc.insecure_channel(f"127.0.0.1:{port}", CHANNEL) as channel:
            request = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5, wait_for_ready=False)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
    raise RuntimeError(f"nobody is ready at 127.0.0.1:{port} within {READY_SECONDS_MAX} s")
