"""The week that no training has seen: what an endpoint answers about it, beside what really happened."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from common import paths
from common.serving import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.endpoint import Prediction
    from clients.model_registry import ModelRegistry
    from delivery.environments.outputs import EndpointOutput

HELD_OUT = paths.STATE / "held-out"
_SHOWN_COLUMNS = ("store", "brand", "week", "price")


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A request whose true answer is known: weeks that no training has seen."""

    describe: str
    request: dict[str, Any]  # JSON, as the workload's endpoint takes it
    actual: list[float]
    labels: list[str]
    """What each row is about; empty where the run does not say."""

    @classmethod
    def parse(cls, content: bytes | str) -> HeldOut:
        """Reads a run's artifact `held_out.json`."""
        found = cast("dict[str, Any]", json.loads(content))  # JSON of the run
        return cls(
            describe=str(found["describe"]),
            request=found["request"],
            actual=[float(units) for units in found["actual"]],
            labels=[str(label) for label in found.get("labels", [])],
        )


def held_out_file(run: str) -> Path:
    """Where the request body of a run's held-out week is kept, for `curl -d @FILE`."""
    return HELD_OUT / f"{run}.json"


def held_out(run: str, models: Callable[[], ModelRegistry]) -> HeldOut:
    """The held-out week of a run; asked of its artifacts the first time, kept afterwards."""
    kept = HELD_OUT / f"{run}.artifact.json"
    if not kept.is_file():
        content = models().artifact(run, "held_out.json")
        HELD_OUT.mkdir(parents=True, exist_ok=True)
        held_out_file(run).write_text(json.dumps(HeldOut.parse(content).request), encoding="utf-8")
        part = kept.with_suffix(".part")
        part.write_bytes(content)
        part.replace(kept)
    return HeldOut.parse(kept.read_bytes())


def comparison(held: HeldOut, prediction: Prediction) -> str:
    """A small table: what was asked, predicted and sold."""
    columns, shown = _what_was_asked(held)
    table = [[*columns, "predicted", "sold"]]
    for row, predicted, sold in zip(shown, prediction.values, held.actual, strict=True):
        table.append([*row, f"{predicted:,.0f}", f"{sold:,.0f}"])
    error = sum(abs(p - a) for p, a in zip(prediction.values, held.actual, strict=True)) / max(sum(held.actual), 1.0)
    widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join([held.describe, *(f"  {line}" for line in lines), f"  error of the week: {error:.0%} of the units sold"])


def _what_was_asked(held: HeldOut) -> tuple[list[str], list[list[str]]]:
    """Titles and cells that tell one row from another."""
    data = cast("dict[str, Any]", held.request["data"])  # JSON of the run
    names = cast("list[str]", data["names"])
    rows = cast("list[list[object]]", data["ndarray"])
    if len(held.labels) == len(rows):
        return [""], [[label] for label in held.labels]
    columns = [name for name in _SHOWN_COLUMNS if name in names] or names[:3]
    return columns, [[_cell(row[names.index(column)]) for column in columns] for row in rows]


def curl(endpoint: EndpointOutput) -> str:
    """A command line that asks the endpoint the same."""
    body = shlex.quote(f"@{held_out_file(endpoint.run)}")
    return f"curl -s {endpoint.url}{PREDICTIONS} -H 'Content-Type: application/json' -d {body}"


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
