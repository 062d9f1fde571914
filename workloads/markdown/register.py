"""Step `log`: the model in both flavours, the evidence and everything needed to trace them, to the tracking server."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import onnxruntime as ort
import pandas as pd
from mlflow.models import infer_signature

from workloads.evidence import digest, parse
from workloads.markdown import plots, weeks
from workloads.markdown.assemble import ASSEMBLED
from workloads.markdown.backtest import FORECASTS, REPORT
from workloads.markdown.history import matrix_of
from workloads.markdown.onnx_model import AGREEMENT, to_onnx
from workloads.markdown.optimise import PRICES
from workloads.markdown.serving import REQUEST_COLUMNS
from workloads.markdown.source import FACTS
from workloads.markdown.train import MODEL, TRAINING
from workloads.run import TrainingError

if TYPE_CHECKING:
    from collections.abc import Generator

    from onnx import ModelProto

    from workloads.markdown.model import Demand
    from workloads.run import Context

NATIVE, ONNX = "model", "model-onnx"
TRAVELS = ("features.py", "serving.py")
"""Code that is served with the ONNX model."""
NEEDED_BY_NATIVE = (*TRAVELS, "model.py")
SERVING_PACKAGES = ("numpy", "onnxruntime")
NATIVE_PACKAGES = ("numpy", "scikit-learn", "joblib", "cloudpickle")
EXAMPLE_ROWS = 3
HELD_OUT_STORE, HELD_OUT_WEEK = 2, 160


def run(context: Context) -> None:
    """Logs the run and registers its ONNX model under the workload's name.

    Raises:
        TrainingError: the two flavours disagree, or the tracking server refuses.
    """
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    model: Demand = joblib.load(context.folder / MODEL)
    unseen = frame[frame["week"].isin(weeks.BACKTEST)]
    graph = to_onnx(model)
    difference = disagreement(model, graph, matrix_of(unseen))
    if difference > AGREEMENT:
        msg = f"the ONNX model differs from the native one by {difference:.2g} of a prediction, more than {AGREEMENT:g}"
        raise TrainingError(msg)
    try:
        mlflow.set_experiment(context.workload.name)
        with mlflow.start_run(tags=_tags(context)) as active:
            _log_facts(context, difference)
            _log_figures(context, unseen, model)
            mlflow.log_dict(held_out(unseen), "held_out.json")
            version = _log_models(context, model, graph, matrix_of(unseen)[:EXAMPLE_ROWS])
    except mlflow.MlflowException as error:
        msg = f"the tracking server {mlflow.get_tracking_uri()} refuses: {error}"
        raise TrainingError(msg) from error
    context.report("registered", model=context.workload.name, version=version, run=active.info.run_id)


def disagreement(model: Demand, graph: ModelProto, x: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """The largest difference between the two, as a share of the native prediction."""
    native = model.predict(x)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    converted = np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0], dtype=np.float64).ravel()
    return float(np.max(np.abs(converted - native) / native))


def held_out(unseen: pd.DataFrame) -> dict[str, Any]:
    """A request for one week of one store that nothing was learned from, and the ounces that were sold."""
    rows = unseen[(unseen["store"] == HELD_OUT_STORE) & (unseen["week"] == HELD_OUT_WEEK)].sort_values("brand")
    names = list(REQUEST_COLUMNS)
    records = [[kind(row[name]) for name, kind in REQUEST_COLUMNS.items()] for row in rows.to_dict("records")]
    prices = [row[f"price_{row['brand']}"] for row in rows.to_dict("records")]
    return {
        "describe": f"store {HELD_OUT_STORE}, week {HELD_OUT_WEEK}: ounces of orange juice sold",
        "labels": [f"brand {brand} at {64 * price:.2f} $ a carton" for brand, price in zip(rows["brand"], prices, strict=True)],
        "request": {"data": {"names": names, "ndarray": records}},
        "actual": [round(float(units), 1) for units in rows["units"]],
    }


def requirements(packages: tuple[str, ...]) -> list[str]:
    """The packages as they are installed here."""
    return [f"{package}=={metadata.version(package)}" for package in packages]


def _tags(context: Context) -> dict[str, str]:
    facts = json.loads((context.folder / FACTS).read_text())
    return {
        "modelstack.workload": context.workload.name,
        "modelstack.data": facts["fingerprint"],
        "modelstack.revision": context.revision,
        "modelstack.trainer": context.trainer,
        "modelstack.image": context.image,
        "modelstack.report": digest((context.folder / REPORT).read_bytes()),
    }


def _log_facts(context: Context, difference: float) -> None:
    facts = json.loads((context.folder / FACTS).read_text())
    training = json.loads((context.folder / TRAINING).read_text())
    report = parse((context.folder / REPORT).read_bytes())
    mlflow.log_params(
        {
            **training["parameters"],
            "data": facts["fingerprint"],
            "revision": context.revision,
            "image": context.image,
            "rows": training["rows"],
            "learned_until_week": weeks.LAST,
        }
    )
    by_brand = {
        f"{name}_brand_{brand}": errors[name] for brand, errors in report.slices["brand"].items() for name in ("wape", "bias")
    }
    mlflow.log_metrics({**report.metrics, **training["metrics"], **by_brand, "onnx_difference": difference})
    findings = context.workload.gate.check(report.metrics)
    mlflow.log_dict({"findings": [finding.model_dump() for finding in findings]}, "backtest/gate.json")
    for finding in findings:
        if not finding.passed:
            print(
                f"warning: the gate of {context.workload.name} would refuse this version: {finding.rule}, found {finding.value}"
            )
    mlflow.log_artifact(str(context.folder / REPORT), "backtest")
    mlflow.log_artifact(str(context.folder / FORECASTS), "backtest")
    mlflow.log_artifact(str(context.folder / PRICES), "optimise")
    mlflow.log_artifact(str(context.folder / FACTS), "data")
    mlflow.log_text(_environment(), "environment/requirements.txt")
    lock = Path(__file__).resolve().parents[2] / "uv.lock"
    if lock.is_file():
        mlflow.log_artifact(str(lock), "environment")


def _environment() -> str:
    """Every package of this environment, with its version."""
    return "".join(sorted({f"{found.name}=={found.version}\n" for found in metadata.distributions()}, key=str.lower))


def _log_figures(context: Context, unseen: pd.DataFrame, model: Demand) -> None:
    forecasts = pd.read_parquet(context.folder / FORECASTS)
    first = unseen[unseen["week"] == weeks.BACKTEST.start]
    figures = {
        "calibration": plots.calibration(forecasts),
        "error_by_brand": plots.error_by_brand(forecasts),
        "price_response": plots.price_response(first, model),
        "earnings": plots.earnings(pd.read_parquet(context.folder / PRICES)),
    }
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
        plt.close(figure)


def _log_models(context: Context, model: Demand, graph: ModelProto, example: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    signature = infer_signature(example, model.predict(example).astype(np.float32)[:, None])
    with warnings.catch_warnings():
        # MLflow warns that pickles run code when loaded. It is true: the registered model is the other one.
        warnings.simplefilter("ignore")
        with _code(NEEDED_BY_NATIVE) as code:
            mlflow.sklearn.log_model(
                model,
                name=NATIVE,
                serialization_format="cloudpickle",
                signature=infer_signature(example, model.predict(example)),
                input_example=example,
                code_paths=[str(code)],
                pip_requirements=requirements(NATIVE_PACKAGES),
            )
        with _code(TRAVELS) as code:
            logged = mlflow.onnx.log_model(
                graph,
                name=ONNX,
                signature=signature,
                input_example=example,
                code_paths=[str(code)],
                pip_requirements=requirements(SERVING_PACKAGES),
                save_as_external_data=False,
                registered_model_name=context.workload.name,
            )
    return int(logged.registered_model_version or 0)


@contextlib.contextmanager
def _code(files: tuple[str, ...]) -> Generator[Path]:
    """A package `workloads.markdown` with these files alone, in a folder that lasts as long as the context."""
    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "workloads"
        (package / "markdown").mkdir(parents=True)
        shutil.copy(here.parent / "__init__.py", package)
        for file in ("__init__.py", *files):
            shutil.copy(here / file, package / "markdown")
        yield package
