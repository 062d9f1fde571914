"""Models as ONNX graphs that the serving image's onnxruntime can load, and their comparison with the native models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from onnx import ModelProto

OPSET = {"": 17, "ai.onnx.ml": 3}
GRAPH = "model.onnx"
"""The ONNX graph in a run's folder. The back-test and the registration both use this file."""


class Predictor(Protocol):
    """A fitted scikit-learn model, or an object with the same `predict` method."""

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]: ...


class Graph:
    """An ONNX graph as a model: the input is a matrix of float32 rows, the output one number per row. Loading runs no code."""

    def __init__(self, content: bytes) -> None:
        self._session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])

    @classmethod
    def load(cls, file: Path) -> Self:
        """Loads a graph from a file."""
        return cls(file.read_bytes())

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns one number per row."""
        return np.asarray(self._session.run(None, {self._session.get_inputs()[0].name: x})[0], dtype=np.float64).ravel()


def disagreement(model: Predictor, graph: ModelProto, x: npt.NDArray[np.float32]) -> float:
    """Returns the largest difference between a model and its graph over all rows, relative to predictions larger than 1."""
    native = model.predict(x)
    converted = Graph(graph.SerializeToString()).predict(x)
    return float(np.max(np.abs(converted - native) / np.maximum(np.abs(native), 1.0)))
