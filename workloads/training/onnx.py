"""Models as ONNX graphs that the serving image's onnxruntime can load, and whether they still are the same models."""

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
"""In a run's folder: the graph that is back-tested and registered, and no other."""


class Predictor(Protocol):
    """A fitted model of scikit-learn, or one that acts like it."""

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]: ...


class Graph:
    """A graph as a model: one input of float32 rows, one output of a number for each. Loading it runs no code."""

    def __init__(self, content: bytes) -> None:
        self._session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The one in a run's folder."""
        return cls((folder / GRAPH).read_bytes())

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """A number for each row."""
        return np.asarray(self._session.run(None, {self._session.get_inputs()[0].name: x})[0], dtype=np.float64).ravel()


def disagreement(model: Predictor, graph: ModelProto, x: npt.NDArray[np.float32]) -> float:
    """The largest difference between a model and its graph on any row, as a share of the prediction where that is above 1."""
    native = model.predict(x)
    converted = Graph(graph.SerializeToString()).predict(x)
    return float(np.max(np.abs(converted - native) / np.maximum(np.abs(native), 1.0)))
