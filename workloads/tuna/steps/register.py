"""Step `log`: the model in both flavours and its evidence, to the tracking server."""

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
        TrainingError: the two flavours disagree, or the tracking server refuses.
    """
    frame = pd.read_parquet(context.folder / REQUESTS)
    model: Ridge = joblib.load(context.folder / MODEL)
    training = json.loads((context.folder / TRAINING).read_text())
    unseen = frame[frame["week"].isin(weeks.BACKTEST)]
    forecasts = pd.read_parquet(context.folder / reports.FORECASTS)
    report = reports.read(context)
    trained = tracking.TrainedModel(
        model=model,
        graph=onnx.load(context.folder / GRAPH),
        agreement=AGREEMENT,
        x=features_of_request(unseen),
        code=CODE,
        held_out=held_out(unseen),
        parameters={**training["parameters"], "rows": training["rows"], "learned_until_week": weeks.LAST},
        metrics={**training["metrics"], **reports.by_slice(report, "brand"), **reports.by_slice(report, "ahead")},
        figures={
            "calibration": calibration(forecasts, "cans"),
            **{f"error_by_{name}": error_by(name, forecasts, list(BASELINES)) for name in ("brand", "ahead", "plan")},
        },
    )
    tracking.log(context, trained)


def held_out(unseen: pd.DataFrame) -> dict[str, Any]:  # JSON
    """A request for one week that nothing was learned from, as long ahead as can be, and the cans that were sold."""
    rows = unseen[(unseen["week"] == HELD_OUT_WEEK) & (unseen["ahead"] == HELD_OUT_AHEAD)].sort_values("brand")
    offers = np.where(cut(rows) < -OFFER, ", on offer", "")
    prices = [row[f"price_{row['brand']}"] for row in rows.to_dict("records")]
    labels = [f"{brand} at {price:.2f} ${offer}" for brand, price, offer in zip(BRANDS, prices, offers, strict=True)]
    describe = f"week {HELD_OUT_WEEK}, {HELD_OUT_AHEAD} weeks ahead: cans of tuna sold by the whole chain"
    return tracking.held_out(rows, REQUEST_COLUMNS, describe=describe, labels=labels)
