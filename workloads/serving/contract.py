"""The contract of a served model: the module that computes the model's input from a request, and the answer from its output.

A model is an MLflow artifact folder with `model.onnx`, `MLmodel` and `code/` (MLflow's `code_paths`). `code/` contains exactly
one file called `serving.py`, in any subfolder. The service puts `code/` on the import path and adds `code/workloads/` to the
package `workloads`, so the imports of `serving.py` work as in the checkout.

Requests are not converted to pandas: to build a data frame of one row takes longer than the rest of a request. Columns are a
plain dictionary of numpy arrays of equal length. Code like `columns["price"]` works with a data frame, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[np.generic]]
"""Request columns by name, of equal length: float64 for `float`, int64 for `int`, bool for `bool`, object for `str`."""


class ServingCode(Protocol):
    """The names that a model's `serving.py` must define at its top level."""

    REQUEST_COLUMNS: Mapping[str, type]
    """The columns of a request: name -> `float`, `int`, `bool` or `str`. All are required, and others are refused."""

    REQUEST_EXAMPLE: Mapping[str, float | int | bool | str]
    """One valid row. Error messages show it, and the service predicts it at start before it reports that it is ready."""

    def features_of_request(self, columns: Columns) -> npt.NDArray[np.float32]:
        """Returns the input of the ONNX model: a matrix with one row per row of the request.

        Raises:
            ValueError: a value has the right type but is invalid. The message is shown to the caller.
        """
        ...

    def answer(self, columns: Columns, prediction: npt.NDArray[np.float32]) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        """Returns the names of the answer's columns, and one row per row of the request."""
        ...
