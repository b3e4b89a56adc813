"""Access, as the README has it: its own lines, from a fresh shell, against a real server."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import harness

SECONDS_MAX = 60
PORT = "50443"


def blocks():
    """The shell of the section, block by block."""
    readme = (harness.ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Access\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class Access(unittest.TestCase):
    def setUp(self):
        for program in ("openssl", "buf"):
            self.assertIsNotNone(shutil.which(program), f"{program} is not on the PATH")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        binary = os.environ.get("LODEWATCH_BIN", str(harness.ROOT / "target/debug/lodewatch"))
        (self.folder / "bin").mkdir()
        (self.folder / "bin/lodewatch").symlink_to(binary)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LODEWATCH_")}
        self.env = clean | {
            "LODEWATCH_CONSOLE__LISTEN": "",
            "PATH": f"{self.folder / 'bin'}:{clean['PATH']}",
        }
        self.port = free_port()

    def shell(self, text):
        # Tests stay on this machine and on a free port; the rest is as it is written.
        text = text.replace(PORT, self.port).replace("0.0.0.0", "127.0.0.1")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # openssl dumps bytes as they are.
            errors="replace",
            timeout=SECONDS_MAX,
        )
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def serve(self, text):
        server = subprocess.Popen(
            ["bash", "-euc", "exec " + text.strip()],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        for line in server.stderr:
            if "listening address" in line:
                threading.Thread(target=lambda: list(server.stderr), daemon=True).start()
                return
        self.fail("the server does not listen")

    def test_the_readme_works_as_it_is_written(self):
        prepare, serve, by_token, by_certificate = blocks()
        self.shell(prepare)
        self.serve(serve)
        said = self.shell(by_token)
        for expected in ("ALPN protocol: h2", "Verification: OK", '"hhi"'):
            self.assertIn(expected, said)
        said = self.shell(by_certificate)
        self.assertIn("Acceptable client certificate CA names", said)
        self.assertIn("there is no threat NONE", said, "it was let in")


if __name__ == "__main__":
    unittest.main()
