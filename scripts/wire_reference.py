"""docs/wire.md, the reference of the wire contract, from the comments in proto/.

A service, method, message, field, enumeration, value or oneof without a comment is an error.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator, Sequence

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[1] / "proto"
FILES = ("service.proto", "plan.proto", "tensor.proto")

HEAD = """\
# The wire contract

What a client of its own needs, in any language: the messages of
[proto/lossd/v1](../proto/lossd/v1), with their comments. `make docs` generates this page; a change
belongs there. [server.md](server.md) says how a server treats requests, and which errors there are.
"""

# The numbers by which a path of SourceCodeInfo names what it is about.
MESSAGE, ENUM, SERVICE = (
    FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER,
    FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER,
    FileDescriptorProto.SERVICE_FIELD_NUMBER,
)
METHOD, FIELD, ONEOF, VALUE = 2, 2, 8, 2


class UncommentedError(Exception):
    """Something in the contract has no comment."""


class FileReference:
    """The part of the reference that is about one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }

    def lines(self) -> Iterator[str]:
        """The text."""
        for index, service in enumerate(self._file.service):
            path = (SERVICE, index)
            yield from ("", f"## {service.name}", "", self._comment(path, service.name))
            for number, method in enumerate(service.method):
                comment = self._comment((*path, METHOD, number), f"{service.name}.{method.name}")
                yield from ("", f"### {method.name}", "", _signature(method), "", comment)
        yield from ("", f"## {self._file.name.rsplit('/', 1)[-1]}")
        for index, message in enumerate(self._file.message_type):
            yield from self._message((MESSAGE, index), message)
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum((ENUM, index), enum)

    def _message(self, path: tuple[int, ...], message: DescriptorProto) -> Iterator[str]:
        yield from ("", f"### {message.name}", "", self._comment(path, message.name))
        if not message.field:
            return
        yield from ("", "| field | number | type | meaning |", "| --- | --- | --- | --- |")
        for index, field in enumerate(message.field):
            name = f"{message.name}.{field.name}"
            comment = self._comment((*path, FIELD, index), name)
            in_oneof = field.HasField("oneof_index") and not field.proto3_optional
            if in_oneof:
                oneof = message.oneof_decl[field.oneof_index].name
                rule = self._comment((*path, ONEOF, field.oneof_index), f"{message.name}.{oneof}")
                comment = f"{comment} Oneof `{oneof}`: {rule}"
            kind = _map_type(field, message) or _type(field)
            yield f"| `{field.name}` | {field.number} | {kind} | {_cell(comment)} |"

    def _enum(self, path: tuple[int, ...], enum: EnumDescriptorProto) -> Iterator[str]:
        yield from ("", f"### {enum.name}", "", self._comment(path, enum.name), "")
        yield from ("| value | number | meaning |", "| --- | --- | --- |")
        for index, value in enumerate(enum.value):
            comment = self._comment((*path, VALUE, index), f"{enum.name}.{value.name}")
            yield f"| `{value.name}` | {value.number} | {_cell(comment)} |"

    def _comment(self, path: tuple[int, ...], name: str) -> str:
        comment = self._comments.get(path, "").strip()
        if not comment:
            raise UncommentedError(f"{self._file.name}: {name} has no comment")
        paragraphs = [" ".join(part.split()) for part in comment.split("\n\n")]
        return "\n\n".join(paragraphs).replace("<", "&lt;")


def reference(files: Sequence[FileDescriptorProto]) -> str:
    """The page.

    Raises:
        UncommentedError: Something has no comment.
    """
    lines = (line for file in files for line in FileReference(file).lines())
    return HEAD + "\n".join(lines) + "\n"


def read_contract(proto: pathlib.Path = PROTO) -> list[FileDescriptorProto]:
    """The files of the contract, with their comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set"
        names = [str(proto / "lossd" / "v1" / name) for name in FILES]
        flags = [f"--proto_path={proto}", f"--descriptor_set_out={out}", "--include_source_info"]
        well_known = pathlib.Path(protoc.__file__).parent / "_proto"
        if protoc.main(["protoc", *flags, f"--proto_path={well_known}", *names]) != 0:
            raise ValueError(f"{proto}: protoc refuses it")
        files = {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}
    return [files[f"lossd/v1/{name}"] for name in FILES]


def _signature(method: MethodDescriptorProto) -> str:
    asks, answers = (
        f"{'stream of ' if streams else ''}{_link(name)}"
        for streams, name in (
            (method.client_streaming, method.input_type),
            (method.server_streaming, method.output_type),
        )
    )
    return f"{asks} → {answers}"


def _type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        name = _link(field.type_name)
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"{name}, default {field.default_value}" if field.HasField("default_value") else name


def _map_type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    """The type of a field that is a map, which protoc makes a message of; else nothing."""
    for entry in message.nested_type:
        if entry.options.map_entry and field.type_name.endswith(f".{message.name}.{entry.name}"):
            key, value = entry.field
            return f"map of {_type(key)} to {_type(value)}"
    return ""


def _link(type_name: str) -> str:
    name = type_name.rsplit(".", 1)[-1]
    return f"[{name}](#{name.lower()})" if type_name.startswith(".lossd.") else name


def _cell(text: str) -> str:
    return text.replace("\n\n", " ").replace("|", "\\|")
