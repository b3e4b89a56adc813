"""Reads the commands of the documentation and runs them, in a folder and a network of their own."""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import harness

SECONDS_MAX = 120
# The folders of a clone that commands of the documentation use.
CLONE = ("crates", "deploy", "examples", "fuzz", "proto", "src", "tests")


@dataclasses.dataclass
class Block:
    """A fenced block: `sh`, `toml`, `text` or another kind, with its first line."""

    kind: str
    text: str
    line: int


def sections(page):
    """The fenced blocks of a page, by heading of level 1 or 2."""
    found, title, fence = {}, "", None
    lines = (harness.ROOT / page).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if fence is not None:
            if line == "```":
                fence = None
            else:
                fence.text += line + "\n"
        elif line.startswith("```"):
            fence = Block(line[3:], "", number)
            found.setdefault(title, []).append(fence)
        elif re.match(r"##? ", line):
            title = line.lstrip("# ")
    return found


class Terminal:
    """A shell in a scratch folder that looks like a clone, in its own network, which needs root."""

    def __init__(self, case):
        self.case = case
        scratch = tempfile.TemporaryDirectory()
        case.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name) / "lodewatch"
        programs = pathlib.Path(scratch.name) / "bin"
        self.folder.mkdir()
        programs.mkdir()
        (programs / "lodewatch").symlink_to(harness.BINARY)
        for name in CLONE:
            (self.folder / name).symlink_to(harness.ROOT / name)
        clean = harness.environment()
        self.environment = clean | {"PATH": f"{programs}:{clean['PATH']}"}
        self.namespace = self.network()

    def provide(self, name, source):
        """Copies a file to the name that the pages use for it."""
        shutil.copyfile(source, self.folder / name)

    def network(self):
        script = "ip link set lo up && echo up && exec sleep infinity"
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.case.addCleanup(holder.stdout.close)
        self.case.addCleanup(holder.wait)
        self.case.addCleanup(holder.kill)
        self.case.assertEqual(holder.stdout.readline(), "up\n", "cannot create a network namespace; run as root")
        return f"--net=/proc/{holder.pid}/ns/net"

    def command(self, script):
        return ["nsenter", self.namespace, "bash", "-euo", "pipefail", "-c", script]

    def surroundings(self):
        """Options of every process: no input, and one pipe for all output."""
        return {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            # openssl prints raw bytes.
            "errors": "replace",
        }

    def run(self, script):
        """Runs a script to its end and returns its output."""
        done = subprocess.run(self.command(script), **self.surroundings(), timeout=SECONDS_MAX)
        self.case.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}")
        return done.stdout

    def stay(self, command, ready):
        """Starts a process that runs until the section ends, and waits for its line `ready`."""
        process = subprocess.Popen(self.command(f"exec {command}"), **self.surroundings())
        self.case.addCleanup(process.stdout.close)
        self.case.addCleanup(process.wait)
        self.case.addCleanup(process.kill)
        late = threading.Timer(SECONDS_MAX, process.kill)
        late.start()
        self.case.addCleanup(late.cancel)
        said = ""
        # The loop ends without a match when the process exits.
        for line in process.stdout:
            said += line
            if ready in line:
                late.cancel()
                threading.Thread(target=lambda: list(process.stdout), daemon=True).start()
                return
        self.case.fail(f"{command}\nended without {ready!r}:\n{said}")
