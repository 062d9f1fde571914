"""`.ci/run`, with a fake `make` that copies the results of pytest for small modules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from common.paths import CHECKOUT

RUNS = {"test": ("test", "test-training", "test-serving"), "e2e": ("e2e", "e2e-down")}
"""The names of the result files that each target of the Makefile writes."""
GREEN = "def test_good(): pass\ndef test_also_good(): pass\n"
RED = "def test_good(): pass\ndef test_bad(): raise ValueError\n"
SKIPPED = (
    "import pytest\n@pytest.mark.skip\ndef test_not_here(): pass\n@pytest.mark.xfail\ndef test_known(): raise ValueError\n"
)
TEARDOWN = """\
import pytest

@pytest.fixture
def broken():
    yield
    raise ValueError

def test_good(broken): pass
def test_bad(broken): raise ValueError
"""
SETUP = "import pytest\n@pytest.fixture\ndef broken(): raise ValueError\ndef test_not_begun(broken): pass\n"
CRASH = "import os\ndef test_good(): pass\ndef test_crash(): os._exit(1)\n"
INTERRUPTED = "import os, signal\ndef test_good(): pass\ndef test_killed(): os.kill(os.getpid(), signal.SIGKILL)\n"


@cache
def results(source: str) -> tuple[int, str | None]:
    """Runs pytest for a module. Returns its exit code and the content of its result file, or None if it writes none."""
    with TemporaryDirectory() as folder:
        (module := Path(folder, "test_it.py")).write_text(source)
        file = module.with_name("results.xml")
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", folder, "--junitxml", file, module]
        environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, check=False)
        return done.returncode, file.read_text() if file.exists() else None


def run(tmp_path: Path, sources: dict[str, str], *, ignored: bool = False) -> tuple[int, list[str], str]:
    """Runs `.ci/run` and returns its exit code, the lines of its output, and its errors.

    Args:
        tmp_path: the working folder.
        sources: the source of the test module for each result file. Others have the source `GREEN`. A module with an empty
            source is not run.
        ignored: whether `make` exits with 0 although a test failed.
    """
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    shutil.copytree(CHECKOUT / ".ci", checkout / ".ci")
    tools.mkdir()
    lines = ["#!/bin/sh", "status=0", "mkdir -p .modelstack/results", "case $1 in"]
    for target, names in RUNS.items():
        lines.append(f"{target})")
        for name in names:
            status, content = results(sources.get(name, GREEN)) if sources.get(name, GREEN) else (0, None)
            lines.append(f"[ {status} = 0 ] || status=1")
            if content is not None:
                (tmp_path / name).write_text(content)
                lines.append(f"cp {tmp_path}/{name} .modelstack/results/{name}.xml")
        lines.append(":;;")
    lines += ["esac", f"exit {0 if ignored else '$status'}", ""]
    make = tools / "make"
    make.write_text("\n".join(lines))
    make.chmod(0o755)
    environ = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", checkout / ".ci" / "run"], env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_run_without_failures_passes(tmp_path):
    status, lines, _ = run(tmp_path, {})
    assert (status, lines[-1]) == (0, "10 passed, 0 failed")


def test_a_run_with_a_failed_test_fails_and_counts_all_tests(tmp_path):
    status, lines, errors = run(tmp_path, {"e2e": RED})
    assert (status, lines[-1]) == (1, "9 passed, 1 failed")
    assert errors == "", "every run of pytest has written its results"


def test_runs_that_are_skipped_after_a_failure_are_named_as_missing(tmp_path):
    status, lines, errors = run(tmp_path, {"test": RED})
    assert (status, lines[-1]) == (1, "5 passed, 1 failed")
    assert re.findall(r"results/(\S+)\.xml: no results", errors) == ["e2e", "e2e-down"]


def test_a_failure_counts_although_make_exits_with_0(tmp_path):
    status, lines, _ = run(tmp_path, {"test-serving": RED}, ignored=True)
    assert (status, lines[-1]) == (1, "9 passed, 1 failed")


def test_a_test_counts_once_if_its_body_setup_or_teardown_fails(tmp_path):
    status, lines, _ = run(tmp_path, {"e2e": TEARDOWN, "e2e-down": SETUP})
    assert (status, lines[-1]) == (1, "6 passed, 3 failed")


def test_tests_that_are_skipped_or_fail_as_expected_do_not_count(tmp_path):
    status, lines, _ = run(tmp_path, {"test": GREEN + SKIPPED})
    assert (status, lines[-1]) == (0, "10 passed, 0 failed")


@pytest.mark.parametrize("source", ["", "# No test.\n", SKIPPED], ids=["not run", "empty", "skipped"])
def test_a_run_without_tests_fails(tmp_path, source):
    status, lines, errors = run(tmp_path, {"test-training": source}, ignored=True)
    assert (status, lines[-1]) == (1, "8 passed, 0 failed")
    assert "results/test-training.xml: no" in errors


@pytest.mark.parametrize("source", [CRASH, INTERRUPTED], ids=["exit", "kill"])
def test_a_run_that_is_killed_before_its_summary_fails_although_make_exits_with_0(tmp_path, source):
    status, lines, errors = run(tmp_path, {"e2e": source}, ignored=True)
    assert (status, lines[-1]) == (1, "8 passed, 0 failed")
    assert "results/e2e.xml: no results of a complete run" in errors


def test_results_of_an_earlier_run_do_not_count(tmp_path):
    results = tmp_path / "checkout" / ".modelstack" / "results"
    results.mkdir(parents=True)
    (results / "e2e.xml").write_text('<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>')
    status, lines, _ = run(tmp_path, {"e2e": ""}, ignored=True)
    assert (status, lines[-1]) == (1, "8 passed, 0 failed")


def test_the_makefile_writes_the_results_that_are_counted():
    counted = re.search(r"\{(\S+)\}\.xml", (CHECKOUT / ".ci" / "run").read_text())[1].split(",")
    written = re.findall(r"\$\(RESULTS\)/(\S+)\.xml", (CHECKOUT / "Makefile").read_text())
    assert set(counted) == {name for names in RUNS.values() for name in names}
    assert set(counted) <= set(written), "otherwise .ci/run would fail because a result file is missing"
