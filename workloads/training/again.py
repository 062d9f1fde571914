"""The evidence of a registered version, made again: its model from the registry, the workload's data and back-test from here.

Two steps around those of the workload. `restore` fetches the model in place of training one, `compare` holds the report against
what the version's run recorded. A version that has no evidence yet is given it; one that has is never given another.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.artifacts import download_artifacts
from mlflow.models import Model

from workloads.context import TrainingError
from workloads.evidence import ReportError, canonical, digest, parse
from workloads.training import reports
from workloads.training.onnx import GRAPH
from workloads.training.reports import REPORT
from workloads.training.tracking import log_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run

    from workloads.context import Context
    from workloads.evidence import Report

FLAVOUR = "onnx"
RESTORED = "restored.json"
"""What a run knows of the version it tests: `run`."""
SHOWN = 5
"""Figures that differ, in a message."""


def restore(context: Context) -> None:
    """Puts the registered model where training would have put it.

    Raises:
        TrainingError: there is no such version, it is no ONNX model, or it has learned from other data than is declared here.
    """
    name, version = context.workload.name, context.version
    client = MlflowClient()
    try:
        run = client.get_run(str(client.get_model_version(name, str(version)).run_id))
    except MlflowException as error:
        msg = f"version {version} of {name} cannot be had: {error}. `modelstack status` tells which there are"
        raise TrainingError(msg) from error
    _same_data(context, run)
    with tempfile.TemporaryDirectory() as folder:
        try:
            fetched = Path(download_artifacts(f"models:/{name}/{version}", dst_path=folder))
            flavours = Model.load(fetched).flavors
            if FLAVOUR not in flavours:
                msg = f"version {version} of {name} is no ONNX model but: {', '.join(flavours)}. Train one that can be"
                raise TrainingError(msg)
            shutil.copy(fetched / flavours[FLAVOUR]["data"], context.folder / GRAPH)
        except (MlflowException, OSError) as error:
            msg = f"the model of version {version} of {name} cannot be had: {error}. See that nobody has deleted it"
            raise TrainingError(msg) from error
    (context.folder / RESTORED).write_text(json.dumps({"run": run.info.run_id}))


def compare(context: Context) -> None:
    """Holds the report against the one that the version's run recorded, or records it where there is none.

    Raises:
        TrainingError: they differ. What is on record stays.
    """
    client = MlflowClient()
    run = client.get_run(json.loads((context.folder / RESTORED).read_text())["run"])
    name, recorded = run.info.run_id, run.data.tags.get("modelstack.report")
    content = _content(context, recorded)
    found = digest(content)
    on_record = _on_record(name)
    if recorded not in {None, found}:
        raise TrainingError(_difference(context, run, on_record))
    outcome = "recorded" if recorded is None else "confirmed" if on_record == content else "restored"
    if outcome != "confirmed":
        with mlflow.start_run(run_id=name):
            log_evidence(context)
        client.set_tag(name, "modelstack.report", found)
    if outcome != "recorded":
        client.set_tag(name, "modelstack.confirmed", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by {context.trainer}")
    context.emit("evidence", outcome=outcome, version=int(context.version or 0), run=name, report=found)


def _content(context: Context, recorded: str | None) -> bytes:
    """The report as it is written; without the day of its data where it was recorded before the workload declared one."""
    file = context.folder / REPORT
    undated = canonical(reports.read(context).model_copy(update={"data_day": None}))
    if digest(undated) == recorded:
        file.write_bytes(undated)
    return file.read_bytes()


def _same_data(context: Context, run: Run) -> None:
    """A version that has learned from other data has its evidence from there."""
    learned, here = run.data.tags.get("modelstack.data"), context.workload.source.fingerprint
    if learned == here:
        return
    revision = run.data.tags.get("modelstack.revision", "unknown")
    msg = (
        f"version {context.version} of {context.workload.name} has learned from data {learned}, and this code declares {here}: "
        f"its evidence would be of other data. Check out the revision that trained it ({revision}), or train a new version"
    )
    raise TrainingError(msg)


def _on_record(run: str) -> bytes | None:
    """The report that the run holds; None where it holds none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Path(download_artifacts(run_id=run, artifact_path=f"backtest/{REPORT}", dst_path=folder)).read_bytes()
        except (MlflowException, OSError):
            return None


def _difference(context: Context, run: Run, on_record: bytes | None) -> str:
    before, now = _parsed(on_record), reports.read(context)
    told = f"the evidence of version {context.version} of {context.workload.name} cannot be made again: "
    if before is None:
        told += "its run recorded another report than this one, and does not hold it any more"
    else:
        was, found = dict(_figures(before.model_dump())), dict(_figures(now.model_dump()))
        differ = [name for name in {**found, **was} if was.get(name) != found.get(name)]
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        told += "; ".join(f"{name} was {was.get(name)} and is {found.get(name)}" for name in differ[:SHOWN]) + more
    trained = run.data.tags.get("modelstack.revision", "unknown")
    return (
        f"{told}. What is on record stays. It was trained from revision {trained}, and this is {context.revision}: "
        "look at what changed in features and back-test in between, or train a new version"
    )


def _figures(found: Mapping[str, Any] | Sequence[Any], path: str = "") -> Iterator[tuple[str, object]]:  # JSON of a report
    """Everything a report says, by its path. Figures that the gate sees come first."""
    entries = found.items() if isinstance(found, dict) else enumerate(found)
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
