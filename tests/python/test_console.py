"""The console in a real browser against the real server, and its responses to other clients."""

import hashlib
import http.client
import pathlib
import subprocess
import tempfile
import unittest
import uuid

import grpc
from selenium.webdriver.common.keys import Keys

import harness
from browser import Browser

CALL_SECONDS_MAX = 30
MANY = 10_000
# Tokens to sign in with: an identities file holds only hashes.
TOKENS = {"reader": 'roles = ["subscriber"]', "feed": 'roles = ["publisher"]\nfeeds = ["test"]'}


def setUpModule():
    folder = harness.generate_stubs()
    unittest.addModuleCleanup(folder.cleanup)
    for name in ("types", "feed", "alert", "market"):
        globals()[f"{name}_pb2"] = harness.stub_module(f"{name}_pb2")
        if name != "types":
            globals()[f"{name}_pb2_grpc"] = harness.stub_module(f"{name}_pb2_grpc")
    # One for all tests: it starts more slowly than most of them run.
    globals()["BROWSER"] = Browser()
    unittest.addModuleCleanup(BROWSER.close)


def report(mineral, share, stage=2):
    rows = [types_pb2.SupplyRow(country="CHN", share=share)]
    return types_pb2.SupplyReport(
        mineral=mineral, stage=stage, source="USGS", period="2025", vintage="2026-02-07", rows=rows
    )


class WithServer(unittest.TestCase):
    """A server with the bundled data, shared by the tests of a class."""

    settings = {}
    has_data = True

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.serve("127.0.0.1:0", "127.0.0.1:0")
        if cls.has_data:
            for name in ("reports", "threats"):
                lines = harness.ROOT / f"crates/importers/src/bundled/{name}.jsonl"
                command = [harness.BINARY, "publish", str(lines), "--address", cls.server.address]
                subprocess.run(command, check=True, capture_output=True, timeout=CALL_SECONDS_MAX)

    @classmethod
    def serve(cls, listen, console):
        cls.server = harness.Server(cls.folder / "data", listen, console, **cls.settings)
        cls.addClassCleanup(cls.server.kill)
        cls.channel = grpc.insecure_channel(cls.server.address)
        cls.addClassCleanup(cls.channel.close)
        cls.url = f"http://{cls.server.console}/"

    def publish(self, *updates, exercise=False):
        batch = feed_pb2.PublishRequest(
            request_id=str(uuid.uuid4()), feed="test", updates=list(updates), exercise=exercise
        )
        stub = feed_pb2_grpc.FeedServiceStub(self.channel)
        return stub.Publish(batch, timeout=CALL_SECONDS_MAX, wait_for_ready=True)

    def flip(self, mineral, share):
        """Causes alerts; returns the sequence of the last."""
        return self.publish(feed_pb2.Update(report=report(mineral, share))).alert_sequences[-1]


class InBrowser(WithServer):
    """With a browser, which must log no error and send no request to another server."""

    def setUp(self):
        self.browser = BROWSER
        self.browser.leave()
        self.browser.width(1280, 800)

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        foreign = [url for url in self.browser.requested() if not url.startswith(self.url)]
        self.assertEqual(foreign, [])

    def live(self, view):
        self.browser.open(f"{self.url}#/{view}")
        self.browser.until_text(".link", "Live")

    def see(self, sequence):
        self.browser.find(f'[data-sequence="{sequence}"]')


