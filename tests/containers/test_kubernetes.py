"""The single overlay, installed as in the runbook, run by podman: probes, rollout, new rules."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

import image
import kubernetes
import podman

# Enough that the pod is replaced while they are published, one per batch.
UPDATES = 3000
# The number of alerts delivered before the pod is replaced.
DELIVERED_BEFORE = 100
# One country, then twenty equal ones: every update crosses thresholds.
ALONE = [("CHN", 0.9), ("USA", 0.05)]
ALIKE = [(country, 0.05) for country in "ARG AUS AUT BEL BOL BRA CAN CHL CHN CZE DEU ESP FIN FRA IDN IND JPN MEX PER USA".split()]
RULE = """
[[rules]]
name = "from-the-config-map"
metric = "top1_share"
levels = [{ level = "watch", raise = 0.02, reset = 0.01 }]
"""
CERTIFICATES = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=authority" -keyout ca.key -out ca.crt
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=server" -keyout server.key -out server.csr
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 2 -out server.crt -extfile <(echo "subjectAltName=DNS:lodewatch-0")
"""


def swing(turn):
    rows = [{"country": country, "share": share} for country, share in (ALIKE if turn % 2 else ALONE)]
    return json.dumps({"report": image.REPORT | {"rows": rows}})


def installed_as_the_runbook_says(folder):
    """Runs its commands without a cluster; returns the objects that they would create."""
    text = (kubernetes.DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    section = text.split("\n## Install\n")[1].split("\n## ")[0]
    (block,) = [each for each in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if "overlays/single" in each]
    block = block.replace(" deploy/", f" {kubernetes.DEPLOY}/")
    (folder / "bin").mkdir()
    (folder / "bin/lodewatch").symlink_to(image.program())
    (folder / "bin/kubectl").symlink_to(kubernetes.kubectl())
    environment = podman.environment()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", CERTIFICATES + kubernetes.WITHOUT_CLUSTER + block],
        cwd=folder,
        env=environment | {"PATH": f"{folder / 'bin'}:{environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=podman.SECONDS_MAX,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{block}\n{done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


class Kubernetes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=podman.STATE / "tmp")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.objects = installed_as_the_runbook_says(self.folder)
        (self.folder / "updates.jsonl").write_text("\n".join(map(swing, range(UPDATES))), encoding="utf-8")
        self.network = podman.network()
        self.kubelet = kubernetes.Kubelet(self.objects, podman.volume("data"), self.network)
        self.addCleanup(self.kubelet.remove)
        # Clients read them as the image's user.
        self.folder.chmod(0o755)
        for file in self.folder.iterdir():
            file.chmod(0o755)

    def client(self, name, *arguments):
        """Runs a client in its own container, with a token of the runbook."""
        mount = f"--volume={self.folder}:/client:ro"
        credentials = ["--ca=/client/ca.crt", f"--token-file=/client/{name}.token"]
        return podman.start(
            *("--read-only", "--network", self.network, mount, image.build()),
            *(*arguments, "--address=lodewatch-0:50061", "--output=json", *credentials),
        )

    def delivered_until(self, watch, until):
        """The alerts of a subscriber from its start up to the one that `until` accepts."""
        return [json.loads(line) for line in podman.lines(watch, lambda line: until(json.loads(line)))]

    def test_a_replaced_pod_loses_no_alert_and_another_config_map_changes_the_rules(self):
        self.kubelet.start()
        self.assertTrue(self.kubelet.is_live())
        watch = self.client("alice", "watch", "--from=oldest")
        publish = self.client("bob", "publish", "/client/updates.jsonl", "--batch=1")
        self.delivered_until(watch, lambda alert: int(alert["sequence"]) >= DELIVERED_BEFORE)
        self.assertEqual(self.kubelet.stop(), 0)
        self.assertTrue(podman.inspect("container", publish)["State"]["Running"], "the pod was replaced after the last update, so the test shows nothing")
        self.kubelet.start()
        self.assertEqual(podman.output("wait", publish), "0")
        answers = [json.loads(line) for line in podman.output("logs", publish).splitlines()]
        self.assertEqual(len(answers), UPDATES)
        caused = [sequence for answer in answers for sequence in answer["alertSequences"]]
        delivered = [alert["sequence"] for alert in self.delivered_until(watch, lambda alert: alert["sequence"] == caused[-1])]
        self.assertEqual(delivered, caused, "an alert was missed, repeated or out of order")
        self.assertEqual(delivered, [str(one + 1) for one in range(len(delivered))])
        self.assertRegex(podman.run("logs", watch).stderr, "connection lost|shutting down")
        print(f"roll: {len(delivered)} alerts of {UPDATES} updates, none missed or repeated", flush=True)

        self.kubelet.change_config_map(RULE)
        delivered = self.delivered_until(watch, lambda alert: alert["rule"] == "from-the-config-map")
        self.assertEqual(delivered[-1]["kind"], "ALERT_KIND_RAISED")
        self.assertTrue(self.kubelet.is_live())
