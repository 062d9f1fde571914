"""Logs a run to the tracking server: the model in both flavours, the evidence, and the facts that make them traceable."""

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
from workloads.training import registration, reports
from workloads.training.onnx import disagreement
from workloads.training.reports import FORECASTS, REPORT
from workloads.training.source import FACTS, source_facts
from workloads.training_run import RUN_TAG, UNKNOWN

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
    """The code files of a workload that are stored with its registered model."""

    folder: Path
    served: tuple[str, ...] = ("features.py", "serving.py")
    """Files stored with the ONNX model: the code from a request to the model's input, and from its output to an answer."""
    native: tuple[str, ...] = ()
    """Additional files stored with the native model, which it needs when it is loaded."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The results of a run that `log` needs. Source facts and back-test are not among them: they are in the run's folder."""

    model: Predictor
    graph: ModelProto
    """The same model as ONNX."""
    agreement: float
    """Largest allowed difference between the two models: see `workloads.training.onnx.disagreement`."""
    x: npt.NDArray[np.float32]
    """The model's input for all rows of the back-test."""
    code: Code
    held_out: Mapping[str, Any]  # JSON
    """An example request of the hold-out set: see `held_out`."""
    parameters: Mapping[str, int | float | str]
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metrics in addition to those of the report."""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, "Figure"])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Additional files of the run's folder to log, each with its artifact folder."""


def log(context: Context, trained: TrainedModel) -> None:
    """Logs the run and registers its ONNX model under the workload's name, unless an earlier attempt has registered it.

    The model is registered after everything else is logged. So a registered version is always complete.

    Raises:
        TrainingError: the two flavours disagree, or the tracking server returns an error.
    """
    difference = disagreement(trained.model, trained.graph, trained.x)
    if difference > trained.agreement:
        allowed = f"at most {trained.agreement:g} is allowed"
        msg = f"the ONNX model differs from the native model by {difference:.2g} of a prediction; {allowed}"
        raise TrainingError(msg)
    try:
        registered = registration.registered(context)
        if registered is None:
            mlflow.set_experiment(context.workload.name)
            with mlflow.start_run(tags=_tags(context)) as active:
                _log_facts(context, trained, difference)
                for name, figure in trained.figures.items():
                    mlflow.log_figure(figure, f"plots/{name}.png")
                    plt.close(figure)
                mlflow.log_dict(dict(trained.held_out), "held_out.json")
                model = _log_models(trained)
            registered = registration.register(context, model, active.info.run_id)
    except mlflow.MlflowException as error:
        msg = f"the tracking server {mlflow.get_tracking_uri()} returned an error: {error}"
        raise TrainingError(msg) from error
    context.emit("registered", model=context.workload.name, version=registered.version, run=registered.run)


def held_out(
    rows: pd.DataFrame, columns: Mapping[str, type], *, describe: str, labels: Iterable[str]
) -> dict[str, Any]:  # JSON
    """Returns a request from the hold-out set, with the actual sales.

    Args:
        rows: the request's columns, and `units` (sold).
        columns: names and types as in `workloads.serving.contract.ServingCode.REQUEST_COLUMNS`.
        describe: a description of the request.
        labels: a label for each row.
    """
    records = [[kind(row[name]) for name, kind in columns.items()] for row in rows.to_dict("records")]
    return {
        "describe": describe,
        "labels": list(labels),
        "request": {"data": {"names": list(columns), "ndarray": records}},
        "actual": [round(float(units), 1) for units in rows["units"]],
    }


def requirements(packages: Sequence[str]) -> list[str]:
    """Returns the packages with the versions that are installed here."""
    return [f"{package}=={metadata.version(package)}" for package in packages]


def _tags(context: Context) -> dict[str, str]:
    return {
        RUN_TAG: context.run.id,
        "modelstack.purpose": context.run.purpose,
        "modelstack.workload": context.workload.name,
        "modelstack.data": source_facts(context)["fingerprint"],
        "modelstack.revision": context.run.revision,
        "modelstack.trainer": context.run.trainer,
        "modelstack.image": context.run.inputs.image,
        **({"modelstack.code": context.run.inputs.code} if context.run.inputs.code != UNKNOWN else {}),
        "modelstack.report": digest(context.input(REPORT).read_bytes()),
    }


def log_evidence(context: Context) -> None:
    """Logs the report, the forecasts, the metrics and the gate's findings to the active run."""
    report = reports.read(context)
    mlflow.log_metrics(report.metrics)
    for file in (REPORT, FORECASTS):
        mlflow.log_artifact(str(context.input(file)), "backtest")
    _log_findings(context, report)


def _log_facts(context: Context, trained: TrainedModel, difference: float) -> None:
    inputs = context.run.inputs
    traces = {"data": source_facts(context)["fingerprint"], "revision": context.run.revision, "image": inputs.image}
    mlflow.log_params({**trained.parameters, **traces})
    mlflow.log_metrics({**trained.metrics, "onnx_difference": difference})
    log_evidence(context)
    files = {FACTS: "data", **trained.files}
    for file, folder in files.items():
        mlflow.log_artifact(str(context.input(file)), folder)
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
    """Returns the name and version of every installed Python package."""
    return "".join(sorted({f"{package.name}=={package.version}\n" for package in metadata.distributions()}, key=str.lower))


def _log_models(trained: TrainedModel) -> str:
    """Logs both flavours and returns the address of the ONNX model."""
    example, code = trained.x[:EXAMPLE_ROWS], trained.code
    predicted = trained.model.predict(example)
    with warnings.catch_warnings():
        # MLflow warns that a pickle runs code when it is loaded. Therefore the registered model is the ONNX model.
        warnings.simplefilter("ignore")
        with _code_package(code.folder, (*code.served, *code.native)) as package:
            mlflow.sklearn.log_model(
                trained.model,
                name=NATIVE,
                serialization_format="cloudpickle",
                signature=infer_signature(example, predicted),
                input_example=example,
                code_paths=[str(package)],
                pip_requirements=requirements(NATIVE_PACKAGES),
            )
        with _code_package(code.folder, code.served) as package:
            logged = mlflow.onnx.log_model(
                trained.graph,
                name=ONNX,
                signature=infer_signature(example, predicted.astype(np.float32)[:, None]),
                input_example=example,
                code_paths=[str(package)],
                pip_requirements=requirements(SERVING_PACKAGES),
                save_as_external_data=False,
            )
    return str(logged.model_uri)


@contextlib.contextmanager
def _code_package(folder: Path, files: Sequence[str]) -> Generator[Path]:
    """Copies only these files into a package `workloads.<name>`. The copy is deleted when the context ends."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "workloads"
        subpackage = package / folder.name
        subpackage.mkdir(parents=True)
        shutil.copy(folder.parent / "__init__.py", package)
        for file in ("__init__.py", *files):
            shutil.copy(folder / file, subpackage)
        yield package
