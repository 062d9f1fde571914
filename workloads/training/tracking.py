"""Logs what a run has made to the tracking server: the model in both flavours, the evidence, and what traces them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import mlflow
import numpy as np
from mlflow.models import infer_signature

from workloads.context import TrainingError
from workloads.evidence import digest
from workloads.training import reports
from workloads.training.onnx import disagreement
from workloads.training.reports import FORECASTS, REPORT
from workloads.training.source import FACTS, facts_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.figure import Figure
    from onnx import ModelProto

    from workloads.context import Context
    from workloads.evidence import Report
    from workloads.training.onnx import Predictor

NATIVE, ONNX = "model", "model-onnx"
SERVING_PACKAGES = ("numpy", "onnxruntime")
NATIVE_PACKAGES = ("numpy", "scikit-learn", "joblib", "cloudpickle")
EXAMPLE_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Code:
    """The files of a workload's folder that travel with its model."""

    folder: Path
    served: tuple[str, ...] = ("features.py", "serving.py")
    """With the ONNX model: what turns a request into the model's input, and its output into an answer."""
    native: tuple[str, ...] = ()
    """Besides, with the native one: what it needs to be loaded."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What a run has made, beside source and back-test, which are in its folder."""

    model: Predictor
    graph: ModelProto
    """The same model as ONNX."""
    agreement: float
    """The largest difference between the two that is allowed: see `workloads.training.onnx.disagreement`."""
    x: npt.NDArray[np.float32]
    """The model's input for all rows of the back-test."""
    code: Code
    held_out: Mapping[str, Any]  # JSON
    """See `held_out`."""
    parameters: Mapping[str, int | float | str]
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """Beside those of the report."""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, "Figure"])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other files of the run's folder that are kept, and the artifact folder of each."""


def log(context: Context, trained: TrainedModel) -> None:
    """Logs the run and registers its ONNX model under the workload's name.

    Raises:
        TrainingError: the two flavours disagree, or the tracking server refuses.
    """
    difference = disagreement(trained.model, trained.graph, trained.x)
    if difference > trained.agreement:
        msg = f"the ONNX model differs from the native one by {difference:.2g} of a prediction, more than {trained.agreement:g}"
        raise TrainingError(msg)
    try:
        mlflow.set_experiment(context.workload.name)
        with mlflow.start_run(tags=_tags(context)) as active:
            _log_facts(context, trained, difference)
            for name, figure in trained.figures.items():
                mlflow.log_figure(figure, f"plots/{name}.png")
                plt.close(figure)
            mlflow.log_dict(dict(trained.held_out), "held_out.json")
            version = _log_models(context, trained)
    except mlflow.MlflowException as error:
        msg = f"the tracking server {mlflow.get_tracking_uri()} refuses: {error}"
        raise TrainingError(msg) from error
    context.emit("registered", model=context.workload.name, version=version, run=active.info.run_id)


def held_out(
    rows: pd.DataFrame, columns: Mapping[str, type], *, describe: str, labels: Iterable[str]
) -> dict[str, Any]:  # JSON
    """A request that nothing was learned from, and what was sold.

    Args:
        rows: the request's columns, and `units`.
        columns: as in `workloads.serving.contract.ServingCode.REQUEST_COLUMNS`.
        describe: what the request is about.
        labels: what each row is about.
    """
    records = [[kind(row[name]) for name, kind in columns.items()] for row in rows.to_dict("records")]
    return {
        "describe": describe,
        "labels": list(labels),
        "request": {"data": {"names": list(columns), "ndarray": records}},
        "actual": [round(float(units), 1) for units in rows["units"]],
    }


def requirements(packages: Sequence[str]) -> list[str]:
    """The packages as they are installed here."""
    return [f"{package}=={metadata.version(package)}" for package in packages]


def _tags(context: Context) -> dict[str, str]:
    return {
        "modelstack.workload": context.workload.name,
        "modelstack.data": facts_of(context)["fingerprint"],
        "modelstack.revision": context.revision,
        "modelstack.trainer": context.trainer,
        "modelstack.image": context.image,
        "modelstack.report": digest((context.folder / REPORT).read_bytes()),
    }


def log_evidence(context: Context) -> None:
    """Logs report, forecasts, metrics and what the gate says of them to the active run."""
    report = reports.read(context)
    mlflow.log_metrics(report.metrics)
    for file in (REPORT, FORECASTS):
        mlflow.log_artifact(str(context.folder / file), "backtest")
    _log_findings(context, report)


def _log_facts(context: Context, trained: TrainedModel, difference: float) -> None:
    traced = {"data": facts_of(context)["fingerprint"], "revision": context.revision, "image": context.image}
    mlflow.log_params({**trained.parameters, **traced})
    mlflow.log_metrics({**trained.metrics, "onnx_difference": difference})
    log_evidence(context)
    files = {FACTS: "data", **trained.files}
    for file, folder in files.items():
        mlflow.log_artifact(str(context.folder / file), folder)
    mlflow.log_text(_environment(), "environment/requirements.txt")
    lock = Path(__file__).resolve().parents[2] / "uv.lock"
    if lock.is_file():
        mlflow.log_artifact(str(lock), "environment")


def _log_findings(context: Context, report: Report) -> None:
    findings = context.workload.gate.check(report.metrics, age=report.age(datetime.now(UTC).date()))
    mlflow.log_dict({"findings": [finding.model_dump() for finding in findings]}, "backtest/gate.json")
    for finding in findings:
        if not finding.passed:
            print(f"warning: the gate of {context.workload.name} would refuse this version: {finding}")


def _environment() -> str:
    """Every package of this environment, with its version."""
    return "".join(sorted({f"{found.name}=={found.version}\n" for found in metadata.distributions()}, key=str.lower))


def _log_models(context: Context, trained: TrainedModel) -> int:
    example, code = trained.x[:EXAMPLE_ROWS], trained.code
    predicted = trained.model.predict(example)
    with warnings.catch_warnings():
        # MLflow warns that pickles run code when loaded. It is true: the registered model is the other one.
        warnings.simplefilter("ignore")
        with _packed(code.folder, (*code.served, *code.native)) as package:
            mlflow.sklearn.log_model(
                trained.model,
                name=NATIVE,
                serialization_format="cloudpickle",
                signature=infer_signature(example, predicted),
                input_example=example,
                code_paths=[str(package)],
                pip_requirements=requirements(NATIVE_PACKAGES),
            )
        with _packed(code.folder, code.served) as package:
            logged = mlflow.onnx.log_model(
                trained.graph,
                name=ONNX,
                signature=infer_signature(example, predicted.astype(np.float32)[:, None]),
                input_example=example,
                code_paths=[str(package)],
                pip_requirements=requirements(SERVING_PACKAGES),
                save_as_external_data=False,
                registered_model_name=context.workload.name,
            )
    return int(logged.registered_model_version or 0)


@contextlib.contextmanager
def _packed(folder: Path, files: Sequence[str]) -> Generator[Path]:
    """A package `workloads.<name>` with these files alone, in a folder that lasts as long as the context."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "workloads"
        inside = package / folder.name
        inside.mkdir(parents=True)
        shutil.copy(folder.parent / "__init__.py", package)
        for file in ("__init__.py", *files):
            shutil.copy(folder / file, inside)
        yield package
