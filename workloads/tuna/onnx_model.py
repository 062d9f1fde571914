"""Converts the model to an ONNX graph. Input: float32 rows of `features.FEATURES`. Output: log of units minus the level."""

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
"""Largest allowed difference to the native model on any row. It differs because ONNX uses float32 sums."""


def to_onnx(model: Ridge) -> ModelProto:
    """Returns the graph."""
    features, uplift = FloatTensorType([None, len(FEATURES)]), FloatTensorType([None, 1])
    names = {"initial_types": [("features", features)], "final_types": [("uplift", uplift)]}
    return cast(
        "ModelProto", convert_sklearn(model, **names, target_opset=OPSET)
    )  # for a complete model it returns no other type
