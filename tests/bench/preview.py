"""What a preview of an environment costs, beside the engine's floor: as many bare resources of the same plugin.

Both are stacks that are up, of the same backend, so that a preview finds nothing to do. They are previewed in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import paths
from delivery.stacks import variables
from tests.bench.cluster import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = 5
STACK = "floor"
PROJECT = """name: modelstack-bench
runtime:
  name: python
backend:
  url: %s
"""
BARE = """from pulumi_kubernetes import core

for number in range(%d):
    core.v1.ConfigMap(f"bare-{number}", metadata={"name": f"bare-{number}"}, data={"number": str(number)})
"""


@dataclass(frozen=True, kw_only=True)
class Previews:
    """Seconds of a preview, the median of some rounds."""

    resources: int
    environment: float
    floor: float

    @property
    def ratio(self) -> float:
        return self.environment / self.floor


def measure(stack: str, folder: Path) -> Previews:
    """Previews the environment and a program of as many ConfigMaps, which are there meanwhile."""
    state = json.loads(_pulumi(paths.CHECKOUT, "stack", "export", "--stack", stack))
    # The stack itself and its providers are in the floor's state as well.
    resources = len(state["deployment"]["resources"]) - 2
    ours, floors = [], []
    with _floor(folder, resources):
        for _ in range(ROUNDS):
            ours.append(_seconds(paths.CHECKOUT, stack))
            floors.append(_seconds(folder, STACK))
    return Previews(resources=resources, environment=statistics.median(ours), floor=statistics.median(floors))


@contextmanager
def _floor(folder: Path, resources: int) -> Iterator[None]:
    (folder / "Pulumi.yaml").write_text(PROJECT % (folder / "state").as_uri())
    (folder / "__main__.py").write_text(BARE % resources)
    (folder / "state").mkdir()
    _pulumi(folder, "stack", "init", STACK)
    try:
        _pulumi(folder, "up", "--yes", "--skip-preview", "--stack", STACK)
        yield
    finally:
        _pulumi(folder, "destroy", "--yes", "--skip-preview", "--stack", STACK)


def _seconds(folder: Path, stack: str) -> float:
    command = ["pulumi", "preview", "--stack", stack, "--non-interactive", "--expect-no-changes"]
    return seconds_of(command, folder, _variables(folder))


def _variables(folder: Path) -> dict[str, str]:
    found = {**os.environ, **variables.variables()}
    if folder != paths.CHECKOUT:
        del found["PULUMI_BACKEND_URL"]
    return found


def _pulumi(folder: Path, *args: str) -> str:
    command = ["pulumi", *args, "--non-interactive"]
    done = subprocess.run(command, cwd=folder, env=_variables(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
