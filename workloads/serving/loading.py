"""From a model folder to something that predicts, or one clear message why not."""

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
"""What `release.json` has to say; it may say more."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which release this is. Part of every answer."""

    workload: str
    version: str
    run: str

    def tags(self) -> dict[str, str]:
        """As `meta.tags` of Seldon's protocol."""
        return {"workload": self.workload, "version": self.version, "run": self.run}

    def headers(self) -> dict[str, str]:
        """As headers, for those who do not read bodies."""
        return {f"X-Model-{name.title()}": value for name, value in self.tags().items()}


class Port(Protocol):
    """An input of an ONNX model."""

    name: str
    type: str
    """For example `tensor(float)`."""
    shape: Sequence[int | str | None]


class Session(Protocol):
    """What is used of onnxruntime's `InferenceSession`, which has hardly a type."""

    def get_inputs(self) -> Sequence[Port]: ...
    def run(
        self, output_names: None, input_feed: Mapping[str, npt.NDArray[np.float32]]
    ) -> Sequence[npt.NDArray[np.float32]]: ...


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded model."""

    identity: Identity
    code: ServingCode
    session: Session
    source: str
    """Name of the session's input."""
    reader: Reader

    def predict(self, columns: Columns) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        """The answer's names and rows.

        Raises:
            RequestError: the travelling code refused a value.
            ArithmeticError: the model's answer is not a finite number.
        """
        try:
            features = self.code.features_of_request(columns)
        except ValueError as error:
            raise RequestError(str(error), example=self.reader.example) from error
        prediction = self.session.run(None, {self.source: features})[0]
        names, rows = self.code.answer(columns, prediction)
        if not np.isfinite(rows).all():
            raise ArithmeticError("the model's answer is not a finite number")
        return names, rows


def load(model: Path, release: Path) -> Model:
    """The model in folder `model` under the identity in file `release`, tried on its example.

    Raises:
        ModelError: it cannot be served.
    """
    identity = _identity(release)
    code = _code(model)
    session = _session(model / "model.onnx")
    for name, kind in code.REQUEST_COLUMNS.items():
        if kind not in DTYPES:
            raise ModelError(f"{model}/code: REQUEST_COLUMNS[{name!r}] is {kind!r}; it can be float, int, bool or str")
    missing = [name for name in code.REQUEST_COLUMNS if name not in code.REQUEST_EXAMPLE]
    if missing:
        raise ModelError(f"{model}/code: REQUEST_EXAMPLE lacks {', '.join(missing)}")
    loaded = Model(
        identity=identity,
        code=code,
        session=session,
        source=session.get_inputs()[0].name,
        reader=Reader(code.REQUEST_COLUMNS, code.REQUEST_EXAMPLE),
    )
    _try(loaded, model)
    return loaded


def _try(model: Model, folder: Path) -> None:
    try:
        model.predict(model.reader.example_columns)
    except Exception as error:
        raise ModelError(
            f"{folder}: code and model do not answer the code's own REQUEST_EXAMPLE: {type(error).__name__}: {error}"
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
    """One thread: workers are processes, and one row is too little work to share."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = cast("Session", ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime's exceptions have no base of their own
        raise ModelError(f"{path} is not a model that onnxruntime {ort.__version__} can load: {error}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{each.name}: {each.type}" for each in inputs)
        raise ModelError(f"{path} has to take one matrix of floats; it takes {found}")
    return session


def _code(model: Path) -> ServingCode:
    root = model / "code"
    files = sorted(root.rglob("serving.py"))
    if len(files) != 1:
        found = ", ".join(str(file.relative_to(model)) for file in files) or "none"
        raise ModelError(f"{root} has to hold exactly one serving.py; found: {found}")
    sys.path.insert(0, str(root))
    if (root / "workloads").is_dir():
        # The image has a package `workloads` of its own, and a regular package hides all others of its name.
        workloads.__path__.insert(0, str(root / "workloads"))
    name = ".".join(files[0].relative_to(root).with_suffix("").parts)
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ModelError(f"{files[0]} cannot be imported: {type(error).__name__}: {error}") from error
    wanted = ("REQUEST_COLUMNS", "REQUEST_EXAMPLE", "features_of_request", "answer")
    lacking = [each for each in wanted if not hasattr(module, each)]
    if lacking:
        raise ModelError(f"{files[0]} lacks {', '.join(lacking)} (see workloads/serving/contract.py)")
    return cast("ServingCode", module)  # a module is the protocol's instance; its names were looked up above
