"""The example's loop against the real server: every alert once, over kill -9, a server that is gone, and a new start."""

import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

import grpc

import harness
import test_client

EXAMPLE = harness.ROOT / "examples/subscribe.py"
SECONDS_MAX = 60


def setUpModule():
    test_client.setUpModule()


class Loop(test_client.WithServer):
    """Publishes shares that cross a threshold each time, and reads what the example prints."""

    def setUp(self):
        super().setUp()
        self.cursor = pathlib.Path(self.data_dir.name) / "cursor"
        self.seen = []
        self.news = threading.Condition()

    def run_example(self, *servers):
        stubs = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(self.cursor), *servers],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": stubs},
        )
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
        """Until the example keeps this cursor, or any: it has handled all before it. One without waits for its snapshot."""
        end = time.monotonic() + SECONDS_MAX
        while not self.cursor.exists() or cursor not in (None, self.cursor.read_text()):
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

    def test_every_alert_is_printed_once_whatever_happens(self):
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


if __name__ == "__main__":
    unittest.main()
