"""Repeats the back-test of a registered version, with the registered model and with the data and code of this revision.

The two steps of this module run before and after the workload's own steps. `restore` downloads the registered model, so that no
model is trained. `compare` compares the new report with the report that the version's run recorded. If the run has no evidence
yet, `compare` records the new report. It never replaces existing evidence by different evidence.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.artifacts import download_artifacts
from mlflow.models import Model

from workloads.context import TrainingError
from workloads.evidence import ReportError, canonical, digest, parse
from workloads.training import registration, reports
from workloads.training.onnx import GRAPH
from workloads.training.registration import BackTest
from workloads.training.reports import REPORT
from workloads.training.tracking import log_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run

    from workloads.context import Context
    from workloads.evidence import Report

FLAVOUR = "onnx"
RESTORED = "restored.json"
"""A file of the run's folder with facts about the tested version: `run`, the id of the run that trained it."""
SHOWN = 5
"""Maximum number of differing figures in a message."""


def restore(context: Context) -> None:
    """Downloads the registered model to the file that training would have written.

    Raises:
        TrainingError: the version does not exist, it is not an ONNX model, or it was trained on other data than declared here.
    """
    name, version = context.workload.name, context.run.inputs.version
    client = MlflowClient()
    try:
        run = client.get_run(str(client.get_model_version(name, str(version)).run_id))
    except MlflowException as error:
        msg = f"cannot find version {version} of {name}: {error}. `modelstack status` lists the existing versions"
        raise TrainingError(msg) from error
    _check_data(context, run)
    with tempfile.TemporaryDirectory() as folder:
        try:
            downloaded = Path(download_artifacts(f"models:/{name}/{version}", dst_path=folder))
            flavours = Model.load(downloaded).flavors
            if FLAVOUR not in flavours:
                found = ", ".join(flavours)
                msg = f"version {version} of {name} is not an ONNX model; found {found}. Train a version with an ONNX model"
                raise TrainingError(msg)
            shutil.copy(downloaded / flavours[FLAVOUR]["data"], context.output(GRAPH))
        except (MlflowException, OSError) as error:
            msg = f"cannot download the model of version {version} of {name}: {error}. Check whether somebody has deleted it"
            raise TrainingError(msg) from error
    context.output(RESTORED).write_text(json.dumps({"run": run.info.run_id}))


def compare(context: Context) -> None:
    """Compares the report with the one that the version's run recorded. If the run recorded none, records the new report.

    Logs the outcome as an MLflow run below the run that trained the version: see `workloads.training.registration`.

    Raises:
        TrainingError: the reports differ. The recorded evidence stays unchanged.
    """
    client = MlflowClient()
    run_id = json.loads(context.input(RESTORED).read_text())["run"]
    with registration.exclusively(context):
        back_test = registration.back_test(context)
        if back_test is None:
            back_test = _compare(context, client, client.get_run(run_id))
            registration.log_back_test(context, back_test)
    context.emit("evidence", **asdict(back_test))


def _compare(context: Context, client: MlflowClient, run: Run) -> BackTest:
    run_id, recorded_digest = run.info.run_id, run.data.tags.get("modelstack.report")
    content = _content(context, recorded_digest)
    new_digest = digest(content)
    recorded = _recorded_report(run_id)
    if recorded_digest not in {None, new_digest}:
        raise TrainingError(_difference(context, run, recorded))
    outcome = "recorded" if recorded_digest is None else "confirmed" if recorded == content else "restored"
    if outcome != "confirmed":
        with mlflow.start_run(run_id=run_id):
            log_evidence(context)
        client.set_tag(run_id, "modelstack.report", new_digest)
    if outcome != "recorded":
        client.set_tag(run_id, "modelstack.confirmed", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by {context.run.trainer}")
    return BackTest(outcome=outcome, version=int(context.run.inputs.version or 0), run=run_id, report=new_digest)


def _content(context: Context, recorded_digest: str | None) -> bytes:
    """Returns the serialised report. It lacks `data_day` if the recorded report was made before that day was declared."""
    content = context.input(REPORT).read_bytes()
    undated = canonical(reports.read(context).model_copy(update={"data_day": None}))
    if undated == content or digest(undated) != recorded_digest:
        return content
    context.output(REPORT).write_bytes(undated)
    return undated


def _check_data(context: Context, run: Run) -> None:
    """Raises `TrainingError` if the version was trained on other data, because its evidence is about those data."""
    trained_on, declared = run.data.tags.get("modelstack.data"), context.workload.source.fingerprint
    if trained_on == declared:
        return
    version, revision = context.run.inputs.version, run.data.tags.get("modelstack.revision", "unknown")
    msg = (
        f"version {version} of {context.workload.name} was trained on data {trained_on}, but this code declares "
        f"{declared}: its evidence would be about other data. "
        f"Check out the revision that trained it ({revision}), or train a new version"
    )
    raise TrainingError(msg)


def _recorded_report(run_id: str) -> bytes | None:
    """Downloads the report of a run. Returns None if the run has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Path(download_artifacts(run_id=run_id, artifact_path=f"backtest/{REPORT}", dst_path=folder)).read_bytes()
        except (MlflowException, OSError):
            return None


def _difference(context: Context, run: Run, recorded: bytes | None) -> str:
    before, now = _parsed(recorded), reports.read(context)
    version = context.run.inputs.version
    message = f"the back-test does not reproduce the evidence of version {version} of {context.workload.name}: "
    if before is None:
        message += "its run recorded the digest of another report, and that report is gone"
    else:
        old, new = dict(_figures(before.model_dump())), dict(_figures(now.model_dump()))
        differ = [name for name in {**new, **old} if old.get(name) != new.get(name)]
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        message += "; ".join(f"{name} was {old.get(name)} and is {new.get(name)}" for name in differ[:SHOWN]) + more
    trained = run.data.tags.get("modelstack.revision", "unknown")
    return (
        f"{message}. The recorded evidence stays. "
        f"The version was trained from revision {trained}, and this is {context.run.revision}: "
        "look for changes of features and back-test between the two, or train a new version"
    )


def _figures(content: Mapping[str, Any] | Sequence[Any], path: str = "") -> Iterator[tuple[str, object]]:  # JSON of a report
    """Yields every value of a report with its path. The metrics that the gate checks come first."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in sorted(entries, key=lambda entry: entry[0] != "metrics"):
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict | list | tuple):
            yield from _figures(cast("Mapping[str, Any]", value), name)
        else:
            yield name, value


def _parsed(content: bytes | None) -> Report | None:
    try:
        return parse(content) if content is not None else None
    except ReportError:
        return None
