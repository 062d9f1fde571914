"""Step `backtest`: the weeks that nothing was learned from, one after the other, against the naive forecasts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd

from workloads.evidence import PERIOD, Report, canonical, worst
from workloads.markdown import diagnostics, weeks
from workloads.markdown.assemble import ASSEMBLED
from workloads.markdown.features import FEATURES
from workloads.markdown.history import KEYS, matrix_of
from workloads.markdown.metrics import BASELINES, bias, wape
from workloads.markdown.source import FACTS
from workloads.markdown.train import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workloads.evidence import Drift, Response
    from workloads.markdown.model import Demand
    from workloads.run import Context

FORECASTS = "forecasts.parquet"
REPORT = "report.json"
SLICED_BY = (PERIOD, "brand", "store")
_METHOD = "not refitted: the model of the last learned week, with the sales of all weeks before the one that is forecast"


def run(context: Context) -> None:
    """Writes forecasts and report, and tells the metrics."""
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    model: Demand = joblib.load(context.folder / MODEL)
    known = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    unseen = frame[frame["week"].isin(weeks.BACKTEST)].sort_values(list(KEYS), ignore_index=True)
    forecasts = unseen[list(KEYS)].assign(
        units=unseen["units"],
        forecast=model.predict(matrix_of(unseen)),
        **{name: baseline(unseen) for name, baseline in BASELINES.items()},
    )
    forecasts.to_parquet(context.folder / FORECASTS, index=False)
    found = report(
        forecasts,
        data=json.loads((context.folder / FACTS).read_text())["fingerprint"],
        data_until=int(frame["week"].max()),
        response=diagnostics.response(unseen, model),
        drift=diagnostics.drift(matrix_of(known), matrix_of(unseen), FEATURES),
    )
    (context.folder / REPORT).write_bytes(canonical(found))
    for name, value in found.metrics.items():
        context.metric(name, value)


def report(
    forecasts: pd.DataFrame, *, data: str, data_until: int, response: Response | None, drift: Mapping[str, Drift]
) -> Report:
    """The evidence.

    Args:
        forecasts: KEYS, `units`, `forecast` and a column for each baseline.
        data: fingerprint of the source.
        data_until: the last week of the source.
        response: what a price does.
        drift: of each feature.
    """
    slices = {
        dimension: {str(name): {**_errors(part), "rows": float(len(part))} for name, part in forecasts.groupby(dimension)}
        for dimension in SLICED_BY
    }
    periods = tuple(slices[PERIOD])
    worsts = {f"wape_worst_{dimension}": worst(slices[dimension]) for dimension in SLICED_BY if dimension != PERIOD}
    return Report(
        workload="markdown",
        data=data,
        data_until=f"week {data_until}",
        learned_until=f"week {weeks.LAST}",
        method=_METHOD,
        unit="ounces a week",
        periods=periods,
        rows=len(forecasts),
        baselines=tuple(BASELINES),
        metrics={**_errors(forecasts), **worsts, "weeks": float(len(periods))},
        slices=slices,
        calibration=diagnostics.calibration(forecasts),
        response=response,
        drift=dict(drift),
    )


def _errors(forecasts: pd.DataFrame) -> dict[str, float]:
    """The model's error and bias, and the error of each baseline."""
    columns = ("units", "forecast", *BASELINES)
    actual, forecast, *naive = (forecasts[name].to_numpy(np.float64) for name in columns)
    baselines = {f"wape_{name}": wape(actual, values) for name, values in zip(BASELINES, naive, strict=True)}
    return {"wape": wape(actual, forecast), "bias": bias(actual, forecast), **baselines}
