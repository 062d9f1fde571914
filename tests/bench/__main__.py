"""`make bench`: the figures, with an environment that is up. Nothing here fails for being slow."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from common import paths
from tests.bench import cluster, endpoint, preview

NOTHING_TO_DO_SECONDS = 45
MEMORY_GIB = 6
PREVIEW_RATIO = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--workload", default="markdown")
    parser.add_argument("--no-cluster", action="store_true", help="bare processes only; needs no environment")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not options.no_cluster:
        with tempfile.TemporaryDirectory(prefix="modelstack-bench-") as folder:
            console.print(environment(options.stack, Path(folder)))
            loads = cluster.measure(options.stack, options.workload, Path(folder))
            console.print(endpoint.table(loads, "One row a request, 4 connections, in the cluster"))
    console.print(endpoint.table(endpoint.measure()))


def environment(stack: str, folder: Path) -> Table:
    """The environment as a whole."""
    shown = Table(title="The environment", min_width=100)
    for column in ("figure", "found", "at most", ""):
        shown.add_column(column, justify="left" if column == "figure" else "right")
    previews = preview.measure(stack, folder)
    rows = [
        (
            "modelstack up, nothing to do",
            cluster.seconds_of([str(paths.CHECKOUT / ".venv/bin/modelstack"), "up", "--stack", stack]),
            NOTHING_TO_DO_SECONDS,
            "s",
        ),
        (
            f"preview of {previews.resources} resources to bare ones ({previews.environment:.1f} s to {previews.floor:.1f} s)",
            previews.ratio,
            PREVIEW_RATIO,
            "x",
        ),
        ("memory of the node and all pods", cluster.memory_gib(), MEMORY_GIB, "GiB"),
    ]
    for name, found, most, unit in rows:
        shown.add_row(name, f"{found:.2f} {unit}", f"{most} {unit}", endpoint.verdict(kept=found <= most))
    return shown


if __name__ == "__main__":
    main()
