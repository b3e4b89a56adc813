"""Checks the language of everything that a person reads: python3 tests/language.py [PATH...]

Fails on words and phrases that the glossary of CONTRIBUTING.md replaces by a standard term, in
prose, comments, texts, names and paths, and on prose and comments over 100 columns.
PATHs limit the check to some files and folders. `--count` prints counts per word and kind of file
instead of the findings; `--root DIR` checks another tree, for example an earlier commit.
"""

import argparse
import collections
import fnmatch
import io
import pathlib
import re
import subprocess
import sys
import tokenize

COLUMNS_MAX = 100

# Kinds of file, by the end of the name, in the order of the table of --count.
KINDS = {
    "md": (".md",),
    "proto": (".proto",),
    "rs": (".rs",),
    "toml": (".toml",),
    "yaml": (".yaml", ".yml"),
    "ts": (".ts", ".tsx"),
    "py": (".py",),
    "sh": (".sh", ".ci/run"),
    "go": (".go",),
    "other": (".snap", ".txt", ".html", ".css", ".conf", "Dockerfile", "dashboard.json"),
}

# Files that no person of the project wrote, or that hold the data of others.
SKIPPED = {
    "crates/proto/src/lodewatch.v1.rs": "generated from the protos, which are checked",
    "src/console/page/dist/*": "generated from src/console/page/src, which is checked",
    "src/console/page/generated/*": "generated from the protos, which are checked",
    "*/node_modules/*": "packages of others",
    "*/THIRD-PARTY*": "licences of others",
    "fuzz/corpus/*": "inputs of the fuzzer, some of them mutated",
    "crates/importers/samples/*.csv": "samples of foreign formats, in the words of their publishers",
    "tests/language.py": "lists the words",
}

# What to write instead, and the words, with `|` between them. A name in code is checked word by
# word: `is told` also finds `is_told`, `isTold` and `IS_TOLD`.
WORDS = {
    "told": ("emit, deliver, forward, report, log", "told|tell|tells|telling|untold"),
    "grave": ("high, higher, highest, lower", "grave|graver|gravest|gravely|lesser"),
    "nobody": ("no client, no one; name the subject", "nobody|somebody|anybody|everybody"),
    "whoever": ("name the subject: the caller, a client", "whoever|whomever|whosoever"),
    "whatever": ("name the cases, or: regardless of", "whatever|whichever"),
    "comes to nothing": (
        "abandoned, withdrawn",
        "come to nothing|comes to nothing|came to nothing|coming to nothing",
    ),
    "came of": (
        "outcome, result",
        "comes of it|came of it|came of them|came of that|became of|becomes of|become of",
    ),
    "of one mind": ("diverged", "of one mind"),
    "what is up": (
        "active",
        "what is up|level is up|levels are up|none is up|is up or may be|one is up",
    ),
    "trouble": ("stalled, failing, the error", "trouble|troubles|troubled"),
    "drill": ("exercise", "drill|drills"),
    "wasted": ("abandoned", "wasted|waste|wastes"),
    "shipment": ("batch", "shipment|shipments"),
    "testimony": ("state digest", "testimony|testimonies"),
    "housekeeping": ("retention", "housekeeping|house keeping|keep house|keeps house"),
    "painted": ("styled", "painted"),
    "unheard": ("unread, disconnected", "unheard"),
    "intake": ("feed sync", "intake|intakes"),
    "refused": ("rejected", "refused|refuse|refuses|refusing|refusal|refusals"),
    "let go": ("disconnected, released", "let go|lets go|letting go"),
    "those before stay": (
        "keeping the previous ...",
        "those before stay|ones before stay|one before stays|keys before stay|the one before stays",
    ),
    "the house": ("source layout, project rules", "the house|house rules"),
    "standing": ("status, active", "standing|standings|how things stand|how it stands"),
    "taken": (
        "accepted",
        "is taken|are taken|was taken|were taken|be taken|been taken|not taken|nothing taken",
    ),
    "left out": ("skipped, omitted, absent", "left out|leaves out|leave out|leaving out"),
    "out of reach": ("unreachable", "out of reach|in reach|within reach"),
    "hand over": (
        "deliver, forward, pass",
        "hand over|hands over|handed over|handing over|hand overs|handed out|hands out|handed on"
        "|hands on|handed to",
    ),
    "proven": ("verified", "proven|proved|proof|proofs|prove|proves"),
    "how far behind": (
        "lag",
        "how far behind|far it is behind|far they are behind|far each is behind"
        "|is behind at this moment",
    ),
    "said": ("reported, logged, named", "is said|are said|was said|were said|be said|been said"),
    "let in": ("authenticated, accepted", "let in|lets in"),
    "as one likes": ("any number of", "as one likes|one likes|as it likes|as they like"),
    "dies on the way": ("crashes", "dies on the way|die on the way|died on the way"),
    "what it lacks": ("which role is missing", "what it lacks"),
    "date of its calendar": ("took effect on, expired on", "date of its calendar"),
    "because of news": ("after threat ... was published", "because of news|no news"),
    "alert is like this": ("no alerts match", "alert is like this|alert like this"),
}

