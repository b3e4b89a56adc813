"""Runs every command of the documentation as it is written: one test per section of each page.

- `sh` blocks run in order, each section in a folder and a network of its own.
- A `text` or `json` block after an `sh` block must match what it printed.
- A `toml` block must be a valid settings file. One that begins with its name, `# rule.toml`, is
  saved for the commands after it.
- The tables below list the commands that do not run here, with the reason; every other one runs.
"""

import pathlib
import re
import unittest

import api_reference
import docs
import harness

RUNBOOK = "deploy/RUNBOOK.md"

# Commands that do not run here, by their first words, and why.
ELSEWHERE = {
    "cargo install ": "the program under test is on the PATH",
    "cargo build": "tests/all.sh does it",
    "cargo test ": "tests/all.sh runs all tests",
    "cargo bench ": "takes minutes, in release",
    "bash tests/all.sh": "this is part of it",
    "bash tests/soak.sh": "takes an hour",
    "bash tests/hostile.sh": "takes minutes; tests/it/hostile.rs does a part of it",
    "bash tests/overload.sh": "takes five minutes; tests/it/overload.rs does a part of it",
    "podman ": "tests/containers runs it",
    "docker compose ": "tests/containers runs it",
    "kubectl ": "there is no cluster; tests/containers applies the same manifests to podman",
    "lodewatch top": "test_top.py draws it on a terminal",
    "lodewatch feed ": "test_feed.py runs it over files, folders and addresses",
    "lodewatch forward ": "test_forward.py runs it against a real Alertmanager and a receiver",
}
# Pages whose commands run in another test.
PAGES_ELSEWHERE = {"examples/README.md": "test_examples.py builds and starts the examples by its lines"}
# Replacements of what is written, and why.
INSTEAD = {
    "cargo run --release -- ": ("lodewatch ", "a release build takes minutes"),
    "--address REPLICA": ("", "the server under test"),
}
# Commands that run until the section ends, and the output that shows that they are ready.
STAYS = {
    "lodewatch serve": "listening address",
    "lodewatch watch": "waiting for new alerts",
}
# Names that the pages use for a reader's own files, and the files used here.
FILES = {
    "my-rules.toml": "deploy/lodewatch.toml",
    "table.csv": "crates/importers/samples/table.csv",
    "table.toml": "crates/importers/src/table/example.toml",
    "interventions.csv": "crates/importers/samples/gta.csv",
    "MCS2026_Commodities_Data.csv": "crates/importers/samples/usgs/MCS2026_world_production.csv",
    "export_control_events.csv": "crates/importers/samples/export_control_events.csv",
}


def pages():
    found = [path for pattern in ("*.md", "deploy/**/*.md", "examples/*.md") for path in harness.ROOT.glob(pattern)]
    return sorted(str(path.relative_to(harness.ROOT)) for path in found)


def commands(text):
    """The commands of a block, each with its continued lines, loop body or here-document."""
    found, end = [], None
    for line in text.splitlines():
        if end is not None or (found and re.search(r"(\\|\||&&)$", found[-1])):
            found[-1] += "\n" + line
            end = None if line == end else end
        elif line.strip():
            found.append(line)
            opened = re.search(r"<<'?(\w+)'?$", line)
            end = opened and opened[1]
            if line.startswith("for "):
                end = "done"
    return found


