"""`lodewatch feed` keeps files, folders and addresses in sync with a server, across crashes."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import threading
import unittest
import urllib.request

import harness
from test_forward import Program, report

SECONDS_MAX = 90


def lines(*updates):
    return "".join(json.dumps(update) + "\n" for update in updates)


def share(mineral, of_china):
    return lines(report(mineral, {"CHN": of_china, "USA": 0.05}))


class Web:
    """An HTTP server with one document, which answers 304 if it is known; or as configured."""

    def __init__(self, content):
        self.content, self.etag = content, '"1"'
        self.answers = []
        self.asked = []
        self.changed = threading.Condition()
        web = self

        class Handler(harness.WebHandler):
            def do_GET(self):
                with web.changed:
                    known = self.headers["if-none-match"]
                    status, headers = web.answers.pop(0) if web.answers else (200, {})
                    if status == 200 and known == web.etag:
                        status = 304
                    content, headers = web.content.encode(), {"etag": web.etag, **headers}
                    web.asked.append((self.path, known, status))
                    web.authorization = self.headers["authorization"]
                    web.changed.notify_all()
                self.answer(status, headers, content if status == 200 else b"")

        self.server = harness.WebServer(Handler)
        self.url = f"{self.server.address}/figures"
        self.close = self.server.close

    def replace(self, content):
        with self.changed:
            self.content, self.etag = content, f'"{int(self.etag[1:-1]) + 1}"'

    def wait_for(self, count, status):
        """Waits until `count` requests were answered with `status`; returns all requests."""
        with self.changed:
            answered = lambda: sum(1 for _, _, answer in self.asked if answer == status) >= count
            if not self.changed.wait_for(answered, SECONDS_MAX):
                raise AssertionError(f"not in time; there were {self.asked}")
            return list(self.asked)


class Holding:
    """A proxy that forwards requests, and drops the replies once `hold` is set."""

    def __init__(self, address):
        self.target = address.rsplit(":", 1)
        self.hold = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.target[0], int(self.target[1])))
            for source, to, holds in [(client, server, False), (server, client, True)]:
                threading.Thread(target=self._copy, args=(source, to, holds), daemon=True).start()

    def _copy(self, source, to, holds):
        try:
            while data := source.recv(65536):
                if not (holds and self.hold.is_set()):
                    to.sendall(data)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class Feeding(harness.Case):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "source"
        self.source.mkdir()

    def feeds(self, **feeds):
        """Writes the file of feeds: each feed's format, source, and other keys."""
        text = ""
        for name, (kind, source, *more) in feeds.items():
            values = {"name": name, "format": kind, "source": str(source), "interval": "1s"}
            values.update(*more)
            text += "[[feed]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        (self.folder / "feeds.toml").write_text(text)

    def command(self, *arguments, address=None):
        state = ["--state", str(self.folder / "state"), "--address", address or self.server.address]
        return ["feed", str(self.folder / "feeds.toml"), *state, *map(str, arguments)]

    def checkpoint(self, feed, file):
        """A checkpoint of the state file: of its first line, or the last change after it."""
        first, *changes = map(json.loads, (self.folder / "state").read_text().splitlines())
        found = first.get(feed, {}).get(file)
        for change in changes:
            if (change["feed"], change["file"]) == (feed, file):
                found = change["checkpoint"]
        return found

    def feed(self, *arguments, address=None):
        program = Program(harness.BINARY, *self.command(*arguments, address=address))
        self.addCleanup(program.kill)
        return program

    def run_to_its_end(self, *arguments):
        done = self.run_program(*self.command(*arguments))
        return done.returncode, done.stdout, done.stderr

    def put(self, name, content):
        """Writes a file atomically."""
        hidden = self.source / f".{name}"
        hidden.write_text(content)
        hidden.rename(self.source / name)

    def markets(self):
        text = self.lodewatch("markets", "--output", "json")
        return {json.loads(line)["mineral"] for line in text.splitlines()}

    def batches(self):
        """The feed and the number of updates of every batch in the journal."""
        exported = self.printed("journal", "export", "--data-dir", self.folder / "data")
        entries = [json.loads(line) for line in exported.splitlines()]
        batches = [entry["batch"] for entry in entries if "batch" in entry]
        return [(batch["feed"], len(batch["updates"])) for batch in batches]

    # Files.

    def test_a_folder_is_kept_in_sync_and_an_invalid_file_delays_no_other(self):
        self.put("a.jsonl", share("gallium", 0.9))
        self.put("b.jsonl", share("cobalt", 0.9) + '{"report": {"mineral": "tin", "shares": []}}\n')
        self.put("c.jsonl", share("tin", 0.9))
        self.feeds(own=("jsonl", "source"))
        program = self.feed()
        program.wait_for('published feed=own file="c.jsonl"')
        said = program.wait_for("not in sync")
        self.assertIn('file="b.jsonl"', said)
        self.assertIn("line 2, column", said)
        self.assertEqual(self.markets(), {"gallium", "tin"}, "nothing of a faulty file")
        self.put("b.jsonl", share("cobalt", 0.9))
        program.wait_for('published feed=own file="b.jsonl"')
        (self.source / "a.jsonl").unlink()
        program.wait_for('file deleted; its updates stay in the record feed=own file="a.jsonl"')
        self.put("c.jsonl", share("tin", 0.5))
        self.assertIn("applied=1", self.nth(program, 'published feed=own file="c.jsonl"', 2))
        self.assertEqual(self.markets(), {"cobalt", "gallium", "tin"})
        self.assertEqual(self.batches(), [("own", 1)] * 4)

    def nth(self, program, words, count):
        """The log line with these words, for the given time."""
        with program.changed:
            said = lambda: [line for line in program.log if words in line]
            if not program.changed.wait_for(lambda: len(said()) >= count, SECONDS_MAX):
                raise AssertionError("".join(program.log))
            return said()[count - 1]

    # Addresses.

    def test_an_address_is_asked_for_what_has_changed_and_failures_pass(self):
        web = Web(share("gallium", 0.9))
        self.addCleanup(web.close)
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        never = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        self.feeds(silent=("jsonl", never), web=("jsonl", web.url))
        program = self.feed()
        program.wait_for("published feed=web")
        self.assertEqual(web.wait_for(2, 304)[:2], [("/figures", None, 200), ("/figures", '"1"', 304)])
        with web.changed:
            web.answers = [(500, {}), (302, {"location": "/moved?secret"}), (503, {"retry-after": "1"})]
        self.assertIn("500 Internal Server Error", program.wait_for("not in sync feed=web"))
        self.assertIn("503 Service Unavailable", self.nth(program, "not in sync feed=web", 2))
        program.wait_for("in sync again feed=web")
        self.assertIn(("/moved?secret", '"1"'), [(path, known) for path, known, _ in web.asked])
        web.replace(share("gallium", 0.5))
        self.assertIn("applied=1", self.nth(program, "published feed=web", 2))
        program.kill()
        # The state outlives the process.
        before = len(web.asked)
        program = self.feed()
        self.assertEqual(web.wait_for(sum(1 for *_, status in web.asked if status == 304) + 1, 304)[before][1], '"2"')
        self.assertEqual(self.batches(), [("web", 1)] * 2)

    def test_an_invalid_document_is_reported_once_and_not_fetched_until_it_changes(self):
        web = Web("{}\nno json\n")
        self.addCleanup(web.close)
        self.feeds(web=("jsonl", web.url, {"authorization_file": "secret"}))
        program = self.feed()
        self.assertRegex(program.wait_for("not in sync"), r"cannot read the authorization from \S+secret: ")
        (self.folder / "secret").write_text("Bearer abc\n")
        self.assertIn("line 2, column", self.nth(program, "not in sync", 2))
        self.assertEqual(web.authorization, "Bearer abc")
        web.wait_for(2, 304)
        self.assertEqual(sum("not in sync" in line for line in program.log), 2)
        web.replace(share("gallium", 0.9))
        program.wait_for("published feed=web")

    # Servers.

    def test_a_kill_between_publishing_and_saving_the_state_repeats_nothing(self):
        self.put("a.jsonl", share("gallium", 0.9))
        self.feeds(own=("jsonl", "source"))
        holding = Holding(self.server.address)
        self.addCleanup(holding.close)
        holding.hold.set()
        program = self.feed(address=holding.address)
        while not self.batches():
            self.assertIsNone(program.process.poll())
        program.kill()
        self.assertNotIn("published", "".join(program.log))
        self.assertIn("sending", self.checkpoint("own", "a.jsonl"))
        self.assertIn("applied=1 unchanged=0", self.feed().wait_for("published"), "the first reply")
        self.assertEqual(self.batches(), [("own", 1)])

    def test_a_document_that_returns_after_another_was_half_published_is_published_again(self):
        self.put("a.jsonl", share("gallium", 0.9))
        self.feeds(own=("jsonl", "source"))
        self.assertEqual(self.run_to_its_end("--once")[0], 0)
        holding = Holding(self.server.address)
        self.addCleanup(holding.close)
        holding.hold.set()
        self.put("a.jsonl", share("gallium", 0.5))
        program = self.feed(address=holding.address)
        while len(self.batches()) < 2:
            self.assertIsNone(program.process.poll())
        program.kill()
        self.put("a.jsonl", share("gallium", 0.9))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual((code, "applied=1" in said), (0, True), said)
        self.assertEqual(self.batches(), [("own", 1)] * 3)

    def test_killed_again_and_again_it_publishes_everything_once(self):
        minerals = ["gallium", "cobalt", "tin", "tungsten"]
        # Of each batch another share, so that a batch that came twice would be applied twice.
        updates = [report(minerals[at % 4], {"CHN": 0.1 + at // 100 / 10}) for at in range(450)]
        self.put("a.jsonl", lines(*updates))
        self.feeds(own=("jsonl", "source"))
        for batches in range(1, 6):
            program = self.feed()
            while len(self.batches()) < batches:
                self.assertIsNone(program.process.poll())
            program.kill()
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.batches(), [("own", 100)] * 4 + [("own", 50)])

    def test_a_server_that_is_away_is_waited_for(self):
        address = self.server.address
        self.server.kill()
        self.put("a.jsonl", share("gallium", 0.9))
        self.feeds(own=("jsonl", "source"))
        program = self.feed(address=address)
        self.assertIn("the server is unavailable", program.wait_for("not in sync"))
        self.serve(listen=address)
        program.wait_for("published")
        self.server.kill()
        self.put("a.jsonl", share("gallium", 0.5))
        self.put("b.jsonl", share("tin", 0.5))
        self.serve(listen=address)
        program.wait_for('published feed=own file="b.jsonl"')
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.ended()[0], 0)
        self.assertEqual(self.batches(), [("own", 1)] * 3)

    def test_a_rejected_batch_is_reported_and_retried_when_the_result_may_differ(self):
        token = self.run_program("token", "new", "feeder", "--role", "publisher", "--feed", "other")
        (self.folder / "token").write_text(token.stdout)
        identities = self.folder / "identities.toml"
        identities.write_text(token.stderr)
        self.server.kill()
        self.serve(LODEWATCH_ACCESS__IDENTITIES=str(identities), LODEWATCH_RELOAD__INTERVAL="1s")
        self.put("a.jsonl", share("unobtainium", 0.9))
        self.put("b.jsonl", share("gallium", 0.9))
        self.feeds(own=("jsonl", "source"))
        program = self.feed("--token-file", self.folder / "token")
        self.assertIn("the server rejected lines 1 to 1", program.wait_for('not in sync feed=own file="b.jsonl"'))
        identities.write_text(token.stderr.replace('"other"', '"own"'))
        program.wait_for('published feed=own file="b.jsonl"')
        rejected = program.wait_for('not in sync feed=own file="a.jsonl"')
        self.assertIn("(updates[0] is line 1): updates[0].report.mineral: ", rejected)

    # One round, and the status.

    def test_the_exit_code_of_one_round_shows_whether_all_is_in_sync(self):
        self.put("a.jsonl", share("gallium", 0.9))
        self.feeds(own=("jsonl", "source"), web=("jsonl", "http://127.0.0.1:1/"))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual(code, 1)
        self.assertIn("Connection refused", said)
        self.assertIn("error: 1 of 2 feeds are not in sync", said)
        code, status, _ = self.run_to_its_end("--status")
        self.assertEqual(code, 1)
        self.assertRegex(status, r"own +a\.jsonl +20\S+Z +1 update +0 +1 applied, ")
        self.assertRegex(status, r"web +never +NOT IN SYNC")
        self.assertRegex(status, r"\nweb: since 20\S+Z: cannot fetch the source: ")
        self.feeds(own=("jsonl", "source"))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual((code, said), (0, ""), "nothing changed, so nothing is logged")
        code, status, _ = self.run_to_its_end("--status", "--output", "json")
        self.assertEqual(code, 0)
        (row,) = map(json.loads, status.splitlines())
        self.assertEqual((row["file"], row["problem"]), ("a.jsonl", None))
        self.assertEqual(row["published"]["outcomes"]["applied"], 1)
        self.assertEqual(self.batches(), [("own", 1)])

    def test_a_mapping_that_changes_has_tables_read_again(self):
        imports = harness.ROOT / "crates/importers/samples"
        mapping = self.folder / "map.toml"
        mapping.write_text((harness.ROOT / "crates/importers/src/table/example.toml").read_text())
        self.feeds(table=("csv", imports / "table.csv", {"mapping": "map.toml"}), gta=("gta", imports / "gta.csv"))
        self.assertEqual(self.run_to_its_end("--once")[0], 0)
        self.assertEqual(sorted(self.batches()), [("gta", 7), ("table", 3)])
        self.assertEqual(self.run_to_its_end("--once")[2], "")
        mapping.write_text(mapping.read_text().replace('"EXAMPLE"', '"OTHER"'))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual(code, 0)
        self.assertIn("published feed=table", said)
        self.assertIn("applied=3", said)
        self.assertNotIn("feed=gta", said)
        mapping.write_text("source = 1\n")
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual((code, re.search(r"cannot use the mapping \S+map.toml", said) is not None), (1, True), said)

    def test_the_releases_of_the_usgs_are_kept_in_sync(self):
        data = harness.ROOT / "crates/importers/samples/usgs"
        self.feeds(usgs=("usgs", data))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual(code, 0, said)
        self.assertIn('imported="164 reports of 82 markets" skipped=39 applied=164', said)
        self.assertEqual(self.run_to_its_end("--once"), (0, "", ""))

    # Settings and metrics.

    def test_all_problems_of_the_file_are_reported_before_anything_is_read(self):
        self.feeds(own=("cvs", "source", {"intervl": "1h", "interval": "soon"}))
        code, _, said = self.run_to_its_end("--once")
        self.assertEqual(code, 1)
        for words in ["feed[0].format = \"cvs\"", "must be usgs, csv", "feed[0].interval = \"soon\"", "did you mean interval?"]:
            self.assertIn(words, said)
        self.assertFalse((self.folder / "state").exists())
        shown = harness.ROOT / "deploy/feeds.toml"
        self.assertIn(shown.read_text().strip(), self.lodewatch("feed", "--help"))
        self.feeds(own=("jsonl", "source"))
        path = self.folder / "feeds.toml"
        self.assertEqual(self.lodewatch("feed", path, "--check"), f"{path}: no problems, 1 feeds\n")

    def test_metrics_show_the_status_of_each_feed(self):
        self.put("a.jsonl", share("gallium", 0.9))
        self.put("b.jsonl", "no json")
        (self.folder / "good.jsonl").write_text(share("tin", 0.9))
        self.feeds(own=("jsonl", "source"), good=("jsonl", "good.jsonl"))
        program = self.feed("--metrics-listen", "127.0.0.1:0")
        address = re.search(r"address=(\S+)", program.wait_for("--metrics-listen")).group(1)
        program.wait_for("not in sync feed=own")
        program.wait_for("published feed=good")

        def value(series):
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=SECONDS_MAX) as page:
                self.text = page.read().decode()
            return float(re.search(rf"^{re.escape(series)} (\S+)$", self.text, re.M).group(1))

        while value('lodewatch_feed_in_sync_timestamp_seconds{feed="good"}') == 0:
            self.assertIsNone(program.process.poll())
        self.assertEqual(value('lodewatch_feed_failing{feed="own"}'), 1)
        self.assertEqual(value('lodewatch_feed_in_sync_timestamp_seconds{feed="own"}'), 0)
        self.assertGreater(value('lodewatch_feed_published_timestamp_seconds{feed="own"}'), 1.7e9)
        self.assertEqual(value('lodewatch_feed_updates_total{feed="own",outcome="applied"}'), 1)
        self.assertEqual(value('lodewatch_feed_interval_seconds{feed="own"}'), 1)
        promtool = harness.ROOT / "target/tools/promtool"
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=self.text, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