# In names only: types and modules that have a better name, and `what if` for a simulation.
NAMES = {
    "what_if": ("simulation", r"\bwhat_ifs?\b|\bWhatIf\w*|\bwhatIf\w*|\bwhat-if(?:s|\.tsx)"),
    "type": (
        "a noun that says what it holds, see CONTRIBUTING.md",
        r"\b(?:struct|enum|trait|type)\s+(?:Place|Testimony|Trouble|Effort|Trail|Painted|Shipment"
        r"|Taken|Told|Unheard|Keeper|Looker|Lens|Seen|News|Asked|Ahead|Most|Waiting|Boards|Framed"
        r"|Trusted|Ends|Embedded|Housekeeping|Refusal|Standing)\b",
    ),
}

# Uses that are right: path, pattern, reason.
ALLOWED = (
    ("*", r"connection refused|ECONNREFUSED", "the words of the operating system"),
    ("*", r"user nobody|nobody:|:nobody|USER nobody", "the user of Unix"),
    ("*", r"what if", "the title of the console's page of simulations"),
    ("*", r"future[- ]proof|proof of concept|waste (?:and|of|rock)|scrap and waste", "other words"),
    ("*.rs", r"let in_\w+", "a variable"),
    ("CONTRIBUTING.md", r"^\|[^\n]*", "its tables list the words"),
    ("*", r"usgs[^\n]*shipments?|shipments? (?:from|of) [^\n]*mines?", "a term of the USGS"),
)


class Finding:
    def __init__(self, path, line, word, text, advice, kind):
        self.path, self.line, self.word = path, line, word
        self.text, self.advice, self.kind = text, advice, kind

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text!r}: {self.advice}"


# By the first word of a phrase: its other words, the row of WORDS, and what to write.
PHRASES = collections.defaultdict(list)
for row, (advice, phrases) in WORDS.items():
    for phrase in phrases.split("|"):
        first, *rest = phrase.split()
        PHRASES[first].append((rest, row, advice))
