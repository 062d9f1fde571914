"""Loads a model folder into a `Model`, or raises `ModelError` with one clear message."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import onnxruntime as ort

import workloads
from workloads.serving.errors import ModelError, RequestError
from workloads.serving.request import DTYPES, Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from workloads.serving.contract import Columns, ServingCode

RELEASE_KEYS = ("workload", "version", "run")
"""The keys that `release.json` must contain. Other keys are ignored."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Identifies the release that is served. Every answer contains it."""

    workload: str
    version: str
    run: str

    def tags(self) -> dict[str, str]:
        """Returns the identity as `meta.tags` of Seldon's protocol."""
        return {"workload": self.workload, "version": self.version, "run": self.run}

    def headers(self) -> dict[str, str]:
        """Returns the identity as HTTP headers, for programs that do not read bodies."""
        return {f"X-Model-{name.title()}": value for name, value in self.tags().items()}


class ModelInput(Protocol):
    """An input of an ONNX model."""

    name: str
    type: str
    """For example `tensor(float)`."""
    shape: Sequence[int | str | None]


class Session(Protocol):
    """The part of onnxruntime's `InferenceSession` that this module uses. The class itself has almost no type annotations."""

    def get_inputs(self) -> Sequence[ModelInput]: ...
    def run(
        self, output_names: None, input_feed: Mapping[str, npt.NDArray[np.float32]]
    ) -> Sequence[npt.NDArray[np.float32]]: ...


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded model."""

    identity: Identity
    code: ServingCode
    session: Session
    input_name: str
    """Name of the session's only input."""
    reader: Reader

    def predict(self, columns: Columns) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        """Returns the names of the answer's columns, and the rows.

        Raises:
            RequestError: the model's `serving.py` refused a value.
            ArithmeticError: the model's answer contains a value that is not finite.
        """
        try:
            features = self.code.features_of_request(columns)
        except ValueError as error:
            raise RequestError(str(error), example=self.reader.example) from error
        prediction = self.session.run(None, {self.input_name: features})[0]
        names, rows = self.code.answer(columns, prediction)
        if not np.isfinite(rows).all():
            raise ArithmeticError("the model's answer is not a finite number")
        return names, rows


def load(model: Path, release: Path) -> Model:
    """Loads the model in folder `model` with the identity in file `release`, and checks that it can predict its own example.

    Raises:
        ModelError: the model cannot be served.
    """
    identity = _identity(release)
    code = _code(model)
    session = _session(model / "model.onnx")
    for name, kind in code.REQUEST_COLUMNS.items():
        if kind not in DTYPES:
            raise ModelError(f"{model}/code: REQUEST_COLUMNS[{name!r}] is {kind!r}; it must be float, int, bool or str")
    missing = [name for name in code.REQUEST_COLUMNS if name not in code.REQUEST_EXAMPLE]
    if missing:
        raise ModelError(f"{model}/code: REQUEST_EXAMPLE lacks {', '.join(missing)}")
    loaded = Model(
        identity=identity,
        code=code,
        session=session,
        input_name=session.get_inputs()[0].name,
        reader=Reader(code.REQUEST_COLUMNS, code.REQUEST_EXAMPLE),
    )
    _verify_example(loaded, model)
    return loaded


def _verify_example(model: Model, folder: Path) -> None:
    try:
        model.predict(model.reader.example_columns)
    except Exception as error:
        raise ModelError(
            f"{folder}: code and model cannot answer the code's own REQUEST_EXAMPLE: {type(error).__name__}: {error}"
        ) from error


def _identity(release: Path) -> Identity:
    try:
        content: dict[str, Any] = json.loads(release.read_text())
        return Identity(**{key: str(content[key]) for key in RELEASE_KEYS})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f'{release} is not a release, for example {{"workload": "markdown", "version": 3, "run": "0f3c..."}}: '
            f"{type(error).__name__}: {error}"
        ) from error


def _session(path: Path) -> Session:
    """Creates a session with one thread, because workers are processes and one row is too little work for several threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = cast("Session", ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise ModelError(f"{path} is not a model that onnxruntime {ort.__version__} can load: {error}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{each.name}: {each.type}" for each in inputs)
        raise ModelError(f"{path} must have one input, a matrix of floats; found {found}")
    return session


def _code(model: Path) -> ServingCode:
    root = model / "code"
    files = sorted(root.rglob("serving.py"))
    if len(files) != 1:
        found = ", ".join(str(file.relative_to(model)) for file in files) or "none"
        raise ModelError(f"{root} must contain exactly one serving.py; found: {found}")
    sys.path.insert(0, str(root))
    if (root / "workloads").is_dir():
        # The image has its own package `workloads`, and a regular package hides all other packages of the same name.
        workloads.__path__.insert(0, str(root / "workloads"))
    name = ".".join(files[0].relative_to(root).with_suffix("").parts)
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ModelError(f"{files[0]} cannot be imported: {type(error).__name__}: {error}") from error
    required = ("REQUEST_COLUMNS", "REQUEST_EXAMPLE", "features_of_request", "answer")
    missing = [each for each in required if not hasattr(module, each)]
    if missing:
        raise ModelError(f"{files[0]} lacks {', '.join(missing)} (see workloads/serving/contract.py)")
    return cast("ServingCode", module)  # a module is an instance of the protocol; its names are checked above
