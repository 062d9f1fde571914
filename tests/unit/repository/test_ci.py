"""`.ci/run`, with a `make` that prints what pytest prints."""

import os
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / ".ci" / "run"

GREEN = "======================= 1016 passed in 144.95s (0:02:24) ======================="
SELECTED = "================ 60 passed, 23 deselected in 705.04s (0:11:45) ================="
RED = "============= 1 failed, 7 passed, 2 errors in 3.45s =============="


def run(tmp_path: Path, *, test: str, e2e: str, e2e_status: int = 0) -> tuple[int, str]:
    """Exit code and last line of a run whose `make test` and `make e2e` print these lines."""
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / ".ci" / "run").write_text(RUN.read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    make = tools / "make"
    make.write_text(f"#!/bin/sh\ncase $1 in\ntest) echo '{test}' ;;\ne2e) echo '{e2e}'; exit {e2e_status} ;;\nesac\n")
    make.chmod(0o755)
    environ = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", checkout / ".ci" / "run"], env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_run_in_which_everything_passed_passes(tmp_path: Path) -> None:
    assert run(tmp_path, test=GREEN, e2e=SELECTED) == (0, "1076 passed, 0 failed")


def test_a_run_in_which_a_test_failed_fails_and_counts_failures_and_errors(tmp_path: Path) -> None:
    assert run(tmp_path, test=GREEN, e2e=RED, e2e_status=2) == (2, "1023 passed, 3 failed")


@pytest.mark.parametrize("line", ["no tests ran in 0.01s", "0 errors, 0 warnings, 0 informations"])
def test_a_run_without_tests_fails(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, test=line, e2e=line) == (1, "0 passed, 0 failed")
