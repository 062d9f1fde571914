"""The held-out week, which no training has used: the predictions of an endpoint beside the actual values."""

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
class HeldOutWeek:
    """A request for a week that no training has used, with the actual values."""

    description: str
    request: dict[str, Any]  # JSON, the request body of the workload's endpoint
    actual: list[float]
    """The units that were sold, one value per row of the request."""
    labels: list[str]
    """A label for each row; empty if the run recorded none."""

    @classmethod
    def parse(cls, content: bytes | str) -> HeldOutWeek:
        """Reads a run's artifact `held_out.json`."""
        payload = cast("dict[str, Any]", json.loads(content))  # JSON of the run
        return cls(
            description=str(payload["describe"]),
            request=payload["request"],
            actual=[float(units) for units in payload["actual"]],
            labels=[str(label) for label in payload.get("labels", [])],
        )


def held_out_file(run: str) -> Path:
    """Returns the file that contains the request body for a run's held-out week, for `curl -d @FILE`."""
    return HELD_OUT / f"{run}.json"


def held_out_week(run: str, open_registry: Callable[[], ModelRegistry]) -> HeldOutWeek:
    """Returns the held-out week of a run. Downloads the run's artifact at the first call, and uses a local copy afterwards."""
    copy = HELD_OUT / f"{run}.artifact.json"
    if not copy.is_file():
        content = open_registry().artifact(run, "held_out.json")
        HELD_OUT.mkdir(parents=True, exist_ok=True)
        held_out_file(run).write_text(json.dumps(HeldOutWeek.parse(content).request), encoding="utf-8")
        part = copy.with_suffix(".part")
        part.write_bytes(content)
        part.replace(copy)
    return HeldOutWeek.parse(copy.read_bytes())


def comparison(week: HeldOutWeek, prediction: Prediction) -> str:
    """Returns a table with the predicted and the sold units of each row, and the error of the whole week."""
    columns, rows = _row_names(week)
    table = [[*columns, "predicted", "sold"]]
    for row, predicted, sold in zip(rows, prediction.values, week.actual, strict=True):
        table.append([*row, f"{predicted:,.0f}", f"{sold:,.0f}"])
    error = sum(abs(p - a) for p, a in zip(prediction.values, week.actual, strict=True)) / max(sum(week.actual), 1.0)
    widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join(
        [week.description, *(f"  {line}" for line in lines), f"  error of the week: {error:.0%} of the units sold"]
    )


def _row_names(week: HeldOutWeek) -> tuple[list[str], list[list[str]]]:
    """Returns the titles and the cells that identify each row."""
    data = cast("dict[str, Any]", week.request["data"])  # JSON of the run
    names = cast("list[str]", data["names"])
    rows = cast("list[list[object]]", data["ndarray"])
    if len(week.labels) == len(rows):
        return [""], [[label] for label in week.labels]
    columns = [name for name in _SHOWN_COLUMNS if name in names] or names[:3]
    return columns, [[_cell(row[names.index(column)]) for column in columns] for row in rows]


def curl_command(endpoint: EndpointOutput) -> str:
    """Returns a command line that sends the same request to the endpoint."""
    body = shlex.quote(f"@{held_out_file(endpoint.run)}")
    return f"curl -s {endpoint.url}{PREDICTIONS} -H 'Content-Type: application/json' -d {body}"


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
