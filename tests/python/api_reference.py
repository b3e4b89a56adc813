"""Generates the API reference, deploy/docs/API.md, from the protos and their comments.

Run `python tests/python/api_reference.py` to write the page again.
"""

import pathlib
import tempfile
import textwrap

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

import harness

PAGE = harness.ROOT / "deploy/docs/API.md"
# The module that documents the error table.
STATUS = harness.ROOT / "src/grpc/status.rs"
# Lines of prose wrap here.
COLUMNS_MAX = 100
# In reading order.
FILES = {
    "feed": "Publishing updates",
    "alert": "Alerts",
    "market": "Markets and threats",
    "policy": "Policy, simulation and backtest",
    "types": "Common types",
    "journal": "The journal as JSON lines",
    "replica": "Replicas",
}
HEAD = """\
# API reference

Package `lodewatch.v1`. [CONCEPTS.md](CONCEPTS.md) defines the terms. In JSON, as `lodewatch
publish` reads it and `--output json` prints it, field names are in lowerCamelCase, enum values are
names, and 64-bit integers are strings.

This page is generated from [`proto/lodewatch/v1`](../../proto/lodewatch/v1) by `python
tests/python/api_reference.py`. A test fails if it is out of date.

## Errors

Every status has `google.rpc` details: `ErrorInfo` with a reason of the domain `lodewatch.v1`, and
`BadRequest`, `RetryInfo` or `QuotaFailure` if they apply. The message contains the same information
as text. A lost connection appears as `UNAVAILABLE`, `CANCELLED`, `UNKNOWN` or `INTERNAL`, depending
on the client library.

"""
Field = descriptor_pb2.FieldDescriptorProto
# Field numbers in the paths of source locations: parts of a file, message, enum and service.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS = VALUES = METHODS = 2


def descriptors():
    bundled = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.NamedTemporaryFile() as out:
        arguments = ["protoc", f"-I{harness.ROOT / 'proto'}", f"-I{bundled}"]
        arguments += ["--include_source_info", f"-o{out.name}"]
        if protoc.main(arguments + [f"lodewatch/v1/{name}.proto" for name in FILES]) != 0:
            raise RuntimeError("the protos do not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes()).file
    return {pathlib.PurePath(file.name).stem: file for file in files}


class Chapter:
    """The chapter of one proto file."""

    def __init__(self, title, file):
        self.lines = ["", f"## {title}"]
        places = file.source_code_info.location
        self.comments = {tuple(place.path): place.leading_comments for place in places}
        for index, service in enumerate(file.service):
            self.add_service(service, (SERVICES, index))
        for index, message in enumerate(file.message_type):
            self.add_message(message, (MESSAGES, index))
        for index, enum in enumerate(file.enum_type):
            self.add_enum(enum, (ENUMS, index))

    def paragraphs(self, place):
        text = self.comments[place].replace("<", "&lt;")
        return [" ".join(part.split()) for part in text.split("\n\n")]

    def cell(self, place):
        return " ".join(self.paragraphs(place)).replace("|", "\\|")

    def add_heading(self, title, place):
        self.lines += ["", title]
        for paragraph in self.paragraphs(place):
            self.lines += ["", *wrap(paragraph)]

    def add_table(self, *rows):
        head, *rest = rows
        self.lines += ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rest))]

    def add_service(self, service, place):
        self.add_heading(f"### {service.name}", place)
        for index, method in enumerate(service.method):
            request = stream(method.client_streaming) + link(method.input_type)
            response = stream(method.server_streaming) + link(method.output_type)
            self.add_heading(f"#### {method.name}", (*place, METHODS, index))
            is_short = len(f"{request} → {response}") <= COLUMNS_MAX
            self.lines += ["", f"{request} → {response}"] if is_short else ["", f"{request} →", response]

    def add_message(self, message, place):
        self.add_heading(f"### {message.name}", place)
        rows = [
            (
                f"`{field.name}`",
                kind(message, field),
                str(field.number),
                self.cell((*place, FIELDS, index)),
            )
            for index, field in enumerate(message.field)
        ]
        if rows:
            self.add_table(("field", "type", "no.", "meaning"), *rows)

    def add_enum(self, enum, place):
        self.add_heading(f"### {enum.name}", place)
        rows = [
            (f"`{value.name}`", str(value.number), self.cell((*place, VALUES, index)))
            for index, value in enumerate(enum.value)
        ]
        self.add_table(("value", "no.", "meaning"), *rows)


def stream(streams):
    return "stream of " if streams else ""


def wrap(paragraph):
    return textwrap.wrap(paragraph, COLUMNS_MAX, break_long_words=False, break_on_hyphens=False)


def link(name):
    """A link within the page for a type of this package; the plain name for `google.protobuf`."""
    short = name.removeprefix(".lodewatch.v1.")
    return f"`{short.strip('.')}`" if "." in short else f"[{short}](#{short.lower()})"


def kind(message, field):
    named = field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM)
    text = link(field.type_name) if named else Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == Field.LABEL_REPEATED:
        return f"list of {text}"
    if field.proto3_optional:
        return f"{text}, optional"
    if field.HasField("oneof_index"):
        return f"{text}, one of `{message.oneof_decl[field.oneof_index].name}`"
    return text


def errors():
    """The error table of src/grpc/status.rs."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("//! ") for line in lines if line.startswith("//! |")]


def render():
    files = descriptors()
    lines = errors()
    for name, title in FILES.items():
        lines += Chapter(title, files[name]).lines
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
