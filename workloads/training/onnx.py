"""Models as ONNX graphs that the serving image's onnxruntime can load, and whether they still are the same models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto

OPSET = {"": 17, "ai.onnx.ml": 3}


class Predictor(Protocol):
    """A fitted model of scikit-learn, or one that acts like it."""

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]: ...


def disagreement(model: Predictor, graph: ModelProto, x: npt.NDArray[np.float32]) -> float:
    """The largest difference between a model and its graph on any row, as a share of the prediction where that is above 1."""
    native = model.predict(x)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    converted = np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0], dtype=np.float64).ravel()
    return float(np.max(np.abs(converted - native) / np.maximum(np.abs(native), 1.0)))
