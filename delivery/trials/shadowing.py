"""`modelstack shadow --compare`: compares the answers of a shadow and of the stable version to the same requests."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from common.roles import SHADOW, STABLE
from delivery.console.tables import wide_console
from delivery.environments.environment import Environment
from delivery.releases.stack_editor import read_releases
from delivery.trials.figures import since_start
from delivery.trials.pairs import LARGE_DIFFERENCE, agreement
from delivery.trials.pods import Pods
from delivery.trials.verdict import summary

if TYPE_CHECKING:
    from delivery.releases.release_command import ReleaseCommand
    from delivery.trials.pairs import Agreement

_WIDTH: Final = 100


def main(command: ReleaseCommand) -> None:
    """Prints the comparison, as text or as JSON.

    Raises:
        UserError: the stack file has no shadow of the workload, or no request has been answered by both versions.
    """
    releases = read_releases(command.tier, command.workload)
    block = releases.require_block()
    if block.get(SHADOW) is None:
        fix = f"modelstack shadow {command.workload.name} --stack {command.stack} --version VERSION --apply"
        raise UserError(f"There is no shadow of {command.workload.name} in {command.stack}.", where=releases.file.name, fix=fix)
    versions = {role: int(block[role]) for role in (STABLE, SHADOW)}
    pods = Pods.from_environment(Environment(command.tier), command.workload.name)
    answers = {role: pods.recorded(role, version) for role, version in versions.items()}
    comparison = agreement(answers[STABLE], answers[SHADOW])
    if comparison is None:
        counts = (f"{role} version {versions[role]}: {len(recorded)} answers" for role, recorded in answers.items())
        raise UserError(
            "No request has been answered by both versions yet.",
            found=", ".join(counts),
            fix=f"bring {command.stack} up if the shadow is new, send requests to its endpoint, then run this command again",
        )
    figures = {role: summary(since_start(pods.readings(role, version))) for role, version in versions.items()}
    if command.as_json:
        payload = {"stack": command.stack, "workload": command.workload.name, "versions": versions, "figures": figures}
        print(json.dumps({**payload, **asdict(comparison)}))
        return
    _print(versions, figures, comparison)


def _print(versions: dict[str, int], figures: dict[str, dict[str, float | None]], comparison: Agreement) -> None:
    from rich.table import Table

    from delivery.trials.scoreboard import format_figure

    console = wide_console(_WIDTH)
    variants = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("since its start", "version", "requests", "failures", "refusals", "p50 ms", "p99 ms"):
        variants.add_column(title, justify="left" if title == "since its start" else "right")
    for role, values in figures.items():
        cells = (format_figure(values[name]) for name in ("requests", "failures", "refusals", "p50", "p99"))
        variants.add_row(role, str(versions[role]), *cells)
    widest = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("largest differences: request", "row", "stable", "shadow", "difference"):
        widest.add_column(title, justify="left" if title.startswith("largest") else "right")
    for row in comparison.widest:
        cells = (format_figure(row.stable), format_figure(row.shadow), f"{row.difference:.1%}")
        widest.add_row(row.request, str(row.row), *cells)
    console.print(variants)
    for text in _lines(comparison):
        console.print(text, markup=False)
    if comparison.widest:
        console.print(widest)


def _lines(comparison: Agreement) -> list[str]:
    unlike = f"; {comparison.unlike} more are not compared: different numbers of rows" if comparison.unlike else ""
    correlation = "-" if comparison.correlation is None else f"{comparison.correlation:.4f}"
    return [
        f"{comparison.requests} requests answered by both versions, {comparison.rows} rows{unlike}",
        f"difference per row: {comparison.mean_difference:.2%} on average, {comparison.largest_difference:.1%} at most",
        f"rows that differ by more than {LARGE_DIFFERENCE:.0%}: {comparison.far:.1%}",
        f"sum of the shadow's predictions against the stable version's: {comparison.bias:+.2%}; correlation {correlation}",
    ]
