"""Step `backtest`: compares the model with the baselines on the hold-out set, one to four weeks ahead.

It tests the ONNX model, because that is the model that is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.evidence import PERIOD
from workloads.training import diagnostics, reports
from workloads.training.onnx import GRAPH, Graph
from workloads.training.source import source_facts
from workloads.tuna import weeks
from workloads.tuna.features import BRANDS, OFFER, ROW_FEATURES, WEEKS, cut, numbered, row_features
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
    """Writes forecasts and report, and emits the metrics."""
    frame = pd.read_parquet(context.input(REQUESTS))
    model = Graph.load(context.input(GRAPH))
    training = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    held_out = frame[frame["week"].isin(weeks.BACKTEST)]
    about = reports.BacktestDescription(
        workload=context.workload.name,
        data=source_facts(context)["fingerprint"],
        data_until=f"week {frame['week'].max()}",
        data_day=context.workload.source.until,
        learned_until=f"week {weeks.LAST}",
        method=_METHOD,
        unit="cans a week",
    )
    forecasts = forecasts_of(held_out, model)
    drift = diagnostics.drift(
        row_features(training)[:, :-1], row_features(held_out)[:, :-1], ROW_FEATURES[:-1]
    )  # the last is always 1
    found = reports.report(about, forecasts, sliced_by=SLICED_BY, baselines=list(BASELINES), drift=drift)
    reports.write(context, forecasts, found)


def forecasts_of(requests: pd.DataFrame, model: Predictor) -> pd.DataFrame:
    """Returns the report's input: units sold, the forecasts of model and baselines, and one column per name of SLICED_BY."""
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
    """Returns the units of the last known week."""
    past = _past(requests)
    return past[np.arange(len(past)), (~np.isnan(past)).argmax(axis=1)]


def median13(requests: pd.DataFrame) -> Floats:
    """Returns the median of the quarter's known weeks. The mean is a weaker baseline: offers sell up to 80 times as much."""
    return np.nanmedian(_past(requests), axis=1)


BASELINES = {"last_week": last_week, "median13": median13}


def _past(requests: pd.DataFrame) -> Floats:
    """Returns past units as rows x weeks, the latest week first. NaN marks weeks that are not known."""
    past = requests[numbered("past_units", WEEKS)].to_numpy(np.float64)
    return np.where(past > 0, past, np.nan)
