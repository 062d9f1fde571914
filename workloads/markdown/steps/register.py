"""Step `log`: the model in both flavours and its evidence, to the tracking server."""

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
        TrainingError: the two flavours disagree, or the tracking server refuses.
    """
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    model: Demand = joblib.load(context.folder / MODEL)
    training = json.loads((context.folder / TRAINING).read_text())
    unseen = frame[frame["week"].isin(weeks.BACKTEST)]
    trained = tracking.TrainedModel(
        model=model,
        graph=onnx.load(context.folder / GRAPH),
        agreement=AGREEMENT,
        x=matrix_of(unseen),
        code=CODE,
        held_out=held_out(unseen),
        parameters={**training["parameters"], "rows": training["rows"], "learned_until_week": weeks.LAST},
        metrics={**training["metrics"], **reports.by_slice(reports.read(context), "brand")},
        figures=_figures(context, unseen, model),
        files={PRICES: "optimise"},
    )
    tracking.log(context, trained)


def held_out(unseen: pd.DataFrame) -> dict[str, Any]:  # JSON
    """A request for one week of one store that nothing was learned from, and the ounces that were sold."""
    rows = unseen[(unseen["store"] == HELD_OUT_STORE) & (unseen["week"] == HELD_OUT_WEEK)].sort_values("brand")
    prices = [row[f"price_{row['brand']}"] for row in rows.to_dict("records")]
    labels = [f"brand {brand} at {64 * price:.2f} $ a carton" for brand, price in zip(rows["brand"], prices, strict=True)]
    describe = f"store {HELD_OUT_STORE}, week {HELD_OUT_WEEK}: ounces of orange juice sold"
    return tracking.held_out(rows, REQUEST_COLUMNS, describe=describe, labels=labels)


def _figures(context: Context, unseen: pd.DataFrame, model: Demand) -> dict[str, Figure]:
    forecasts = pd.read_parquet(context.folder / reports.FORECASTS)
    return {
        "calibration": calibration(forecasts, "ounces"),
        "error_by_brand": error_by("brand", forecasts, list(BASELINES)),
        "price_response": plots.price_response(unseen[unseen["week"] == weeks.BACKTEST.start], model),
        "earnings": plots.earnings(pd.read_parquet(context.folder / PRICES)),
    }
