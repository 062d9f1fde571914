"""The model as an ONNX graph: one input, float32 rows of `features.FEATURES`; one output, the log of units over the level."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from workloads.training.onnx import OPSET
from workloads.tuna.features import FEATURES

if TYPE_CHECKING:
    from onnx import ModelProto
    from sklearn.linear_model import Ridge

AGREEMENT = 1e-5
"""Largest difference to the native model on any row: float32 sums."""


def to_onnx(model: Ridge) -> ModelProto:
    """The graph."""
    takes, gives = FloatTensorType([None, len(FEATURES)]), FloatTensorType([None, 1])
    names = {"initial_types": [("features", takes)], "final_types": [("uplift", gives)]}
    return cast("ModelProto", convert_sklearn(model, **names, target_opset=OPSET))  # of a whole model it gives no other kind
