"""Step `train`: fits the model to weeks up to 295, and writes it as a native and as an ONNX model.

It also validates a second model on the last of those weeks. That model is fitted to the weeks before them.

The model is a ridge regression of the log of units relative to the series' level. It was chosen on five rolling origins within
weeks 174 to 295, each with a model fitted to the weeks before: its mean WAPE was 0.35. Gradient boosted trees on the same
features had 0.40, and the median of the quarter 0.56. There are few training weeks, and the effect of a price is about linear
in logs.
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
    """Fits the model and writes it in both flavours, with its hyperparameters and the validation metrics."""
    frame = pd.read_parquet(context.input(REQUESTS))
    metrics = validation_metrics(frame)
    for name, value in metrics.items():
        context.metric(name, value)
    training = frame[frame["week"].between(weeks.FIRST, weeks.LAST)]
    model = fit_model(training)
    joblib.dump(model, context.output(MODEL))
    context.output(GRAPH).write_bytes(to_onnx(model).SerializeToString())
    facts = {"parameters": {"penalty": PENALTY}, "rows": len(training), "metrics": metrics}
    context.output(TRAINING).write_text(json.dumps(facts, indent=2, sort_keys=True))


def fit_model(requests: pd.DataFrame) -> Ridge:
    """Fits a model of log(units) - level to all rows."""
    return Ridge(alpha=PENALTY).fit(features_of_request(requests), np.log(requests["units"]) - level(requests))


def forecast(model: Predictor, requests: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Returns the forecast units of each row, as the endpoint answers them."""
    _, rows = answer(requests, model.predict(features_of_request(requests)))
    return rows[:, 0]


def validation_metrics(frame: pd.DataFrame) -> dict[str, float]:
    """Returns WAPE and bias on the last weeks before the back-test, of a model that is fitted to the weeks before those."""
    model = fit_model(frame[frame["week"].between(weeks.FIRST, weeks.VALIDATION)])
    validation = frame[frame["week"].between(weeks.VALIDATION + 1, weeks.LAST)]
    actual, predicted = validation["units"].to_numpy(np.float64), forecast(model, validation)
    return {"validation_wape": wape(actual, predicted), "validation_bias": bias(actual, predicted)}
