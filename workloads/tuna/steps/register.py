"""Step `log`: logs the model in both flavours and its evidence to the tracking server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import onnx
import pandas as pd

from workloads.training import reports, tracking
from workloads.training.onnx import GRAPH
from workloads.training.plots import calibration, error_by
from workloads.tuna import weeks
from workloads.tuna.features import BRANDS, OFFER, cut
from workloads.tuna.onnx_model import AGREEMENT
from workloads.tuna.serving import REQUEST_COLUMNS, features_of_request
from workloads.tuna.steps.backtest import BASELINES
from workloads.tuna.steps.history import REQUESTS
from workloads.tuna.steps.train import MODEL, TRAINING

if TYPE_CHECKING:
    from typing import Any

    from sklearn.linear_model import Ridge

    from workloads.context import Context

CODE = tracking.Code(folder=Path(__file__).resolve().parents[1])
HELD_OUT_WEEK, HELD_OUT_AHEAD = 398, 4


def run(context: Context) -> None:
    """Logs the run and registers its model.

    Raises:
        TrainingError: the two flavours disagree, or the tracking server returns an error.
    """
    frame = pd.read_parquet(context.input(REQUESTS))
    model: Ridge = joblib.load(context.input(MODEL))
    training = json.loads(context.input(TRAINING).read_text())
    backtest = frame[frame["week"].isin(weeks.BACKTEST)]
    forecasts = pd.read_parquet(context.input(reports.FORECASTS))
    report = reports.read(context)
    trained = tracking.TrainedModel(
        model=model,
        graph=onnx.load(context.input(GRAPH)),
        agreement=AGREEMENT,
        x=features_of_request(backtest),
        code=CODE,
        held_out=held_out(backtest),
        parameters={**training["parameters"], "rows": training["rows"], "learned_until_week": weeks.LAST},
        metrics={**training["metrics"], **reports.by_slice(report, "brand"), **reports.by_slice(report, "ahead")},
        figures={
            "calibration": calibration(forecasts, "cans"),
            **{f"error_by_{name}": error_by(name, forecasts, list(BASELINES)) for name in ("brand", "ahead", "plan")},
        },
    )
    tracking.log(context, trained)


def held_out(backtest: pd.DataFrame) -> dict[str, Any]:  # JSON
    """Returns a request for one week of the hold-out set, with the longest lead time, and the cans that were sold."""
    rows = backtest[(backtest["week"] == HELD_OUT_WEEK) & (backtest["ahead"] == HELD_OUT_AHEAD)].sort_values("brand")
    offers = np.where(cut(rows) < -OFFER, ", on offer", "")
    prices = [row[f"price_{row['brand']}"] for row in rows.to_dict("records")]
    labels = [f"{brand} at {price:.2f} ${offer}" for brand, price, offer in zip(BRANDS, prices, offers, strict=True)]
    describe = f"week {HELD_OUT_WEEK}, {HELD_OUT_AHEAD} weeks ahead: cans of tuna sold by the whole chain"
    return tracking.held_out(rows, REQUEST_COLUMNS, describe=describe, labels=labels)