class Views(InBrowser):
    def test_the_board_shows_every_market_by_word_as_well_as_by_colour(self):
        stub = market_pb2_grpc.MarketServiceStub(self.channel)
        request = market_pb2.ListMarketsRequest(page_size=1000)
        markets = stub.ListMarkets(request, timeout=CALL_SECONDS_MAX).markets
        self.live("")
        self.browser.until("all markets", lambda: self.browser.count(".square") == len(markets))
        square = self.browser.text('[data-market="niobium/mining"]')
        for word in ("critical", "Brazil", "%", "HHI"):
            self.assertIn(word, square)
        self.browser.fill("input[type=search]", "niob")
        self.browser.until("one market", lambda: self.browser.count(".square") == 1)

    def test_the_keyboard_searches_and_leaves_the_board(self):
        self.live("")
        self.browser.find(".square")
        self.browser.find("body").send_keys("/")
        self.browser.find("input[type=search]:focus").send_keys("gallium")
        self.browser.until("one market", lambda: self.browser.count(".square") == 1)
        self.browser.find(".square").send_keys(Keys.ENTER)
        self.browser.find(".facts")
        self.browser.find("h1:focus")

    def test_a_market_has_its_suppliers_thresholds_measures_and_history(self):
        self.live("markets/gallium/refining")
        self.browser.find(".uplot canvas")
        page = self.browser.until("its measures", lambda: self.browser.all(".timeline .words") and self.browser.text("main"))
        for word in ("China", "critical from 5,000", "HHI with t", "suspended 2025-11-09 to 2026-11-27", "in force"):
            self.assertIn(word, page)
        self.assertGreater(self.browser.count(".scale"), 1)
        self.assertGreater(self.browser.count(".timeline i.suspended"), 0)

    def test_an_alert_arrives_at_once_and_is_explained(self):
        self.live("alerts")
        last = self.flip("tellurium", 0.2)
        self.see(last)
        self.browser.press(f'[data-sequence="{last}"]')
        self.browser.find(".arithmetic tfoot")
        self.assertIn("Tellurium refining", self.browser.text("main"))

    def test_a_simulation_shows_before_and_after_and_changes_nothing(self):
        before = self.alerts()
        self.live("simulation")
        self.browser.fill("input[name=minerals]", "niobium")
        self.browser.run("const one = document.querySelector('[name=imposing]'); one.value = 'BRA'")
        self.browser.press("button.primary")
        self.browser.until_text(".result", "would be emitted")
        change = self.browser.text('[data-market="niobium/mining"]')
        self.assertIn("→", change)
        self.assertIn("Niobium mining, buyers in the United States", self.browser.text(".result"))
        self.assertIn("Rule: prohibited-share.", self.browser.text(".result"))
        self.assertEqual(self.alerts(), before)
        self.browser.fill("input[name=minerals]", "unobtainium")
        self.browser.press("button.primary")
        self.browser.until_text(".fault", "unobtainium")

    def test_threats_are_ordered_by_their_next_date(self):
        self.live("threats")
        self.browser.find("[data-threat]")
        dates = self.browser.run("return [...document.querySelectorAll('.threats time')].map((one) => one.dateTime)")
        self.assertEqual(dates, sorted(dates))
        self.assertGreater(len(dates), 1)

    def test_an_exercise_is_marked(self):
        threat = types_pb2.Threat(
            id="EXERCISE-1", title="An exercise", imposing="BRA", minerals=["niobium"], measure=1,
            date_announced="2026-01-01", date_effective="2026-01-01",
        )
        self.live("alerts")
        sequence = self.publish(feed_pb2.Update(threat=threat), exercise=True).alert_sequences[-1]
        self.see(sequence)
        self.assertIn("exercise", self.browser.text(f'[data-sequence="{sequence}"]'))
        self.publish(feed_pb2.Update(removal=feed_pb2.ThreatRemoval(threat_id="EXERCISE-1")), exercise=True)

    def test_published_text_is_displayed_as_text_only(self):
        title = "<img src=x onerror=document.body.remove()>"
        threat = types_pb2.Threat(id="WORDS", title=title, imposing="BRA", minerals=["niobium"], measure=6, date_announced="2026-01-01")
        self.publish(feed_pb2.Update(threat=threat))
        self.live("threats")
        self.browser.until_text('[data-threat="WORDS"]', title)
        self.assertEqual(self.browser.count("main img"), 0)

    def test_nothing_is_wider_than_a_phone_and_dark_is_dark(self):
        self.browser.width(360, 780)
        ready = {"": ".square", "markets/gallium/refining": ".uplot", "alerts": ".alert", "threats": "[data-threat]", "simulation": "form"}
        for view, selector in ready.items():
            self.live(view)
            self.browser.find(selector)
            beyond = self.browser.run("return document.documentElement.scrollWidth - innerWidth")
            self.assertLessEqual(beyond, 0, view)
            if view == "":
                cut = "return [...document.querySelectorAll('.who')].filter((who) => who.scrollWidth > who.clientWidth).length"
                self.assertEqual(self.browser.run(cut), 0, "names of countries are whole")
        ground = "return getComputedStyle(document.body).backgroundColor"
        self.browser.scheme("light")
        light = self.browser.run(ground)
        self.browser.scheme("dark")
        self.assertNotEqual(self.browser.run(ground), light)

    def alerts(self):
        stub = alert_pb2_grpc.AlertServiceStub(self.channel)
        request = alert_pb2.ListAlertsRequest(page_size=1)
        return stub.ListAlerts(request, timeout=CALL_SECONDS_MAX).alerts[0].sequence