# The words of prose and of names in any case: `is_told`, `isTold` and `IS_TOLD` are two words.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
BETWEEN = re.compile(r"[\s_-]*")
NAME_PATTERNS = {word: (advice, re.compile(pattern)) for word, (advice, pattern) in NAMES.items()}
ALLOWED_PATTERNS = [
    (glob, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for glob, pattern, _ in ALLOWED
]
# What begins a line of a comment or of a wrapped text; replaced by blanks, so that a phrase is
# found across lines.
MARKERS = re.compile(r"^[ \t]*(?://[/!]?|#!?|\*+/?|/\*+|>|--)(?=[ \t\n])|\\$", re.MULTILINE)
# Prefixes of a line that is a comment as a whole, by kind.
COMMENTS = {
    "proto": ("//",),
    "rs": ("//",),
    "toml": ("#",),
    "yaml": ("#",),
    "ts": ("//", "/*", "*"),
    "sh": ("#",),
    "go": ("//",),
}
# Texts that a person reads in manifests.
YAML_TEXT = re.compile(r"^\s*(?:summary|description|title)\s*:\s*(?![>|]-?\s*$)")


def kind_of(path):
    for kind, ends in KINDS.items():
        if path.endswith(ends):
            return kind
    return None


def tracked(root):
    command = ["git", "-C", str(root), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.rstrip("\0").split("\0")
    files = (file for file in root.rglob("*") if file.is_file())
    return sorted(str(file.relative_to(root)) for file in files)


def selected(root, wanted):
    wanted = [path.rstrip("/") for path in wanted]
    for path in tracked(root):
        if kind_of(path) is None or any(fnmatch.fnmatch(path, glob) for glob in SKIPPED):
            continue
        if not wanted or any(path == one or path.startswith(one + "/") for one in wanted):
            if (root / path).is_file():
                yield path


def is_allowed(path, text, start, end):
    for glob, pattern in ALLOWED_PATTERNS:
        if not fnmatch.fnmatch(path, glob):
            continue
        # A use is near its word: look at the lines around it.
        begin = text.rfind("\n", 0, max(start - 1, 0)) + 1
        stop = text.find("\n", end)
        near = text[begin : stop if stop >= 0 else len(text)]
        for found in pattern.finditer(near):
            if found.start() + begin <= start and end <= found.end() + begin:
                return True
    return False


def find_phrases(text):
    """Start, end, word and advice of every phrase."""
    words = [(found.group().lower(), *found.span()) for found in WORD.finditer(text)]
    for at, (first, start, end) in enumerate(words):
        for rest, word, advice in PHRASES.get(first, ()):
            last = end
            following = words[at + 1 : at + 1 + len(rest)]
            for expected, (actual, begin, stop) in zip(rest, following):
                if actual != expected or not BETWEEN.fullmatch(text, last, begin):
                    break
                last = stop
            else:
                if at + len(rest) < len(words):
                    yield start, last, word, advice


def find_words(path, text):
    joined = MARKERS.sub(lambda found: " " * len(found.group()), text.replace("\\n", "  "))
    kind = kind_of(path)
    found = list(find_phrases(joined))
    if kind in ("rs", "ts", "py", "proto", "toml"):
        for word, (advice, pattern) in NAME_PATTERNS.items():
            found += [(*one.span(), word, advice) for one in pattern.finditer(joined)]
    for start, end, word, advice in sorted(found):
        if not is_allowed(path, joined, start, end):
            line = text.count("\n", 0, start) + 1
            shown = " ".join(joined[start:end].split())
            yield Finding(path, line, word, shown, f"write: {advice}", kind)


def prose_lines(path, text):
    """The numbers and texts of lines of prose and of comments."""
    kind = kind_of(path)
    lines = text.splitlines()
    if kind == "md":
        is_code = False
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("```"):
                is_code = not is_code
            elif not is_code and not line.lstrip().startswith("|"):
                yield number, line
    elif kind == "py":
        yield from python_prose(text, lines)
    elif kind in COMMENTS:
        is_code = is_table = False
        for number, line in enumerate(lines, 1):
            stripped = line.strip()
            if not stripped.startswith(COMMENTS[kind]):
                if kind == "yaml" and YAML_TEXT.match(line):
                    yield number, line
                continue
            content = stripped.lstrip("/!*# ")
            if content.startswith("```"):
                is_code = not is_code
            is_table = content.startswith("|")
            if not is_code and not is_table:
                yield number, line


# A string after these is a docstring.
STATEMENT_ENDS = (tokenize.NEWLINE, tokenize.INDENT)


def python_prose(text, lines):
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return
    before = tokenize.NEWLINE
    for token in tokens:
        is_docstring = token.type == tokenize.STRING and before in STATEMENT_ENDS
        if token.type == tokenize.COMMENT or is_docstring:
            for number in range(token.start[0], token.end[0] + 1):
                yield number, lines[number - 1]
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type


def find_wide_lines(path, text):
    for number, line in prose_lines(path, text):
        if len(line) > COLUMNS_MAX and "://" not in line:
            shown = line.strip()[:40] + "…"
            advice = f"{len(line)} columns; wrap at {COLUMNS_MAX}"
            yield Finding(path, number, f"over {COLUMNS_MAX} columns", shown, advice, kind_of(path))


def check(root, wanted):
    for path in selected(root, wanted):
        for _, _, word, advice in find_phrases(path):
            yield Finding(path, 0, word, path, f"rename the file: {advice}", kind_of(path))
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        yield from find_words(path, text)
        yield from find_wide_lines(path, text)


def print_counts(findings):
    """A table: a row per word, a column per kind of file."""
    counts = collections.Counter((one.word, one.kind) for one in findings)
    words = [*WORDS, *NAMES, f"over {COLUMNS_MAX} columns"]
    kinds = list(KINDS)
    print(f"{'':22}" + "".join(f"{kind:>7}" for kind in [*kinds, "all"]))
    for word in words:
        row = [counts[word, kind] for kind in kinds]
        if any(row):
            print(f"{word:22}" + "".join(f"{count:7}" for count in [*row, sum(row)]))
    row = [sum(counts[word, kind] for word in words) for kind in kinds]
    print(f"{'all':22}" + "".join(f"{count:7}" for count in [*row, sum(row)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files and folders; default: all")
    parser.add_argument("--count", action="store_true", help="print counts per word and kind")
    parser.add_argument("--root", type=pathlib.Path, help="the tree to check; default: this one")
    asked = parser.parse_args()
    root = asked.root or pathlib.Path(__file__).resolve().parent.parent
    findings = list(check(root, asked.paths))
    if asked.count:
        print_counts(findings)
        return 0
    for finding in findings:
        print(finding)
    if findings:
        files = len({finding.path for finding in findings})
        print(f"{len(findings)} findings in {files} files", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
