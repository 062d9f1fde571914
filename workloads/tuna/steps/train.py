"""Step `train`: the model on weeks up to 295, native and as ONNX.

Beside it one that has not seen the last of those weeks is tried on them.

A ridge regression of the log of units over the series' level. Chosen on five windows within weeks 174 to 295, each with a model
of the weeks before: a mean error of 0.35 of the units, where gradient boosted trees on the same features had 0.40 and the
median of the quarter 0.56. There are few weeks to learn from, and what a price does is about linear in logs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from workloads.training.metrics import bias, wape
from workloads.training.onnx import GRAPH
from workloads.tuna import weeks
from workloads.tuna.features import level
from workloads.tuna.onnx_model import to_onnx
from workloads.tuna.serving import answer, features_of_request
from workloads.tuna.steps.history import REQUESTS

if TYPE_CHECKING:
    import numpy.typing as npt

    from workloads.context import Context
    from workloads.training.onnx import Predictor

MODEL = "model.joblib"
TRAINING = "training.json"
PENALTY = 10.0


def run(context: Context) -> None:
    """Fits the model and writes it in both flavours, with its settings and what validation says."""
    frame = pd.read_parquet(context.folder / REQUESTS)
    metrics = validated(frame)
    for name, value in metrics.items():
        context.metric(name, value)
    known = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    model = fitted(known)
    joblib.dump(model, context.folder / MODEL)
    (context.folder / GRAPH).write_bytes(to_onnx(model).SerializeToString())
    facts = {"parameters": {"penalty": PENALTY}, "rows": len(known), "metrics": metrics}
    (context.folder / TRAINING).write_text(json.dumps(facts, indent=2, sort_keys=True))


def fitted(requests: pd.DataFrame) -> Ridge:
    """A model fitted to all rows: log of units over the level."""
    return Ridge(alpha=PENALTY).fit(features_of_request(requests), np.log(requests["units"]) - level(requests))


def forecast(model: Predictor, requests: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Units for each row, as the endpoint answers them."""
    _, rows = answer(requests, model.predict(features_of_request(requests)))
    return rows[:, 0]


def validated(frame: pd.DataFrame) -> dict[str, float]:
    """Errors in the last weeks before the back-test of a model that has not seen them."""
    model = fitted(frame[frame["week"].between(weeks.FIRST, weeks.VALIDATION)])
    unseen = frame[frame["week"].between(weeks.VALIDATION + 1, weeks.LAST)]
    actual, found = unseen["units"].to_numpy(np.float64), forecast(model, unseen)
    return {"validation_wape": wape(actual, found), "validation_bias": bias(actual, found)}
