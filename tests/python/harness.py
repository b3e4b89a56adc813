"""The real server as a process, and stubs generated from the protos, as any other client has."""

import http.server
import importlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import grpc_tools
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LODEWATCH_BIN", str(ROOT / "target/debug/lodewatch"))
FILES = ("types", "feed", "alert", "market", "policy")


def environment():
    """The environment without the settings of the tests, which are not the program's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LODEWATCH_")}


def generate_stubs():
    """Compiles the protos into a temporary folder on `sys.path`. Keep the result alive."""
    folder = tempfile.TemporaryDirectory()
    bundled = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{bundled}", f"--python_out={folder.name}"]
    arguments += [f"--grpc_python_out={folder.name}"]
    arguments += [f"lodewatch/v1/{name}.proto" for name in FILES]
    if protoc.main(arguments) != 0:
        raise RuntimeError("the protos do not compile")
    sys.path.insert(0, folder.name)
    return folder


def stub_module(name):
    """A generated module, such as `feed_pb2`."""
    return importlib.import_module(f"lodewatch.v1.{name}")


class WebServer(http.server.ThreadingHTTPServer):
    """Serves HTTP on a free port with the given handler, until it is closed."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Ignores errors: tests kill clients."""

    def close(self):
        self.shutdown()
        self.server_close()


class WebHandler(http.server.BaseHTTPRequestHandler):
    """Sends complete responses, and logs nothing."""

    def answer(self, status, headers, content=b""):
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server:
    """`lodewatch serve`, on a free port unless one is given; with a console only on request."""

    START_SECONDS_MAX = 30

    def __init__(self, data_dir, listen="127.0.0.1:0", console="", **settings):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", listen, "--data-dir", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "LODEWATCH_CONSOLE__LISTEN": console, **settings},
        )
        self.log = []
        self.address = None
        self.console = None
        self._wants_console = console != ""
        self._addresses_logged = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._addresses_logged.wait(self.START_SECONDS_MAX)
        if self.address is None or (self._wants_console and self.console is None):
            self.kill()
            raise RuntimeError("the server logged no listening address:\n" + "".join(self.log))

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"127\.0\.0\.1:([1-9]\d*)", line)
            if found and "listening address" in line:
                self.address = found.group(0)
            if found and "console.listen" in line:
                self.console = found.group(0)
            if self.address and (self.console or not self._wants_console):
                self._addresses_logged.set()
        self._addresses_logged.set()

    def kill(self):
        """Kills it without a drain, as a power failure would."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stderr.close()


class Case(unittest.TestCase):
    """A temporary folder, a server on it, and the program as its client."""

    SECONDS_MAX = 90

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.serve()

    def serve(self, **settings):
        self.server = Server(self.folder / "data", **settings)
        self.addCleanup(self.server.kill)

    def run_program(self, *arguments):
        return subprocess.run(
            [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=self.SECONDS_MAX, env=environment()
        )

    def lodewatch(self, *arguments):
        return self.printed(*arguments, "--address", self.server.address)

    def printed(self, *arguments):
        """Runs a command that must succeed; returns its output."""
        done = self.run_program(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout
