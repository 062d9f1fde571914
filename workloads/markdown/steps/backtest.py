"""Step `backtest`: compares the model with the baselines on the hold-out set, week by week.

It tests the ONNX model, because that is the model that is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workloads.evidence import PERIOD
from workloads.markdown import weeks
from workloads.markdown.features import FEATURES
from workloads.markdown.history import KEYS, matrix_of
from workloads.markdown.metrics import BASELINES
from workloads.markdown.response import response as price_response
from workloads.markdown.steps.assemble import ASSEMBLED
from workloads.training import diagnostics, reports
from workloads.training.onnx import GRAPH, Graph
from workloads.training.source import source_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from workloads.context import Context
    from workloads.evidence import Drift, Report, Response

SLICED_BY = (PERIOD, "brand", "store")
_METHOD = "not refitted: the model of the last learned week, with the sales of all weeks before the one that is forecast"


def run(context: Context) -> None:
    """Writes forecasts and report, and emits the metrics."""
    frame = pd.read_parquet(context.input(ASSEMBLED))
    model = Graph.load(context.input(GRAPH))
    training = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    held_out = frame[frame["week"].isin(weeks.BACKTEST)].sort_values(list(KEYS), ignore_index=True)
    forecasts = held_out[list(KEYS)].assign(
        units=held_out["units"],
        forecast=model.predict(matrix_of(held_out)),
        **{name: baseline(held_out) for name, baseline in BASELINES.items()},
    )
    found = report(
        forecasts,
        data=source_facts(context)["fingerprint"],
        data_until=int(frame["week"].max()),
        data_day=context.workload.source.until,
        response=price_response(held_out, model),
        drift=diagnostics.drift(matrix_of(training), matrix_of(held_out), FEATURES),
    )
    reports.write(context, forecasts, found)


def report(  # noqa: PLR0913 all but the first are named
    forecasts: pd.DataFrame,
    *,
    data: str,
    data_until: int,
    data_day: date | None,
    response: Response | None,
    drift: Mapping[str, Drift],
) -> Report:
    """Builds the report.

    Args:
        forecasts: KEYS, `units`, `forecast` and one column per baseline.
        data: fingerprint of the source data.
        data_until: the last week of the source data.
        data_day: the last day of the source data.
        response: the price response.
        drift: the drift of each feature.
    """
    about = reports.BacktestDescription(
        workload="markdown",
        data=data,
        data_until=f"week {data_until}",
        data_day=data_day,
        learned_until=f"week {weeks.LAST}",
        method=_METHOD,
        unit="ounces a week",
    )
    return reports.report(about, forecasts, sliced_by=SLICED_BY, baselines=list(BASELINES), drift=drift, response=response)
