"""One model for every server that is measured, made in the training environment: `python -m tests.bench.model FOLDER`.

Two hundred trees on twelve features, of the kind and size of the markdown model, as ONNX for our service and as scikit-learn
for the others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WIDTH = 12
NAMES = [f"feature_{index}" for index in range(WIDTH)]
ROW = [0.5 + index / 100 for index in range(WIDTH)]
CODE = f"""
import numpy as np

REQUEST_COLUMNS = dict.fromkeys({NAMES!r}, float)
REQUEST_EXAMPLE = dict(zip({NAMES!r}, {ROW!r}))

def features_of_request(columns):
    return np.column_stack([columns[name] for name in REQUEST_COLUMNS]).astype(np.float32)

def answer(columns, prediction):
    return ["units"], prediction.reshape(-1, 1).astype(np.float64)
"""


def write(folder: Path) -> None:
    """`seldon/`, `mlflow/` and `mlserver/` in `folder`, each as its server wants it."""
    import joblib  # noqa: PLC0415 - of the training environment; the names above are used outside it
    import mlflow.sklearn  # noqa: PLC0415 - as above
    import numpy as np  # noqa: PLC0415 - as above
    from skl2onnx import to_onnx  # noqa: PLC0415 - as above
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 - as above

    random = np.random.default_rng(0)
    features = random.random((20_000, WIDTH)).astype(np.float32)
    units = features @ random.random(WIDTH) + np.sin(features[:, 0] * 9) + random.normal(0, 0.1, len(features))
    model = HistGradientBoostingRegressor(max_iter=200, early_stopping=False, random_state=0).fit(features, units)

    (folder / "seldon" / "model" / "code").mkdir(parents=True)
    (folder / "seldon" / "model" / "code" / "serving.py").write_text(CODE)
    (folder / "seldon" / "model" / "model.onnx").write_bytes(to_onnx(model, features[:1]).SerializeToString())
    (folder / "seldon" / "release.json").write_text(json.dumps({"workload": "bench", "version": 1, "run": "0f" * 16}))

    mlflow.sklearn.save_model(model, folder / "mlflow", serialization_format="cloudpickle", pip_requirements=[])

    (folder / "mlserver").mkdir()
    joblib.dump(model, folder / "mlserver" / "model.joblib")
    settings = {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
