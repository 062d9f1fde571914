"""Step `backtest`: the weeks that nothing was learned from, one to four weeks ahead, against the naive forecasts.

It is the ONNX model that is tested, the one that will serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.evidence import PERIOD
from workloads.training import diagnostics, reports
from workloads.training.onnx import Graph
from workloads.training.source import facts_of
from workloads.tuna import weeks
from workloads.tuna.features import BRANDS, OFFER, SEEN, WEEKS, cut, numbered, seen
from workloads.tuna.steps.history import REQUESTS
from workloads.tuna.steps.train import forecast

if TYPE_CHECKING:
    import numpy.typing as npt

    from workloads.context import Context
    from workloads.training.onnx import Predictor

    Floats = npt.NDArray[np.float64]

SLICED_BY = (PERIOD, "brand", "ahead", "plan")
_METHOD = (
    "not refitted: the model of the last learned week, asked for each week one to four weeks ahead, with the sales up to then "
    "and the prices and displays of the week itself, which are planned"
)


def run(context: Context) -> None:
    """Writes forecasts and report, and tells the metrics."""
    frame = pd.read_parquet(context.folder / REQUESTS)
    model = Graph.of(context.folder)
    known = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    unseen = frame[frame["week"].isin(weeks.BACKTEST)]
    about = reports.About(
        workload=context.workload.name,
        data=facts_of(context)["fingerprint"],
        data_until=f"week {frame['week'].max()}",
        data_day=context.workload.source.until,
        learned_until=f"week {weeks.LAST}",
        method=_METHOD,
        unit="cans a week",
    )
    forecasts = forecasts_of(unseen, model)
    drift = diagnostics.drift(seen(known)[:, :-1], seen(unseen)[:, :-1], SEEN[:-1])  # the last one is always 1
    found = reports.report(about, forecasts, sliced_by=SLICED_BY, baselines=list(BASELINES), drift=drift)
    reports.write(context, forecasts, found)


def forecasts_of(requests: pd.DataFrame, model: Predictor) -> pd.DataFrame:
    """What the report is made of: what was sold, the model's forecast, the naive ones, and a column for each of SLICED_BY."""
    return pd.DataFrame(
        {
            "week": requests["week"],
            "brand": np.array(BRANDS)[requests["brand"] - 1],
            "ahead": requests["ahead"].map("{} weeks".format).replace("1 weeks", "1 week"),
            "plan": np.where(cut(requests) < -OFFER, "on offer", "usual price"),
            "units": requests["units"],
            "forecast": forecast(model, requests),
            **{name: baseline(requests) for name, baseline in BASELINES.items()},
        }
    )


def last_week(requests: pd.DataFrame) -> Floats:
    """What the last known week sold."""
    past = _past(requests)
    return past[np.arange(len(past)), (~np.isnan(past)).argmax(axis=1)]


def median13(requests: pd.DataFrame) -> Floats:
    """The median of the known weeks of the quarter. The mean is a weaker opponent: offers sell up to eighty times as much."""
    return np.nanmedian(_past(requests), axis=1)


BASELINES = {"last_week": last_week, "median13": median13}


def _past(requests: pd.DataFrame) -> Floats:
    """Rows x weeks, the latest first; NaN where nothing is known."""
    past = requests[numbered("past_units", WEEKS)].to_numpy(np.float64)
    return np.where(past > 0, past, np.nan)
