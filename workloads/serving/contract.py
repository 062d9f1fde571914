"""What a served model brings along: the module that turns a request into the model's input and its output into an answer.

A model is an MLflow artifact folder: `model.onnx`, `MLmodel`, and `code/` (MLflow's `code_paths`) with exactly one file
`serving.py`, wherever in it that lies. `code/` is put on the import path, and a `code/workloads/` joins the package
`workloads`, so that what the file imports is found as in the checkout.

On the way to an answer there is no pandas: building a frame of one row costs more than all the rest of a request.
Columns are a plain dictionary of numpy arrays of one length; code written as `columns["price"]` takes a frame as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[np.generic]]
"""Request columns by name, all of one length: float64 for `float`, int64 for `int`, bool for `bool`, object for `str`."""


class ServingCode(Protocol):
    """The names that the travelling `serving.py` has to define at its top level."""

    REQUEST_COLUMNS: Mapping[str, type]
    """What a request has to hold, and nothing else: name -> `float`, `int`, `bool` or `str`."""

    REQUEST_EXAMPLE: Mapping[str, float | int | bool | str]
    """One good row. Shown in error messages and run through the model before the service says it is up."""

    def features_of_request(self, columns: Columns) -> npt.NDArray[np.float32]:
        """The matrix the ONNX model takes: a row for each of the request's.

        Raises:
            ValueError: a value is of the right type and still impossible; the message is shown to the caller.
        """
        ...

    def answer(self, columns: Columns, prediction: npt.NDArray[np.float32]) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        """Names of the answer's columns, and a row for each of the request's."""
        ...