class Documents(unittest.TestCase):
    """One test per section, added by `add_sections`, and tests over all pages."""

    def run_section(self, page, blocks):
        terminal = docs.Terminal(self)
        for name, source in FILES.items():
            terminal.provide(name, harness.ROOT / source)
        text = "".join(block.text for block in blocks if block.kind == "sh")
        if re.search(r"^lodewatch |^buf curl", text, re.MULTILINE) and "lodewatch serve" not in text:
            terminal.stay("lodewatch serve --data-dir DIR", STAYS["lodewatch serve"])
        said = ""
        for block in blocks:
            with self.subTest(f"{page}:{block.line}"):
                if block.kind == "sh":
                    said = self.run_block(terminal, block.text)
                elif block.kind == "toml":
                    self.check_settings(terminal, block.text)
                elif block.kind in ("text", "json") and said:
                    self.compare(block.text, said)
                    said = ""

    def run_block(self, terminal, text):
        said, script = "", []
        for command in [*commands(text), None]:
            if command is not None and command.startswith(tuple(ELSEWHERE)):
                continue
            stays = [ready for start, ready in STAYS.items() if command is not None and command.startswith(start)]
            if command is None or stays:
                said += terminal.run("\n".join(script)) if script else ""
                script = []
            if stays:
                terminal.stay(command, stays[0])
            elif command is not None:
                for typed, (run, _) in INSTEAD.items():
                    command = command.replace(typed, run)
                script.append(command)
        return said

    def check_settings(self, terminal, text):
        named = re.match(r"# (\S+\.toml)$", text, re.MULTILINE)
        name = named[1] if named else "settings.toml"
        (terminal.folder / name).write_text(text, encoding="utf-8")
        self.assertIn("no problems", terminal.run(f"lodewatch check-config {name}"))

    def compare(self, shown, said):
        """Every shown line was printed, in this order; `…` matches anything."""
        printed = iter([" ".join(line.split()) for line in said.splitlines()])
        for line in shown.splitlines():
            words = [re.escape(" ".join(part.split())) for part in line.split("…")]
            pattern = re.compile(r"\s*.*\s*".join(words))
            if not any(pattern.fullmatch(one) for one in printed):
                self.fail(f"not in the output, or not in this order:\n{line}\noutput:\n{said}")

    def test_the_tables_name_nothing_that_no_page_has(self):
        typed = "".join(
            f"\n{block.text}"
            for page in pages()
            for blocks in docs.sections(page).values()
            for block in blocks
            if block.kind == "sh"
        )
        starts = [f"\n{start}" for start in [*ELSEWHERE, *STAYS]]
        unused = [words for words in [*starts, *INSTEAD, *FILES] if words not in typed]
        self.assertEqual(unused, [])
        self.assertLessEqual(set(PAGES_ELSEWHERE), set(pages()))

    def test_every_command_that_is_named_in_passing_exists(self):
        known = re.findall(r"^  ([a-z]\S*)", docs.Terminal(self).run("lodewatch --help"), re.MULTILINE)
        for page in pages():
            text = (harness.ROOT / page).read_text(encoding="utf-8")
            for name in re.findall(r"`lodewatch\s([a-z][a-z-]*)", text):
                self.assertIn(name, known, page)

    def test_the_api_reference_is_what_the_protos_say(self):
        page = api_reference.PAGE.read_text(encoding="utf-8")
        hint = "run `python tests/python/api_reference.py`, read the difference and commit it"
        self.assertTrue(page == api_reference.render(), hint)

    def test_every_path_that_a_page_names_exists(self):
        folders = "|".join(docs.CLONE)
        for page in pages():
            text = (harness.ROOT / page).read_text(encoding="utf-8")
            for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
                self.assertTrue((harness.ROOT / path).exists(), f"{page}: {path}")

    def test_every_message_that_the_runbook_quotes_is_in_the_sources(self):
        files = [path for folder in ("src", "crates") for path in (harness.ROOT / folder).rglob("*.rs")]
        # Texts of several lines are joined as the compiler joins them.
        texts = [re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8")) for path in files]
        sources = " ".join("\n".join(texts).split())
        runbook = (harness.ROOT / RUNBOOK).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(runbook, 1):
            quotes = re.findall(r"(?:logs?|says?|exits:|start:|\|) `([^`]+)`", line)
            for quote in (quote for quote in quotes if " " in quote and not quote.startswith("lodewatch ")):
                for part in re.split(r"…|\bN\b", quote):
                    part = part.strip(" ,:")
                    # Not assertIn, which would print all sources.
                    self.assertTrue(part in sources, f"{RUNBOOK}:{number}: {quote}: not in src or crates")

    def test_every_link_within_the_tree_leads_somewhere(self):
        for page in pages():
            text = (harness.ROOT / page).read_text(encoding="utf-8")
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                self.assertTrue((harness.ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}")


def add_sections():
    for page in pages():
        for title, blocks in docs.sections(page).items():
            if page not in PAGES_ELSEWHERE and any(block.kind in ("sh", "toml") for block in blocks):
                test = lambda self, page=page, blocks=blocks: self.run_section(page, blocks)
                setattr(Documents, f"test {page}, {title}", test)


add_sections()

if __name__ == "__main__":
    unittest.main()
