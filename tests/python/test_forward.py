"""`lodewatch forward` to a real Alertmanager, and to a webhook that checks its signatures."""

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import tempfile
import threading
import unittest

import harness

SECONDS_MAX = 90
SECRET = b"a secret of more than 24 bytes"
ALIKE = ("ARG AUS AUT BEL BOL BRA CAN CHL CHN CZE DEU ESP FIN FRA IDN IND JPN MEX PER USA").split()


def report(mineral, shares):
    rows = [{"country": country, "share": share} for country, share in shares.items()]
    return {
        "report": {
            "mineral": mineral,
            "stage": "STAGE_REFINING",
            "source": "TEST",
            "period": "2024",
            "vintage": "2024-01-31",
            "rows": rows,
        }
    }


def concentrated(mineral, share=0.9):
    return report(mineral, {"CHN": share, "USA": 0.05})


def spread(mineral):
    return report(mineral, dict.fromkeys(ALIKE, 0.05))


def threat(mineral, effective):
    return {
        "id": "CHN-1",
        "title": "No exports",
        "imposing": "CHN",
        "minerals": [mineral],
        "measure": "MEASURE_PROHIBITION",
        "dateAnnounced": "2024-12-03",
        "dateEffective": effective,
    }


class Receiver:
    """An HTTP server that stores all posts, and answers as configured: 200 by default."""

    def __init__(self):
        self.answers = []
        self.posts = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(harness.WebHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.changed:
                    status, more = receiver.answers.pop(0) if receiver.answers else (200, {})
                    receiver.posts.append((status, dict(self.headers), body))
                    receiver.changed.notify_all()
                self.answer(status, more)

        self.server = harness.WebServer(Handler)
        self.url = f"{self.server.address}/hook"
        self.close = self.server.close

    def wait_for(self, is_there):
        """Waits until `enough` is true of the posts so far."""
        with self.changed:
            if not self.changed.wait_for(lambda: is_there(self.posts), SECONDS_MAX):
                raise AssertionError(f"not in time; there are {self.posts}")

    def taken(self):
        """The posts that were answered with success."""
        with self.changed:
            return [(headers, body) for status, headers, body in self.posts if status == 200]

    def sequences(self):
        return [int(json.loads(body)["data"]["sequence"]) for _, body in self.taken()]

    def wait_for_sequence(self, last):
        def has_come(posts):
            taken = [json.loads(body)["data"]["sequence"] for status, _, body in posts if status == 200]
            return str(last) in taken

        self.wait_for(has_come)


class Program:
    """A process whose output the test reads."""

    def __init__(self, *command):
        self.log = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=harness.environment(),
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.log.append(line)
                self.changed.notify_all()

    def wait_for(self, words):
        with self.changed:
            if not self.changed.wait_for(lambda: any(words in line for line in self.log), SECONDS_MAX):
                raise AssertionError("it does not say it:\n" + "".join(self.log))
        return next(line for line in self.log if words in line)

    def kill(self):
        """Kills it as a power failure would, unless it has exited."""
        self.process.kill()
        return self.ended()

    def ended(self):
        """Waits for its exit; returns the exit code and all its output."""
        code = self.process.wait(SECONDS_MAX)
        self.reader.join()
        self.process.stderr.close()
        return code, "".join(self.log)


class Alertmanager(Program):
    """A real Alertmanager without earlier state, which notifies a webhook at once."""

    def __init__(self, folder, pages, port=0):
        settings = folder / "alertmanager.yml"
        settings.write_text(
            "route: {receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s, "
            "repeat_interval: 1h}\n"
            "receivers: [{name: test, webhook_configs: "
            f"[{{url: '{pages.url}', send_resolved: true}}]}}]\n"
        )
        store = tempfile.mkdtemp(dir=folder)
        program = harness.ROOT / "target/tools/alertmanager"
        if not program.exists():
            raise RuntimeError("there is no Alertmanager; get one with: bash tests/alertmanager.sh")
        super().__init__(
            program,
            f"--config.file={settings}",
            f"--storage.path={store}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.format=json",
        )
        listening = json.loads(self.wait_for("Listening on"))
        self.port = int(listening["address"].rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"


class Forwarding(harness.Case):
    def setUp(self):
        super().setUp()
        self.state = self.folder / "state"
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def publish(self, *updates, exercise=False):
        """Publishes one batch; returns the sequence of the latest alert."""
        path = self.folder / "updates.jsonl"
        path.write_text("".join(json.dumps(update) + "\n" for update in updates))
        self.lodewatch("publish", path, *(["--exercise"] if exercise else []))
        return int(self.alerts()[-1]["sequence"])

    def alerts(self):
        lines = self.lodewatch("alerts", "--oldest-first", "--exercises", "--limit", 1000, "--output", "json")
        return [json.loads(line) for line in lines.splitlines()]

    def forward(self, *arguments):
        command = [harness.BINARY, "forward", *arguments, "--state", self.state]
        program = Program(*command, "--address", self.server.address)
        self.addCleanup(program.kill)
        return program

    # Webhooks.

    def webhook(self, *arguments):
        return self.forward("webhook", self.receiver.url, *arguments)

    def test_every_alert_is_one_signed_event_in_order_even_if_the_receiver_fails(self):
        secret = self.folder / "secret"
        secret.write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
        password = self.folder / "authorization"
        password.write_text("Bearer abc\n")
        self.receiver.answers = [(503, {}), (429, {"retry-after": "0"}), (200, {}), (500, {})]
        self.webhook("--secret-file", secret, "--authorization-file", password, "--from", "oldest")
        self.publish(concentrated("gallium"), concentrated("cobalt"))
        last = self.publish(spread("gallium"))
        self.receiver.wait_for_sequence(last)
        events = [json.loads(body) for _, body in self.receiver.taken()]
        alerts = self.alerts()
        self.assertEqual([event["data"] for event in events], alerts)
        self.assertEqual(len({event["id"] for event in events}), len(alerts))
        for event, alert in zip(events, alerts):
            kind = alert["kind"].removeprefix("ALERT_KIND_").lower()
            self.assertEqual(event["specversion"], "1.0")
            self.assertEqual(event["type"], f"lodewatch.v1.alert.{kind}")
            self.assertEqual(event["subject"], f"{alert['mineral']}/refining")
        first, tries = self.receiver.posts[0][1]["webhook-id"], 0
        for status, headers, body in self.receiver.posts:
            tries += headers["webhook-id"] == first
            self.assertEqual(headers["authorization"], "Bearer abc")
            self.assertEqual(headers["content-type"], "application/cloudevents+json")
            self.assertEqual(headers["webhook-id"], json.loads(body)["id"])
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.new(SECRET, signed, hashlib.sha256).digest()
            expected = "v1," + base64.b64encode(digest).decode()
            self.assertEqual(headers["webhook-signature"], expected)
        self.assertEqual(tries, 3, "the same id at every try")

    def test_a_killed_forwarder_leaves_no_gap_and_repeats_only_what_was_in_flight(self):
        killed, last = 0, 0
        for turn in range(4):
            program = self.webhook("--from", "oldest")
            last = self.publish(concentrated("gallium") if turn % 2 == 0 else spread("gallium"))
            self.receiver.wait_for_sequence(last - 1 if turn < 3 else last)
            program.kill()
            killed += 1
        # Alerts emitted while no forwarder ran.
        last = self.publish(spread("cobalt"), concentrated("tungsten"))
        self.webhook()
        self.receiver.wait_for_sequence(last)
        sequences = self.receiver.sequences()
        self.assertEqual(sorted(set(sequences)), list(range(1, last + 1)), "no gap")
        self.assertLessEqual(len(sequences) - last, killed, "at most one repeat per kill")
        in_order = [number for at, number in enumerate(sequences) if number not in sequences[:at]]
        self.assertEqual(in_order, sorted(in_order))

    def test_a_receiver_that_rejects_ends_the_forwarder_and_a_person_decides(self):
        last = self.publish(concentrated("gallium"))
        self.receiver.answers = [(200, {}), (422, {}), (422, {})]
        rejected = int(self.alerts()[1]["sequence"])
        for _ in range(2):
            code, said = self.webhook("--from", "oldest").ended()
            self.assertEqual(code, 1)
            self.assertIn(f"cannot deliver alert {rejected}", said)
            self.assertIn("422", said)
            self.assertIn(f"--skip {rejected}", said)
        more = self.publish(concentrated("cobalt"))
        self.assertGreater(more, last)
        self.webhook("--skip", rejected)
        self.receiver.wait_for_sequence(more)
        expected = [number for number in range(1, more + 1) if number != rejected]
        self.assertEqual(self.receiver.sequences(), expected)

    def test_sigterm_is_no_failure_and_exercises_are_forwarded_only_on_request(self):
        program = self.webhook()
        self.publish(concentrated("gallium"))
        exercise = self.publish({"threat": threat("gallium", "2024-12-03")}, exercise=True)
        real = self.publish(concentrated("cobalt"))
        self.receiver.wait_for_sequence(real)
        self.assertNotIn(exercise, self.receiver.sequences())
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.ended()[0], 0)
        self.state.unlink()
        self.webhook("--exercises", "--from", "oldest")
        self.receiver.wait_for_sequence(exercise)

    def test_an_unusable_state_file_or_option_is_reported_before_anything_is_sent(self):
        self.state = self.folder / "missing" / "state"
        code, said = self.webhook().ended()
        self.assertEqual((code, "cannot save the state" in said), (1, True), said)
        self.state = self.folder / "updates.jsonl"
        self.publish(concentrated("gallium"))
        code, said = self.webhook().ended()
        self.assertEqual((code, "not written by this version" in said), (1, True), said)
        self.state = self.folder / "state"
        bad = self.folder / "bad"
        bad.write_text("whsec_abc")
        code, said = self.webhook("--secret-file", bad).ended()
        self.assertEqual((code, "openssl rand -base64 32" in said), (1, True), said)
        self.assertEqual(self.receiver.posts, [])

    # Alertmanager.

    def alertmanager(self, port=0):
        program = Alertmanager(self.folder, self.receiver, port)
        self.addCleanup(program.kill)
        return program

    def paged(self, status, **labels):
        """Waits until Alertmanager notified about this; returns the alert as notified."""

        def fits(alert):
            is_of = all(alert["labels"].get(name) == value for name, value in labels.items())
            return is_of and alert["status"] == status

        def notified(posts):
            pages = [json.loads(body)["alerts"] for _, _, body in posts]
            return [alert for alerts in pages for alert in alerts if fits(alert)]

        self.receiver.wait_for(notified)
        return notified(self.receiver.posts)[-1]

    def test_opened_alerts_fire_escalated_ones_change_severity_and_cleared_ones_resolve(self):
        alertmanager = self.alertmanager()
        link = "https://console.example/alerts/{sequence}"
        self.forward("alertmanager", alertmanager.url, "--link", link)
        where = {"alertname": "hhi", "mineral": "gallium", "stage": "refining"}
        self.publish(concentrated("gallium", 0.5))
        warned = self.paged("firing", severity="warning", **where)
        self.assertNotIn("exercise", warned["labels"])
        opened = next(alert for alert in self.alerts() if alert["rule"] == "hhi")
        self.assertEqual(warned["annotations"]["summary"], opened["sentence"])
        self.assertIn("CHN 50 %", warned["annotations"]["why"])
        self.assertIn("data from feed cli", warned["annotations"]["cause"])
        self.assertEqual(warned["generatorURL"], link.replace("{sequence}", opened["sequence"]))
        self.publish(concentrated("gallium"))
        self.paged("resolved", severity="warning", **where)
        self.paged("firing", severity="critical", **where)
        self.publish(spread("gallium"))
        cleared = self.paged("resolved", severity="critical", **where)
        self.assertIn("no longer critical", cleared["annotations"]["summary"])

    def test_a_killed_forwarder_resumes_and_alertmanager_gets_the_alerts_in_between(self):
        alertmanager = self.alertmanager()
        program = self.forward("alertmanager", alertmanager.url)
        self.publish(concentrated("gallium"))
        self.paged("firing", alertname="hhi", mineral="gallium")
        program.kill()
        self.publish(spread("gallium"))
        self.publish(concentrated("cobalt"))
        self.publish({"threat": threat("cobalt", "2098-12-03")})
        self.forward("alertmanager", alertmanager.url)
        self.paged("resolved", alertname="hhi", mineral="gallium")
        self.paged("firing", alertname="hhi", mineral="cobalt", severity="critical")
        self.paged("firing", alertname="notice", mineral="cobalt", threat="CHN-1", severity="info")

    def test_an_alertmanager_that_lost_everything_gets_all_active_alerts(self):
        alertmanager = self.alertmanager()
        gone = "http://127.0.0.1:1"
        program = self.forward("alertmanager", gone, alertmanager.url, "--repeat", "1")
        self.publish(concentrated("gallium"))
        self.paged("firing", alertname="hhi", mineral="gallium")
        alertmanager.kill()
        with self.receiver.changed:
            self.receiver.posts.clear()
        self.publish(concentrated("cobalt"))
        at = f"receiver=\"127.0.0.1:{alertmanager.port}\""
        program.wait_for(f"receiver unavailable {at}")
        self.alertmanager(alertmanager.port)
        self.paged("firing", alertname="hhi", mineral="cobalt")
        self.paged("firing", alertname="hhi", mineral="gallium")
        program.wait_for(f"receiver available again {at}")


if __name__ == "__main__":
    unittest.main()
