"""One node with one command, and three replicas over three NATS servers with another."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import image
import podman
import stand_ins


class Compose(unittest.TestCase):
    def setUp(self):
        image.build()
        folder = tempfile.TemporaryDirectory(dir=podman.STATE / "tmp")
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "compose.yaml"
        # The tests use free ports; the rest is unchanged.
        deploy = podman.ROOT / "deploy"
        text = (deploy / "compose.yaml").read_text(encoding="utf-8").replace('"./kubernetes/', f'"{deploy}/kubernetes/')
        self.ports = {port: image.free_port() for port in ("50061", "50062", "50063")}
        text = re.sub(r"127\.0\.0\.1:(\d+):50061", lambda found: f"127.0.0.1:{self.ports[found[1]]}:50061", text)
        self.file.write_text(text, encoding="utf-8")

    def compose(self, profile, *arguments):
        words = ["--file", self.file, f"--profile={profile}", *arguments]
        podman.run(*words, program=shutil.which("podman-compose"))

    def up(self, profile, *services):
        self.addCleanup(self.compose, profile, "down", "--volumes", "--timeout=0")
        self.compose(profile, "up", "--detach", "--no-build", *services)

    def test_one_command_starts_a_working_node(self):
        self.up("single")
        image.wait_until_ready(self.ports["50061"])
        asked = [image.program(), "markets", "--address", f"127.0.0.1:{self.ports['50061']}"]
        self.assertIn("HHI", subprocess.run(asked, check=True, capture_output=True, text=True).stdout)

    def test_a_replica_delivers_what_was_published_to_another(self):
        # Prometheus and Grafana have no stand-ins, so the services are named.
        stand_ins.make_nats(podman.tool("nats-server", "nats-server", "usr/sbin/nats-server"))
        self.up("replicas", "replica-0", "replica-1", "replica-2")
        for port in self.ports.values():
            image.wait_until_ready(port)
        answer = subprocess.run(
            [image.program(), "publish", "-", "--output=json", f"--address=127.0.0.1:{self.ports['50061']}"],
            check=True,
            capture_output=True,
            text=True,
            input=json.dumps({"report": image.REPORT}),
        )
        caused = json.loads(answer.stdout)["alertSequences"]
        watch = ["watch", "--from=oldest", "--output=json", "--address=replica-2:50061"]
        watch = podman.start("--read-only", "--network=lodewatch_default", image.build(), *watch)
        delivered = podman.lines(watch, lambda line: json.loads(line)["sequence"] == caused[-1])
        self.assertEqual([json.loads(line)["sequence"] for line in delivered], caused)
        podman.run("rm", "--force", "--time=0", watch)
