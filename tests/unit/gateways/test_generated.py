"""The generated code is what the definition of the protocol gives."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from re_gateways.forest import runner_pb2
from tests.architecture.tree import ROOT

_PROTO = "re_gateways/forest/runner.proto"
_MADE_BY = re.compile(r"^# Protobuf Python Version: (\S+)$", re.MULTILINE)


def _generate(*words: str) -> None:
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *words, _PROTO]
    done = subprocess.run(protoc, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _without_json_names(messages: Iterable[DescriptorProto]) -> None:
    """They follow from the names, and only the definition's descriptor spells them out."""
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        _without_json_names(message.nested_type)


def test_the_generated_code_describes_the_protocol_of_the_definition(tmp_path: Path) -> None:
    """If not: python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. re_gateways/forest/runner.proto"""
    _generate(f"--descriptor_set_out={tmp_path / 'set'}")
    [file] = FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file
    _without_json_names(file.message_type)
    generated = FileDescriptorProto.FromString(runner_pb2.DESCRIPTOR.serialized_pb)
    assert file == generated


def test_generating_again_with_the_same_generator_gives_the_same_files(tmp_path: Path) -> None:
    _generate(f"--python_out={tmp_path}", f"--pyi_out={tmp_path}")
    made = {file.name: file.read_text() for file in (tmp_path / _PROTO).parent.iterdir()}
    kept = {name: (ROOT / _PROTO).with_name(name).read_text() for name in made}
    assert made.keys() == {"runner_pb2.py", "runner_pb2.pyi"}
    versions = {found[1] for text in (made["runner_pb2.py"], kept["runner_pb2.py"]) if (found := _MADE_BY.search(text))}
    if len(versions) == 1:  # another generator words the same in other ways
        assert made == kept


def test_field_8_of_an_assignment_is_not_used_for_anything_else() -> None:
    assignment = runner_pb2.DESCRIPTOR.message_types_by_name["WorkAssignment"]
    assert 8 not in assignment.fields_by_number
    assert "reserved 8;" in (ROOT / _PROTO).read_text()
