"""Runs the examples against the real server, built and started as their own page says.

Each alert once across kill -9, an unreachable server and a restart; each batch once even if its
reply is lost.
"""

import pathlib
import shlex
import subprocess
import threading
import time
import unittest
import uuid
from concurrent import futures

import grpc

import docs
import harness
import test_client

SECONDS_MAX = 60
PAGE = "examples/README.md"
# Commands that tests/all.sh ran before.
DONE_BEFORE = ("cargo build ", "apt-get install ")
SERVER = "127.0.0.1:50061"
PUBLISH = "/lodewatch.v1.FeedService/Publish"


def setUpModule():
    test_client.setUpModule()


def shell_blocks(language):
    return [block.text for block in docs.sections(PAGE)[language] if block.kind == "sh"]


class Example(test_client.WithServer):
    """One language: its section of the page builds it, then starts it."""

    language = None

    @classmethod
    def setUpClass(cls):
        if cls.language is None:
            raise unittest.SkipTest("no language by itself")
        *build, start = shell_blocks(cls.language)
        # Cargo may build into another folder than the page names.
        start = start.replace("target/debug", str(pathlib.Path(harness.BINARY).parent))
        subscribe, publish = start.splitlines()
        cls.subscribe = subscribe.removesuffix(f" cursor {SERVER}")
        cls.publish_file = publish.removesuffix(f" my-feed examples/updates.jsonl {SERVER}")
        script = "\n".join(block for block in build if not block.startswith(DONE_BEFORE))
        built = cls.shell(script, stderr=subprocess.STDOUT)
        if built.returncode != 0:
            raise RuntimeError(f"{cls.language} is not built:\n{built.stdout}")

    @staticmethod
    def shell(script, **options):
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=harness.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options
        )

    def in_data_dir(self, name):
        return pathlib.Path(self.data_dir.name) / name


class Subscriber:
    """Publishes shares that cross a threshold each time, and reads the example's output."""

    def setUp(self):
        super().setUp()
        self.cursor = self.in_data_dir("cursor")
        self.seen = []
        self.news = threading.Condition()

    def run_example(self, *servers):
        process = subprocess.Popen(
            [*shlex.split(self.subscribe), str(self.cursor), *servers],
            cwd=harness.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process = process
        reader = threading.Thread(target=self.read, args=(process,), daemon=True)
        reader.start()

        def end():
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()

        self.addCleanup(end)
        return end

    def read(self, process):
        for line in process.stdout:
            with self.news:
                self.seen.append(int(line.split()[0]))
                self.news.notify_all()

    def wait_for_cursor(self, cursor=None):
        """Waits until the example saved this cursor, or any: it handled all before it. The file
        holds the text of the cursor or, written by the Rust client, that text in JSON."""
        end = time.monotonic() + SECONDS_MAX
        while not self.cursor.exists() or cursor not in (None, self.cursor.read_text().strip('"')):
            self.assertIsNone(self.process.poll(), "the example runs")
            self.assertLess(time.monotonic(), end, "the cursor is kept")
            with self.news:
                self.news.wait(0.02)

    def publish_turn(self, turn):
        share = 0.9 if turn % 2 == 0 else 0.1
        report = test_client.gallium_report(share)
        return self.publish(test_client.publication(report=report))

    def restart(self):
        address = self.server.address
        self.channel.close()
        self.server.kill()
        self.server = harness.Server(self.data_dir.name, address)
        self.addCleanup(self.server.kill)
        self.channel = grpc.insecure_channel(self.server.address)
        self.addCleanup(self.channel.close)

    def test_every_alert_is_printed_once_across_crashes_and_restarts(self):
        end = self.run_example("127.0.0.1:1", self.server.address)
        self.wait_for_cursor()
        self.wait_for_cursor(self.publish_turn(0).cursor)
        self.restart()
        self.wait_for_cursor(self.publish_turn(1).cursor)
        end()
        last = self.publish_turn(2)
        self.run_example(self.server.address)
        self.wait_for_cursor(last.cursor)
        expected = list(range(1, last.alert_sequences[-1] + 1))
        with self.news:
            self.news.wait_for(lambda: len(self.seen) >= len(expected), SECONDS_MAX)
            self.assertEqual(self.seen, expected)


class Losing(grpc.GenericRpcHandler):
    """Forwards batches to the real server, and loses the reply to the first."""

    def __init__(self, channel):
        self.batches = []
        self.forward = channel.unary_unary(PUBLISH)

    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(self.publish) if call.method == PUBLISH else None

    def publish(self, batch, context):
        self.batches.append(batch)
        answer = self.forward(batch, timeout=SECONDS_MAX)
        if len(self.batches) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the reply is lost")
        return answer


class Publisher:
    """Publishes files, and reads the results."""

    def run_publisher(self, path, *servers):
        arguments = shlex.join(["my-feed", str(path), *servers])
        script = f"exec {self.publish_file} {arguments}"
        return self.shell(script, stderr=subprocess.PIPE, timeout=SECONDS_MAX)

    def write(self, *lines):
        path = self.in_data_dir("updates.jsonl")
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    def test_a_batch_is_applied_once_even_if_its_reply_is_lost(self):
        between = grpc.server(futures.ThreadPoolExecutor(1))
        losing = Losing(self.channel)
        between.add_generic_rpc_handlers([losing])
        port = between.add_insecure_port("127.0.0.1:0")
        between.start()
        self.addCleanup(lambda: between.stop(None).wait())
        path = "examples/updates.jsonl"
        done = self.run_publisher(path, "127.0.0.1:1", f"127.0.0.1:{port}")
        self.assertEqual((done.returncode, done.stdout), (0, "lines 1 to 2: 2 applied, 8 alerts\n"), done.stderr)
        first, again = losing.batches
        self.assertEqual(first, again, "the same batch under the same request_id")
        uuid.UUID(test_client.feed_pb2.PublishRequest.FromString(first).request_id)
        done = self.run_publisher(path, self.server.address)
        self.assertEqual(done.stdout, "lines 1 to 2: 0 applied, 0 alerts\n", "another batch with the same content")

    def test_a_rejection_names_every_invalid_field(self):
        report = '{"report":{"mineral":"gallium","stage":"STAGE_REFINING","source":"USGS","period":"2025","rows":[%s]}}'
        path = self.write(report % '{"country":"Atlantis","share":1.5}', "", report % "")
        done = self.run_publisher(path, self.server.address)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("lines 1 to 3: ", done.stderr)
        for field in ("updates[0].report.rows[0].country", "updates[0].report.vintage", "updates[1].report.vintage"):
            self.assertIn(field, done.stderr)

    def test_a_line_that_is_not_an_update_is_named(self):
        path = self.write('{"removal":{"threatId":"NONE"}}', '{"removal":{"threadId":"NONE"}}')
        done = self.run_publisher(path, self.server.address)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(f"{path}:2: ", done.stderr)
        self.assertIn("threadId", done.stderr)


class Rust(Subscriber, Publisher, Example):
    language = "Rust"


class Python(Subscriber, Publisher, Example):
    language = "Python"


class TypeScript(Subscriber, Publisher, Example):
    language = "TypeScript"


class Go(Subscriber, Publisher, Example):
    language = "Go"


if __name__ == "__main__":
    unittest.main()
