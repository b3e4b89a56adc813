"""The live board and the watch, in a real terminal against a real server."""

import json
import signal
import subprocess
import unittest

import harness
import terminal

SHOW_MAIN_SCREEN = b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


def report(mineral, share, vintage="2026-02-06"):
    rows = [{"country": "CHN", "share": share}]
    market = {"mineral": mineral, "stage": "STAGE_REFINING", "source": "USGS", "period": "2025"}
    return {"report": {**market, "vintage": vintage, "rows": rows}}


BAN = {
    "threat": {
        "id": "CHN-GA",
        "title": "Exports are prohibited",
        "imposing": "CHN",
        "minerals": ["gallium"],
        "measure": "MEASURE_PROHIBITION",
        "dateAnnounced": "2024-12-03",
        "dateEffective": "2024-12-03",
        "dateRemoved": "2090-01-31",
    }
}


class InATerminal(harness.Case):
    def setUp(self):
        super().setUp()
        self.address = self.server.address
        self.publish(report("gallium", 0.99), report("indium", 0.7), report("cadmium", 0.3))

    def publish(self, *updates):
        lines = "\n".join(map(json.dumps, updates))
        command = [harness.BINARY, "publish", "-", "--address", self.address]
        subprocess.run(command, input=lines, text=True, check=True, capture_output=True)

    def open(self, *arguments, **settings):
        command = (harness.BINARY, *arguments, "--address", self.address)
        shown = terminal.Terminal(*command, **settings)
        self.addCleanup(shown.close)
        return shown

    def assert_given_back(self, shown):
        code, left = shown.ended()
        self.assertEqual(code, 0)
        self.assertEqual(left, shown.before)
        shown.until("the end of the board", lambda _: SHOW_MAIN_SCREEN in shown.said)
        after = shown.said[shown.said.rindex(SHOW_MAIN_SCREEN) :]
        self.assertIn(SHOW_CURSOR, after)

    def test_the_board_is_live_survives_a_restart_and_says_so(self):
        top = self.open("top", "--destination", "USA")
        top.shows("Gallium refining   ", "critical", "CHN 99.0 ", "live")
        self.publish(BAN)
        top.shows("14702", "CHN-GA", "2090-01-31", "restricted-share")
        self.server.kill()
        top.shows("CONNECTION LOST", "Connection refused", "Gallium refining")
        self.serve(listen=self.address)
        top.shows("live", "reconnected")
        self.publish(report("gallium", 0.2, "2026-02-07"))
        top.shows("CLEARED", "CHN 20.0 ")
        top.type("q")
        self.assert_given_back(top)

    def test_keys_choose_sort_filter_and_show_everything_of_a_market(self):
        top = self.open("top")
        top.shows("›Gallium refining")
        top.type("j")
        top.shows("›Indium refining")
        top.type("\x1b[A")
        top.shows("›Gallium refining")
        top.type("/cad")
        top.until("Cadmium alone", lambda text: "Cadmium" in text and "Gallium refining   " not in text)
        top.type("\r\r")
        top.shows("Cadmium refining for every destination", "suppliers", "concentration")
        top.type("\x1b")
        top.until("the board", lambda text: "suppliers" not in text)
        top.type("\x1b")
        top.shows("Indium refining")
        top.type("s")
        top.shows("by HHI")
        top.type("?")
        top.shows("Ctrl-C", "quit")
        top.resize(60, 16)
        top.until("the smaller board", lambda text: all(len(line) == 60 for line in text.split("\n")) and "Ctrl-C" in text)
        top.type("\x03")
        self.assert_given_back(top)

    def test_signals_end_the_board_and_give_the_terminal_back(self):
        for kind in (signal.SIGINT, signal.SIGTERM):
            top = self.open("top")
            top.shows("Gallium refining")
            top.process.send_signal(kind)
            self.assert_given_back(top)

    def test_without_colours_words_show_the_levels(self):
        top = self.open("top")
        top.shows("Gallium refining", "critical", "latest alerts", "RAISED")
        self.assertNotEqual(top.colors(), {"default"})
        plain = self.open("top", env={"NO_COLOR": "1"})
        plain.shows("Gallium refining", "critical", "latest alerts", "RAISED")
        self.assertEqual(plain.colors(), {"default"})

    def test_a_watch_prints_one_line_per_alert_with_its_age(self):
        watch = self.open("watch", "--rule", "hhi", columns=80)
        text = watch.shows("2 active alerts; waiting for new alerts")
        lines = text.split("\n")
        for line, alert in zip(lines, ("RAISED        critical  Gallium", "INDETERMINATE warning   Indium")):
            self.assertRegex(line, rf"^ *(now|\d+ (s|min) ago)  {alert} refining: .* hhi *$")
        self.assertIn("2 active alerts", lines[2])
        absolute = self.open("watch", "--rule", "hhi", "--absolute", "--verbose")
        absolute.shows("T", "Z  RAISED", "report     USGS 2025, released 2026-02-06")
