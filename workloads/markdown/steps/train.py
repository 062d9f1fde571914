"""Step `train`: the model on weeks up to 148, native and as ONNX.

Beside it a smaller committee is validated on the last twelve of those weeks.
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
    """Fits the model and writes it in both flavours, with its settings and what validation says."""
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    validation = validated(frame)
    for name, value in validation.items():
        context.metric(name, value)
    known = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    model = fitted(known, SETTINGS)
    joblib.dump(model, context.folder / MODEL)
    (context.folder / GRAPH).write_bytes(to_onnx(model).SerializeToString())
    facts = {"parameters": SETTINGS.parameters(), "rows": len(known), "metrics": validation}
    (context.folder / TRAINING).write_text(json.dumps(facts, indent=2, sort_keys=True))


def fitted(frame: pd.DataFrame, settings: Settings) -> Demand:
    """A model fitted to all rows of `frame`."""
    return Demand(settings).fit(matrix_of(frame), frame["units"].to_numpy(np.float64), frame["week"].to_numpy(np.int64))


def validated(frame: pd.DataFrame) -> dict[str, float]:
    """Errors in the last weeks before the back-test of a committee that has not seen them."""
    start = weeks.LAST - weeks.VALIDATION
    settings = Settings(**{**SETTINGS.parameters(), "members": VALIDATION_MEMBERS})  # pyright: ignore[reportArgumentType] its own fields
    model = fitted(frame[frame["week"].between(weeks.FIRST, start)], settings)
    unseen = frame[frame["week"].between(start + 1, weeks.LAST)]
    actual = unseen["units"].to_numpy(np.float64)
    forecast = model.predict(matrix_of(unseen))
    return {"validation_wape": wape(actual, forecast), "validation_bias": bias(actual, forecast)}
