"""The image, built from deploy/Dockerfile, and containers of it."""

import contextlib
import functools
import socket
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import podman
import stand_ins

# The name in deploy/compose.yaml and deploy/kubernetes.
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
# Far above the time needed, for a machine with other load.
READY_SECONDS_MAX = 120
# Each try makes a new connection instead of honouring the previous retry delay.
CHANNEL = [("grpc.use_local_subchannel_pool", 1)]


@functools.cache
def build():
    """Builds it from the unchanged Dockerfile, with cached layers."""
    podman.environment()
    stand_in = stand_ins.make()
    podman.run(
        *("build", "--format=docker", *stand_in, "--tag", NAME, "--file", "deploy/Dockerfile", "."),
        seconds_max=podman.BUILD_SECONDS_MAX,
    )
    return NAME


@functools.cache
def program():
    """The program in it, which needs nothing of the image, so it also runs here."""
    container = podman.output("create", build())
    path = podman.STATE / "lodewatch"
    try:
        podman.run("cp", f"{container}:{PROGRAM}", path)
    finally:
        podman.run("rm", "--volumes", container)
    return path


def command(network, *arguments, mounts=()):
    """Runs a sub-command in its own container to its end; returns its output."""
    volumes = [f"--volume={mount}" for mount in mounts]
    return podman.output("run", "--rm", "--read-only", "--network", network, *volumes, build(), *arguments)


def is_well(container, service=""):
    """Checks health from within, as an exec probe does."""
    words = [PROGRAM, "health", "--address", f"127.0.0.1:{HEALTH_PORT}", "--service", service]
    return podman.run("exec", container, *words, check=False).returncode == 0


def wait_until_well(container, service=""):
    """The same, until it is healthy."""
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
    raise RuntimeError(f"no server is ready at 127.0.0.1:{port} within {READY_SECONDS_MAX} s")
