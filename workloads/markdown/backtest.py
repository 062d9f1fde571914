"""Step `backtest`: the weeks that nothing was learned from, one after the other, against the naive forecasts."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from workloads.markdown import weeks
from workloads.markdown.assemble import ASSEMBLED
from workloads.markdown.history import KEYS, matrix_of
from workloads.markdown.metrics import BASELINES, bias, wape
from workloads.markdown.source import FACTS
from workloads.markdown.train import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workloads.run import Context

FORECASTS = "forecasts.parquet"
REPORT = "report.json"
_DIGITS = 6
"""A report says no more than it knows, and is the same on another processor."""


def run(context: Context) -> None:
    """Writes forecasts and report, and tells the metrics."""
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    unseen = frame[frame["week"].isin(weeks.BACKTEST)].sort_values(list(KEYS), ignore_index=True)
    forecasts = unseen[list(KEYS)].assign(
        units=unseen["units"],
        forecast=joblib.load(context.folder / MODEL).predict(matrix_of(unseen)),
        **{name: baseline(unseen) for name, baseline in BASELINES.items()},
    )
    forecasts.to_parquet(context.folder / FORECASTS, index=False)
    content = report(forecasts, json.loads((context.folder / FACTS).read_text())["fingerprint"])
    (context.folder / REPORT).write_bytes(canonical(content))
    for name, value in content["metrics"].items():
        context.metric(name, value)


def report(forecasts: pd.DataFrame, data: str) -> dict[str, Any]:
    """The evidence: what was tried on what, and the errors overall, by brand and by week.

    Args:
        forecasts: KEYS, `units`, `forecast` and a column for each baseline.
        data: fingerprint of the source.
    """
    overall = {**_errors(forecasts), **{f"wape_{name}": _wape(forecasts, name) for name in BASELINES}}
    return {
        "data": data,
        "learned_until_week": weeks.LAST,
        "weeks": sorted({int(week) for week in forecasts["week"]}),
        "refit": "never: the model of the last learned week, with the sales of all weeks before the forecast one",
        "rows": len(forecasts),
        "units": round(float(forecasts["units"].sum())),
        "metrics": _rounded(overall),
        "by_brand": {str(brand): _rounded(_errors(part)) for brand, part in forecasts.groupby("brand")},
        "by_week": {str(week): _rounded(_errors(part)) for week, part in forecasts.groupby("week")},
    }


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one way to write a report: its digest names it."""
    return (json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()


def digest(content: bytes) -> str:
    """`sha256:` and the digest of a written report."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _errors(forecasts: pd.DataFrame) -> dict[str, float]:
    actual, forecast = (forecasts[name].to_numpy(np.float64) for name in ("units", "forecast"))
    return {"wape": wape(actual, forecast), "bias": bias(actual, forecast)}


def _wape(forecasts: pd.DataFrame, column: str) -> float:
    return wape(forecasts["units"].to_numpy(np.float64), forecasts[column].to_numpy(np.float64))


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in metrics.items()}