class Resumed(InBrowser):
    def test_a_page_resumes_when_its_server_is_back(self):
        self.live("alerts")
        first = self.flip("tellurium", 0.2)
        self.see(first)
        listen, console = self.server.address, self.server.console
        self.server.kill()
        self.browser.until("the lost connection to be shown", lambda: "Live" not in self.browser.text(".link"))
        self.channel.close()
        self.serve(listen, console)
        last = self.flip("tellurium", 0.9)
        self.see(last)
        self.browser.until_text(".link", "Live")
        shown = self.browser.run("return [...document.querySelectorAll('[data-sequence]')].map((one) => Number(one.dataset.sequence))")
        self.assertEqual(shown, list(range(last, last - len(shown), -1)), "each once, none missing")


class Many(InBrowser):
    has_data = False

    def test_ten_thousand_alerts_are_scrolled_through_with_few_of_them_drawn(self):
        minerals = [line.split(",")[0] for line in (harness.ROOT / "crates/core/src/domain/catalogue.csv").read_text().splitlines()[1:]]
        last, turn = 0, 0
        while last < MANY:
            turn += 1
            share = 0.9 if turn % 2 == 1 else 0.05
            updates = [feed_pb2.Update(report=report(one, share, stage)) for one in minerals for stage in (1, 2)]
            last = self.publish(*updates).alert_sequences[-1]
        self.live("alerts")
        self.see(last)
        down = "scrollTo(0, document.documentElement.scrollHeight); return document.querySelector('.alerts').offsetHeight"
        row = self.browser.run("return document.querySelector('.row').offsetHeight")
        self.browser.until("all of them", lambda: self.browser.run(down) >= MANY * row)
        self.browser.until("the first of all", lambda: self.browser.run(down) and self.browser.all('[data-sequence="1"]'))
        self.assertLess(self.browser.count(".alert"), 100)
        self.browser.run("scrollTo(0, 0)")
        self.see(self.flip("gallium", 0.5))


class Access(InBrowser):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        entries = [
            f'[[identities]]\nname = "{name}"\n{lines}\ntoken_sha256 = ["{hashlib.sha256(name.encode()).hexdigest()}"]\n'
            for name, lines in TOKENS.items()
        ]
        path = pathlib.Path(folder.name) / "identities.toml"
        path.write_text("".join(entries), encoding="utf-8")
        cls.settings = {"LODEWATCH_ACCESS__IDENTITIES": str(path)}
        cls.has_data = False
        super().setUpClass()

    def sign_in(self, token):
        self.browser.open(self.url)
        self.browser.run("sessionStorage.clear()")
        self.browser.open(self.url)
        self.browser.fill("#token", token)
        self.browser.press("button.primary")

    def test_an_unauthenticated_user_sees_nothing_and_a_subscriber_what_its_role_permits(self):
        self.sign_in("guessed")
        self.browser.until_text(".fault", "not valid")
        self.assertEqual(self.browser.count("nav"), 0)
        self.sign_in("reader")
        self.browser.until_text(".link", "Live")
        self.browser.until_text("main", "No markets yet")
        self.assertEqual(self.browser.count("nav a"), 4)
        kept = self.browser.run("return [localStorage, document.cookie].map((one) => JSON.stringify(one)).join()")
        self.assertNotIn("reader", kept)
        self.browser.press("button.quiet")
        self.browser.find("#token")

    def test_a_publisher_sees_threats_and_nothing_that_its_role_forbids(self):
        self.sign_in("feed")
        self.browser.until_text("main", "may not read markets")
        self.assertEqual(self.browser.text("nav").split(), ["Threats"])
        self.browser.press("nav a")
        self.browser.until_text("main", "No threats yet.")


