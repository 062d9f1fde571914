"""`modelstack shadow --compare`: what a shadow answered to the requests that the stable version answered too."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from delivery.console.tables import wide_console
from delivery.environments.environment import Environment
from delivery.releases.stack_editor import read_releases
from delivery.trials.figures import summed
from delivery.trials.pairs import FAR, agreement
from delivery.trials.pods import Pods
from delivery.trials.verdict import summary
from infra.settings.releases import SHADOW, STABLE

if TYPE_CHECKING:
    from delivery.releases.release_command import ReleaseCommand
    from delivery.trials.pairs import Agreement

_WIDTH: Final = 100


def main(command: ReleaseCommand) -> None:
    """Compares what there is."""
    releases = read_releases(command.stack, command.workload)
    block = releases.require_block()
    if block.get(SHADOW) is None:
        fix = f"modelstack shadow {command.workload.name} --stack {command.stack} --version VERSION --apply"
        raise UserError(f"There is no shadow of {command.workload.name} in {command.stack}.", where=releases.file.name, fix=fix)
    versions = {role: int(block[role]) for role in (STABLE, SHADOW)}
    pods = Pods.of(Environment.open(command.stack), command.workload.name)
    answers = {role: pods.recorded(role, version) for role, version in versions.items()}
    found = agreement(answers[STABLE], answers[SHADOW])
    if found is None:
        raise UserError(
            "There is no request yet that both have answered.",
            found=", ".join(f"{role} version {versions[role]}: {len(kept)} answers" for role, kept in answers.items()),
            fix=f"bring {command.stack} up if the shadow is new, ask its endpoint, then run this again",
        )
    figures = {role: summary(summed(pods.readings(role, version))) for role, version in versions.items()}
    if command.as_json:
        told = {"stack": command.stack, "workload": command.workload.name, "versions": versions, "figures": figures}
        print(json.dumps({**told, **asdict(found)}))
        return
    _show(versions, figures, found)


def _show(versions: dict[str, int], figures: dict[str, dict[str, float | None]], found: Agreement) -> None:
    from rich.table import Table

    from delivery.trials.scoreboard import cell

    console = wide_console(_WIDTH)
    variants = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("since it was started", "version", "requests", "failures", "refusals", "p50 ms", "p99 ms"):
        variants.add_column(title, justify="left" if title == "since it was started" else "right")
    for role, told in figures.items():
        cells = (cell(told[name]) for name in ("requests", "failures", "refusals", "p50", "p99"))
        variants.add_row(role, str(versions[role]), *cells)
    widest = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("furthest apart: request", "row", "stable", "shadow", "difference"):
        widest.add_column(title, justify="left" if title.startswith("furthest") else "right")
    for row in found.widest:
        widest.add_row(row.request, str(row.row), cell(row.stable), cell(row.shadow), f"{row.difference:.1%}")
    console.print(variants)
    for text in _lines(found):
        console.print(text, markup=False)
    if found.widest:
        console.print(widest)


def _lines(found: Agreement) -> list[str]:
    unlike = f"; {found.unlike} more with different numbers of rows" if found.unlike else ""
    correlation = "-" if found.correlation is None else f"{found.correlation:.4f}"
    return [
        f"{found.requests} requests answered by both, {found.rows} rows{unlike}",
        f"difference of a row: {found.mean_difference:.2%} in the mean, {found.largest_difference:.1%} at most",
        f"rows that differ by more than {FAR:.0%}: {found.far:.1%}",
        f"the shadow says {found.bias:+.2%} in sum; correlation {correlation}",
    ]
