"""How many requests the endpoint answers, and how many the servers answer that it could be instead: same model, same machine.

Bare processes, so that it needs no cluster: `python -m tests.bench.endpoint` (the environments are made by `make bench`).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from common import paths
from tests.bench import servers
from tests.bench.load import once, rounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.load import Load

SECONDS = 4
ROUNDS = 5
WARM_UP_SECONDS = 2
ENVIRONMENTS = {
    "training": ["--group", "training", "--group", "check"],
    "serving": ["--group", "serving", "--group", "check"],
    # MLServer's worker processes fail with the uvloop of today ("There is no current event loop"), and do without one.
    "bench": ["--group", "bench", "--no-install-package", "uvloop"],
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What the endpoint has to be, compared with another server."""

    than: str
    at_least: float
    """The endpoint's requests per second, through the router, divided by the other's."""


TITLE = "One row a request, 4 connections, 2 workers, bare processes"
BOUNDS = (
    Bound(than="pod", at_least=0.9),
    Bound(than="mlflow", at_least=10.0),
    Bound(than="mlserver", at_least=5.0),
)
TITLES = {
    "router": "endpoint, through the router",
    "pod": "endpoint, pod directly",
    "mlflow": "mlflow models serve, sklearn flavour",
    "mlserver": "MLServer 1.7.1, sklearn flavour",
}


def measure() -> Mapping[str, Load]:
    """Load borne by each server, by name."""
    _environments()
    with tempfile.TemporaryDirectory(prefix="modelstack-bench-") as name:
        folder = Path(name)
        python = str(paths.STATE / "venv-training" / "bin" / "python")
        made = subprocess.run(
            [python, "-m", "tests.bench.model", name],
            cwd=paths.CHECKOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # on a busy machine its threads wait for one another
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr[-2000:]
        with ExitStack() as up:
            pod = up.enter_context(servers.service(folder))
            router = up.enter_context(servers.router(folder, pod))
            others = [up.enter_context(other(folder)) for other in (servers.mlflow, servers.mlserver)]
            targets = [router, pod, *others]
            for target in targets:
                once(target, folder, seconds=WARM_UP_SECONDS)
            return rounds(targets, folder, seconds=SECONDS, times=ROUNDS)


def table(loads: Mapping[str, Load], title: str = TITLE) -> Table:
    """Side by side. Whether a bound is kept is told and not enforced: what else runs on the machine counts as well."""
    shown = Table(title=title, min_width=100)
    for column in ("server", "requests/s", "p50 ms", "p99 ms", "endpoint answers", "asked for", ""):
        shown.add_column(column, justify="left" if column == "server" else "right")
    bounds = {bound.than: bound for bound in BOUNDS}
    for name, load in loads.items():
        times = loads["router"].rate / load.rate
        bound = bounds.get(name)
        compared = () if bound is None else (f"{times:.2f} x", f"{bound.at_least:g} x", verdict(kept=times >= bound.at_least))
        shown.add_row(TITLES[name], f"{load.rate:,.0f}", f"{load.p50:.2f}", f"{load.p99:.2f}", *compared)
    return shown


def verdict(*, kept: bool) -> str:
    """For the last column of a table."""
    return "[green]kept[/]" if kept else "[red]missed[/]"


def _environments() -> None:
    for name, options in ENVIRONMENTS.items():
        environment = {"UV_PROJECT_ENVIRONMENT": str(paths.STATE / f"venv-{name}")}
        command = ["uv", "sync", "--frozen", "--quiet", "--no-default-groups", *options]
        subprocess.run(command, cwd=paths.CHECKOUT, env={**os.environ, **environment}, check=True)


if __name__ == "__main__":
    Console().print(table(measure()))
