"""One node in one command."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import image
import podman


class Compose(unittest.TestCase):
    def compose(self, *arguments):
        words = ["--file", self.file, "--profile=single", *arguments]
        podman.run(*words, program=shutil.which("podman-compose"))

    def test_one_command_starts_a_node_that_answers(self):
        image.build()
        folder = tempfile.TemporaryDirectory(dir=podman.STATE / "tmp")
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "compose.yaml"
        # The tests take a free port; the rest is as it is written.
        port = image.free_port()
        text = (podman.ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
        self.file.write_text(text.replace('"127.0.0.1:50061:50061"', f'"127.0.0.1:{port}:50061"'), encoding="utf-8")
        self.addCleanup(self.compose, "down", "--volumes")
        self.compose("up", "--detach", "--no-build")
        image.wait_until_ready(port)
        asked = [image.program(), "markets", "--address", f"127.0.0.1:{port}"]
        self.assertIn("HHI", subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
