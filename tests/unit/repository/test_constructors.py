"""Constructors only store their arguments. Reading a file, asking a server or starting a process is a method with a name."""

from __future__ import annotations

import ast

import pytest

from tests.checkout import CHECKOUT

PACKAGES = ("clients", "common", "components", "delivery", "infra")
EFFECTS = frozenset(
    {
        "Popen",
        "check_output",
        "exists",
        "get",
        "glob",
        "is_file",
        "load",
        "load_cert_chain",
        "mkdir",
        "open",
        "outputs",
        "post",
        "read",
        "read_bytes",
        "read_text",
        "request",
        "run",
        "select",
        "urlopen",
        "write",
        "write_bytes",
        "write_text",
    }
)
"""Names of functions that read, write, send or start something."""


def constructors():
    for package in PACKAGES:
        for file in sorted((CHECKOUT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    found = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
                    yield from (pytest.param(init, id=f"{file.relative_to(CHECKOUT)}:{node.name}") for init in found)


def effects(node):
    called = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called}
    return names & EFFECTS


@pytest.mark.parametrize("init", list(constructors()))
def test_a_constructor_reads_and_starts_nothing(init):
    assert effects(init) == set(), "give the class a method such as `open`, `connect` or `from_file`, and call that"


def test_an_effect_is_found():
    assert effects(ast.parse("def __init__(self, path):\n    self.text = path.read_text()")) == {"read_text"}