class Encrypted(InBrowser):
    """On a port with TLS: HTTP/2, and a certificate for the name."""

    has_data = False

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        key, certificate = (f"{folder.name}/{name}.pem" for name in ("key", "certificate"))
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=console"
        command += " -addext subjectAltName=IP:127.0.0.1 -keyout"
        subprocess.run([*command.split(), key, "-out", certificate], check=True, capture_output=True)
        cls.settings = {"LODEWATCH_TLS__CERTIFICATE": certificate, "LODEWATCH_TLS__KEY": key}
        super().setUpClass()
        cls.url = f"https://{cls.server.console}/"

    def test_the_console_is_encrypted_like_all_ports(self):
        self.live("")
        self.browser.until_text("main", "No markets yet")
        protocols = "return [...new Set(performance.getEntriesByType('resource').map((one) => one.nextHopProtocol))]"
        self.assertEqual(self.browser.run(protocols), ["h2"])


class Others(WithServer):
    """Responses to requests that the console itself does not send."""

    has_data = False
    settings = {"LODEWATCH_CONSOLE__ORIGINS": "https://desk.example"}
    path = "/lodewatch.v1.PolicyService/GetPolicy"

    def ask(self, method, path, headers=(), body=None):
        connection = http.client.HTTPConnection(self.server.console, timeout=CALL_SECONDS_MAX)
        self.addCleanup(connection.close)
        connection.putrequest(method, path, skip_host=any(name == "Host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer, answer.read()

    def call(self, *headers):
        """Sends an empty message to a method by gRPC-Web."""
        kind = ("Content-Type", "application/grpc-web+proto")
        return self.ask("POST", self.path, (kind, *headers), b"\0\0\0\0\0")

    def test_the_page_is_cached_until_it_changes_and_cannot_load_from_elsewhere(self):
        answer, page = self.ask("GET", "/")
        self.assertEqual(answer.status, 200)
        policy = answer.getheader("content-security-policy")
        for part in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"):
            self.assertIn(part, policy)
        self.assertEqual(answer.getheader("x-content-type-options"), "nosniff")
        self.assertEqual(answer.getheader("referrer-policy"), "no-referrer")
        self.assertIn(b"/app.js", page)
        again, nothing = self.ask("GET", "/", [("If-None-Match", answer.getheader("etag"))])
        self.assertEqual((again.status, nothing), (304, b""))
        self.assertEqual(self.ask("GET", "/Cargo.toml")[0].status, 404)

    def test_grpc_web_is_answered_as_grpc_is(self):
        answer, body = self.call()
        self.assertEqual(answer.status, 200)
        self.assertIn(b"restricted-share", body)
        self.assertIn(b"grpc-status:0", body.replace(b" ", b""))

    def test_a_page_of_another_origin_is_rejected_unless_it_is_listed(self):
        for origin in ("https://evil.example", "null", "http://localhost:1"):
            answer, body = self.call(("Origin", origin))
            self.assertEqual((answer.status, b"restricted-share" in body), (403, False), origin)
        answer, body = self.call(("Origin", "https://desk.example"))
        self.assertEqual(answer.getheader("access-control-allow-origin"), "https://desk.example")
        self.assertIn(b"restricted-share", body)
        asked = [("Origin", "https://desk.example"), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,x-grpc-web")]
        preflight, _ = self.ask("OPTIONS", self.path, asked)
        self.assertEqual(preflight.status, 200)
        self.assertIn("authorization", preflight.getheader("access-control-allow-headers"))

    def test_a_request_for_another_host_name_is_rejected(self):
        answer, body = self.ask("GET", "/", [("Host", "evil.example")])
        self.assertEqual((answer.status, b"app.js" in body), (421, False))
        answer, _ = self.call(("Host", "evil.example:50062"))
        self.assertEqual(answer.status, 421)

    def test_an_error_for_an_address_in_use_names_the_setting(self):
        command = [harness.BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.folder / "other")]
        env = {"LODEWATCH_CONSOLE__LISTEN": self.server.console}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=CALL_SECONDS_MAX)
        self.assertEqual(done.returncode, 1)
        self.assertIn("console.listen", done.stderr)


if __name__ == "__main__":
    unittest.main()
