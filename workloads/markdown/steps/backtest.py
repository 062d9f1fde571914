"""Step `backtest`: the weeks that nothing was learned from, one after the other, against the naive forecasts.

It is the ONNX model that is tested, the one that will serve.
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
from workloads.training.onnx import Graph
from workloads.training.source import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from workloads.context import Context
    from workloads.evidence import Drift, Report, Response

SLICED_BY = (PERIOD, "brand", "store")
_METHOD = "not refitted: the model of the last learned week, with the sales of all weeks before the one that is forecast"


def run(context: Context) -> None:
    """Writes forecasts and report, and tells the metrics."""
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    model = Graph.of(context.folder)
    known = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    unseen = frame[frame["week"].isin(weeks.BACKTEST)].sort_values(list(KEYS), ignore_index=True)
    forecasts = unseen[list(KEYS)].assign(
        units=unseen["units"],
        forecast=model.predict(matrix_of(unseen)),
        **{name: baseline(unseen) for name, baseline in BASELINES.items()},
    )
    found = report(
        forecasts,
        data=facts_of(context)["fingerprint"],
        data_until=int(frame["week"].max()),
        data_day=context.workload.source.until,
        response=price_response(unseen, model),
        drift=diagnostics.drift(matrix_of(known), matrix_of(unseen), FEATURES),
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
    """The evidence.

    Args:
        forecasts: KEYS, `units`, `forecast` and a column for each baseline.
        data: fingerprint of the source.
        data_until: the last week of the source.
        data_day: the last day of the source.
        response: what a price does.
        drift: of each feature.
    """
    about = reports.About(
        workload="markdown",
        data=data,
        data_until=f"week {data_until}",
        data_day=data_day,
        learned_until=f"week {weeks.LAST}",
        method=_METHOD,
        unit="ounces a week",
    )
    return reports.report(about, forecasts, sliced_by=SLICED_BY, baselines=list(BASELINES), drift=drift, response=response)
