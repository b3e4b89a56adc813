"""The documents' own commands: read from the pages, and run as they are typed, in a folder and a network of their own."""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import harness

SECONDS_MAX = 120
# What stands in a clone, for commands that are typed there.
CLONE = ("crates", "deploy", "examples", "fuzz", "proto", "src", "tests")


@dataclasses.dataclass
class Block:
    """A fenced block: `sh`, `toml`, `text` and what else there is, with the line on which it begins."""

    kind: str
    text: str
    line: int


def sections(page):
    """The fenced blocks of a page by its headings of the first two levels; what stands under a third belongs to the second."""
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
    """A shell in a scratch folder that looks like a clone, with ports that nobody else has. Needs root, for the ports."""

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
        """A copy of a file, by the name under which the pages speak of it."""
        shutil.copyfile(source, self.folder / name)

    def network(self):
        script = "ip link set lo up && echo up && exec sleep infinity"
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.case.addCleanup(holder.stdout.close)
        self.case.addCleanup(holder.wait)
        self.case.addCleanup(holder.kill)
        self.case.assertEqual(holder.stdout.readline(), "up\n", "a network of its own can be had; that needs root")
        return f"--net=/proc/{holder.pid}/ns/net"

    def command(self, script):
        return ["nsenter", self.namespace, "bash", "-euo", "pipefail", "-c", script]

    def surroundings(self):
        """Of everything that is run: nothing to read, and one place for all that is said."""
        return {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            # openssl dumps bytes as they are.
            "errors": "replace",
        }

    def run(self, script):
        """Runs it to its end, and gives what it printed."""
        done = subprocess.run(self.command(script), **self.surroundings(), timeout=SECONDS_MAX)
        self.case.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}")
        return done.stdout

    def stay(self, command, ready):
        """Starts what stays until the section is over, and waits until it says that it is ready."""
        process = subprocess.Popen(self.command(f"exec {command}"), **self.surroundings())
        self.case.addCleanup(process.stdout.close)
        self.case.addCleanup(process.wait)
        self.case.addCleanup(process.kill)
        late = threading.Timer(SECONDS_MAX, process.kill)
        late.start()
        self.case.addCleanup(late.cancel)
        said = ""
        # An end without the word is the end of what it says.
        for line in process.stdout:
            said += line
            if ready in line:
                late.cancel()
                threading.Thread(target=lambda: list(process.stdout), daemon=True).start()
                return
        self.case.fail(f"{command}\nended without {ready!r}:\n{said}")
