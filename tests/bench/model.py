"""One model for every server that is measured, made in the training environment: `python -m tests.bench.model FOLDER`.

Two hundred trees, the size of the markdown model, on the features of the markdown workload. Our service is asked as callers
ask it and computes the features itself, with the workload's own code; the others are given them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import joblib
import mlflow.sklearn
import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingRegressor

from workloads.markdown import features, serving

ROWS = 4_000


def write(folder: Path) -> None:
    """`request.json` and `features.json` to ask with, and `seldon/`, `mlflow/` and `mlserver/`, as each server wants it."""
    names, values = list(serving.REQUEST_EXAMPLE), list(serving.REQUEST_EXAMPLE.values())
    columns = {name: np.array([value]) for name, value in serving.REQUEST_EXAMPLE.items()}
    row = np.nan_to_num(serving.features_of_request(columns))  # JSON has no NaN
    (folder / "request.json").write_text(json.dumps({"data": {"names": names, "ndarray": [values]}}))
    (folder / "features.json").write_text(json.dumps(row.tolist()))

    random = np.random.default_rng(0)
    inputs = (row + random.normal(0, 1, (ROWS, row.shape[1]))).astype(np.float32)
    units = inputs @ random.random(row.shape[1]) + np.sin(inputs[:, 0] * 9)
    model = HistGradientBoostingRegressor(max_iter=200, early_stopping=False, random_state=0).fit(inputs, units)

    code = folder / "seldon" / "model" / "code" / "workloads" / "markdown"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    for module in (features, serving):
        shutil.copy(str(module.__file__), code)
    (folder / "seldon" / "model" / "model.onnx").write_bytes(to_onnx(model, inputs[:1]).SerializeToString())
    (folder / "seldon" / "release.json").write_text(json.dumps({"workload": "bench", "version": 1, "run": "0f" * 16}))

    mlflow.sklearn.save_model(model, folder / "mlflow", serialization_format="cloudpickle", pip_requirements=[])

    (folder / "mlserver").mkdir()
    joblib.dump(model, folder / "mlserver" / "model.joblib")
    settings = {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
