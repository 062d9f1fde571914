"""The contracts between rooms hold: see `[tool.importlinter]` in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common.paths import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LINTER = PROJECT["tool"]["importlinter"]


@pytest.mark.parametrize("contract", [contract["id"] for contract in LINTER["contracts"]])
def test_imports_keep_to_the_contract(contract):
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", "--contract", contract]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nWhat two rooms need lives in a room below both."


def test_every_package_is_under_contract():
    assert LINTER["root_packages"] == PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {file.parent.name for file in CHECKOUT.glob("*/__init__.py")} == set(LINTER["root_packages"])
