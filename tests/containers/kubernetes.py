"""Runs in podman the objects that kubectl would apply to a cluster.

podman supports pods, volumes, ConfigMaps and little more. So the rendered objects change for it:

- The StatefulSet becomes the Pod that it would create, and its claim a podman volume.
- Probes are removed: podman 4.3 has no gRPC probes. The test runs them as a kubelet would.
- Ports are not published on this machine; on the containers' network all are reachable.
- Secrets become ConfigMaps: podman 4.3 mounts Secrets still encoded.
- Namespace, ServiceAccount, Services and NetworkPolicies are skipped, and preStop is not awaited.
"""

import base64
import copy
import pathlib
import shutil
import subprocess

import yaml

import image
import podman

DEPLOY = podman.ROOT / "deploy"
OVERLAYS = DEPLOY / "kubernetes/overlays"
# `kubectl` without a cluster: prints what it would create or apply.
WITHOUT_CLUSTER = """
kubectl() {
  case "$*" in
    *" create secret "*) command kubectl "$@" --dry-run=client --output=yaml && echo --- ;;
    "apply --kustomize "*) command kubectl kustomize "${@: -1}" && echo --- ;;
  esac
}
"""


def kubectl():
    """kubectl on the PATH, or that of Debian trixie; returns its folder."""
    found = shutil.which("kubectl")
    if found is None:
        raise RuntimeError("kubectl is missing; get it with: bash tests/from-trixie.sh kubectl usr/bin/kubectl")
    return found


def render(overlay):
    """The objects that an overlay renders to."""
    words = [kubectl(), "kustomize", str(OVERLAYS / overlay)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def one(objects, kind, name="lodewatch"):
    """The object of a kind and a name."""
    found = [each for each in objects if each and each["kind"] == kind and each["metadata"]["name"] == name]
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} objects are {kind}/{name}")
    return found[0]


def container(workload):
    """The only container of a workload."""
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def for_podman(objects, volume):
    """The objects that podman plays, with the data on one of its volumes."""
    template = copy.deepcopy(one(objects, "StatefulSet")["spec"]["template"])
    spec = template["spec"]
    for each in spec["containers"]:
        # podman would publish them on every address of this machine.
        del each["ports"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            del each[probe]
    for each in spec["volumes"]:
        if "secret" in each:
            each["configMap"] = {"name": each.pop("secret")["secretName"]}
    spec["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": volume}})
    metadata = {"name": "lodewatch-0", "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    secrets = [config_map_of(each) for each in objects if each and each["kind"] == "Secret"]
    return [one(objects, "ConfigMap"), *secrets, pod]


def config_map_of(secret):
    """The decoded content of a Secret."""
    data = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": secret["metadata"], "data": data}


class Kubelet:
    """Does for one pod what a kubelet would: starts it, runs its probes, stops it in time."""

    CONTAINER = "lodewatch-0-lodewatch"

    def __init__(self, objects, volume, network):
        self.workload = one(objects, "StatefulSet")
        self.manifest = podman.STATE / "played.yaml"
        self.manifest.write_text(yaml.safe_dump_all(for_podman(objects, volume)), encoding="utf-8")
        self.network = network

    def start(self):
        """Starts the pod, and waits for its startup probe and then its readiness probe."""
        podman.run("play", "kube", "--network", self.network, self.manifest)
        image.wait_until_well(self.CONTAINER, *self.probe("startupProbe"))
        image.wait_until_well(self.CONTAINER, *self.probe("readinessProbe"))

    def probe(self, name):
        """The health service of a probe."""
        asked = container(self.workload)[name]["grpc"]
        if asked["port"] != image.HEALTH_PORT:
            raise RuntimeError(f"{name} asks another port than the image's")
        return [asked["service"]] if "service" in asked else []

    def is_live(self):
        """The result of its liveness probe."""
        return image.is_well(self.CONTAINER, *self.probe("livenessProbe"))

    def stop(self):
        """SIGTERM, then SIGKILL after the grace period; returns its exit code."""
        grace = self.workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        podman.run("pod", "stop", f"--time={grace}", "lodewatch-0")
        code = podman.inspect("container", self.CONTAINER)["State"]["ExitCode"]
        podman.run("pod", "rm", "--force", "lodewatch-0")
        return code

    def change_config_map(self, more):
        """Adds lines to the settings that the pod sees, atomically, as a kubelet does."""
        folder = pathlib.Path(podman.inspect("volume", "lodewatch")["Mountpoint"])
        settings = folder / "lodewatch.toml"
        changed = folder / "changed"
        changed.write_text(settings.read_text(encoding="utf-8") + more, encoding="utf-8")
        changed.replace(settings)

    def remove(self):
        """Removes everything that was played, except the data."""
        podman.run("pod", "rm", "--force", "lodewatch-0", check=False)
        for each in yaml.safe_load_all(self.manifest.read_text(encoding="utf-8")):
            if each["kind"] == "ConfigMap":
                podman.run("volume", "rm", "--force", each["metadata"]["name"], check=False)
