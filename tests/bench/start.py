"""`make bench-start`: how long it takes from nothing to a prediction. It takes about an hour, and no environment may be up.

The checkout's last commit is cloned, and everything is made there: once with empty caches, so that nothing is on the machine
but what its Debian packages brought, and once with what that left in them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from common import paths
from tests.bench.endpoint import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that is timed, and how many seconds it may take."""

    title: str
    command: Sequence[str]
    most: float | None = None


MOCKS = [".venv/bin/pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/components", "tests/stacks"]
STEPS = (
    Step(title="empty caches to a prediction: make up", command=["make", "up"], most=30 * MINUTE),
    Step(title="nothing to do: make up", command=["make", "up"], most=45),
    Step(title="make down", command=["make", "down"]),
    Step(title="caches to a prediction: make up after make down", command=["make", "up"], most=6 * MINUTE),
    Step(title="make down", command=["make", "down"]),
    Step(title="make test, the first time", command=["make", "test"]),
    Step(title="make test", command=["make", "test"], most=4 * MINUTE),
    Step(title="the tests with mocks", command=MOCKS, most=15),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work, on a disk with 40 GiB; a temporary folder by default")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="modelstack-start-", dir=options.folder))
    try:
        taken = _run(work)
    finally:
        # What was made stays readable only: Go writes its modules so.
        subprocess.run(["chmod", "-R", "u+w", str(work)], check=False)
        shutil.rmtree(work, ignore_errors=True)
    Console(width=None if sys.stdout.isatty() else 120).print(_table(taken))


def _run(work: Path) -> list[float]:
    checkout = work / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(paths.CHECKOUT), str(checkout)], check=True)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VIRTUAL_ENV")},
        "XDG_CACHE_HOME": str(work / "cache"),
        "GOPATH": str(work / "go"),
        "GOMODCACHE": str(work / "go" / "pkg" / "mod"),
        "GOCACHE": str(work / "cache" / "go-build"),
    }
    taken: list[float] = []
    try:
        for step in STEPS:
            print(f"=== {step.title}", flush=True)
            started = time.monotonic()
            subprocess.run(step.command, cwd=checkout, env=variables, check=True)
            taken.append(time.monotonic() - started)
            print(f"=== {step.title}: {taken[-1]:.0f} s; the folder is {_gibibytes(work):.1f} GiB", flush=True)
    finally:
        subprocess.run(["make", "down"], cwd=checkout, env=variables, check=False)
    return taken


def _gibibytes(folder: Path) -> float:
    """Gibibytes on disk."""
    told = subprocess.run(["du", "-s", "--block-size=1", folder], capture_output=True, text=True, check=False).stdout
    return int(told.split()[0]) / 2**30


def _table(taken: list[float]) -> Table:
    shown = Table(title="From nothing to a prediction", min_width=100)
    for column in ("figure", "found", "at most", ""):
        shown.add_column(column, justify="left" if column == "figure" else "right")
    for step, seconds in zip(STEPS, taken, strict=True):
        bound = () if step.most is None else (_span(step.most), verdict(kept=seconds <= step.most))
        shown.add_row(step.title, _span(seconds), *bound)
    return shown


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.1f} min"


if __name__ == "__main__":
    main()
