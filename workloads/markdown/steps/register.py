"""Step `log`: logs the model in both flavours and its evidence to the tracking server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import onnx
import pandas as pd

from workloads.markdown import plots, weeks
from workloads.markdown.history import matrix_of
from workloads.markdown.metrics import BASELINES
from workloads.markdown.onnx_model import AGREEMENT
from workloads.markdown.serving import REQUEST_COLUMNS
from workloads.markdown.steps.assemble import ASSEMBLED
from workloads.markdown.steps.optimise import PRICES
from workloads.markdown.steps.train import MODEL, TRAINING
from workloads.training import reports, tracking
from workloads.training.onnx import GRAPH
from workloads.training.plots import calibration, error_by

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.figure import Figure

    from workloads.context import Context
    from workloads.markdown.model import Demand

CODE = tracking.Code(folder=Path(__file__).resolve().parents[1], native=("model.py",))
HELD_OUT_STORE, HELD_OUT_WEEK = 2, 160


def run(context: Context) -> None:
    """Logs the run and registers its model.

    Raises:
        TrainingError: the two flavours disagree, or the tracking server returns an error.
    """
    frame = pd.read_parquet(context.input(ASSEMBLED))
    model: Demand = joblib.load(context.input(MODEL))
    training = json.loads(context.input(TRAINING).read_text())
    backtest = frame[frame["week"].isin(weeks.BACKTEST)]
    trained = tracking.TrainedModel(
        model=model,
        graph=onnx.load(context.input(GRAPH)),
        agreement=AGREEMENT,
        x=matrix_of(backtest),
        code=CODE,
        held_out=held_out(backtest),
        parameters={**training["parameters"], "rows": training["rows"], "learned_until_week": weeks.LAST},
        metrics={**training["metrics"], **reports.by_slice(reports.read(context), "brand")},
        figures=_figures(context, backtest, model),
        files={PRICES: "optimise"},
    )
    tracking.log(context, trained)


def held_out(backtest: pd.DataFrame) -> dict[str, Any]:  # JSON
    """Returns a request for one store and one week of the hold-out set, and the ounces that were sold."""
    rows = backtest[(backtest["store"] == HELD_OUT_STORE) & (backtest["week"] == HELD_OUT_WEEK)].sort_values("brand")
    prices = [row[f"price_{row['brand']}"] for row in rows.to_dict("records")]
    labels = [f"brand {brand} at {64 * price:.2f} $ a carton" for brand, price in zip(rows["brand"], prices, strict=True)]
    describe = f"store {HELD_OUT_STORE}, week {HELD_OUT_WEEK}: ounces of orange juice sold"
    return tracking.held_out(rows, REQUEST_COLUMNS, describe=describe, labels=labels)


def _figures(context: Context, backtest: pd.DataFrame, model: Demand) -> dict[str, Figure]:
    forecasts = pd.read_parquet(context.input(reports.FORECASTS))
    return {
        "calibration": calibration(forecasts, "ounces"),
        "error_by_brand": error_by("brand", forecasts, list(BASELINES)),
        "price_response": plots.price_response(backtest[backtest["week"] == weeks.BACKTEST.start], model),
        "earnings": plots.earnings(pd.read_parquet(context.input(PRICES))),
    }
