"""Step `train`: fits the model to weeks up to 148, and writes it as a native and as an ONNX model.

It also validates a smaller ensemble on the last twelve of those weeks. That ensemble is fitted to the weeks before them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd

from workloads.markdown import weeks
from workloads.markdown.history import matrix_of
from workloads.markdown.model import Demand, Settings
from workloads.markdown.onnx_model import to_onnx
from workloads.markdown.steps.assemble import ASSEMBLED
from workloads.training.metrics import bias, wape
from workloads.training.onnx import GRAPH

if TYPE_CHECKING:
    from workloads.context import Context

MODEL = "model.joblib"
TRAINING = "training.json"
SETTINGS = Settings()
VALIDATION_MEMBERS = 4


def run(context: Context) -> None:
    """Fits the model and writes it in both flavours, with its hyperparameters and the validation metrics."""
    frame = pd.read_parquet(context.input(ASSEMBLED))
    validation = validation_metrics(frame)
    for name, value in validation.items():
        context.metric(name, value)
    training = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    model = fit_model(training, SETTINGS)
    joblib.dump(model, context.output(MODEL))
    context.output(GRAPH).write_bytes(to_onnx(model).SerializeToString())
    facts = {"parameters": SETTINGS.parameters(), "rows": len(training), "metrics": validation}
    context.output(TRAINING).write_text(json.dumps(facts, indent=2, sort_keys=True))


def fit_model(frame: pd.DataFrame, settings: Settings) -> Demand:
    """Fits a model to all rows of `frame`."""
    return Demand(settings).fit(matrix_of(frame), frame["units"].to_numpy(np.float64), frame["week"].to_numpy(np.int64))


def validation_metrics(frame: pd.DataFrame) -> dict[str, float]:
    """Returns WAPE and bias on the last weeks before the back-test, of an ensemble that is fitted to the weeks before those."""
    start = weeks.LAST - weeks.VALIDATION
    settings = Settings(**{**SETTINGS.parameters(), "members": VALIDATION_MEMBERS})  # pyright: ignore[reportArgumentType] the fields of Settings
    model = fit_model(frame[frame["week"].between(weeks.FIRST, start)], settings)
    validation = frame[frame["week"].between(start + 1, weeks.LAST)]
    actual = validation["units"].to_numpy(np.float64)
    forecast = model.predict(matrix_of(validation))
    return {"validation_wape": wape(actual, forecast), "validation_bias": bias(actual, forecast)}
