"""Converts the model to an ONNX graph. Its input is float32 rows of `features.FEATURES`, its output is ounces."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import VotingRegressor

from workloads.markdown.features import FEATURES
from workloads.markdown.model import LEVEL_COLUMNS, SPLIT_COLUMNS, Demand
from workloads.training.onnx import OPSET

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT, OUTPUT = "features", "units"
AGREEMENT = 1e-3
"""Largest allowed relative difference to the native model on any row. The cause is ONNX's float32 sums and thresholds."""


def to_onnx(model: Demand) -> ModelProto:
    """Returns the graph: exp(mean of the trees + mean of the levels). skl2onnx converts the trees."""
    ensemble = VotingRegressor([(f"member-{number}", member) for number, member in enumerate(model.members_)])
    ensemble.estimators_ = model.members_
    trees = convert_sklearn(ensemble, initial_types=[("seen", FloatTensorType([None, len(SPLIT_COLUMNS)]))], target_opset=OPSET)
    graph = trees.graph
    shares = Counter(model.level_of(number) for number in range(len(model.members_)))
    weights = np.zeros((len(FEATURES), 1), dtype=np.float32)
    for column in LEVEL_COLUMNS:
        weights[column] = shares[column] / len(model.members_)
    used = [column for column in LEVEL_COLUMNS if shares[column]]
    constants = {
        "seen_columns": np.array(SPLIT_COLUMNS, dtype=np.int64),
        "level_columns": np.array(used, dtype=np.int64),
        "level_weights": weights[used],
    }
    before = [helper.make_node("Gather", [INPUT, "seen_columns"], ["seen"], axis=1)]
    after = [
        # Only the columns of levels: other features may be NaN, and NaN times zero is NaN.
        helper.make_node("Gather", [INPUT, "level_columns"], ["levels"], axis=1),
        helper.make_node("MatMul", ["levels", "level_weights"], ["level_mean"]),
        helper.make_node("Add", [graph.output[0].name, "level_mean"], ["log_units"]),
        helper.make_node("Exp", ["log_units"], [OUTPUT]),
    ]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        "demand",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        [*graph.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    built = helper.make_model(whole, opset_imports=trees.opset_import, ir_version=trees.ir_version, producer_name="modelstack")
    onnx.checker.check_model(built)
    return built
