"""Copies a model version from the model registry of one environment to that of another: run, evidence and model, byte for byte.

Each model registry assigns its own version numbers. Therefore the tag `ORIGIN` of a copy names the original, and releases
continue to name the version and the run of the original.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.errors import UserError

if TYPE_CHECKING:
    from mlflow.entities import Run

    from clients.model_registry import ModelRegistry, ModelVersion

ORIGIN: Final = "modelstack.origin"
"""Tag of a copied run and of a copied version: the run and the version number of the original, as `<run>/<version>`."""
CONTENT: Final = "modelstack.content"
"""Tag of a copied version: the digest of the model's files."""
_MODEL, _FILES = "registered", "files"
_MLFLOW_PREFIX = "mlflow."
_BATCH = 100
"""The MLflow server accepts at most this number of parameters in one request."""


def copy_version(source: ModelRegistry, target: ModelRegistry, model: ModelVersion) -> int | None:
    """Copies a version from one model registry to another. An incomplete copy is deleted and copied again.

    Returns:
        The version number in the target; None if the target has the version already.

    Raises:
        UserError: a model registry fails, or the copied files differ from the original.
    """
    if source.url == target.url:
        return None
    for run in copied_runs(target, model):
        if _has_version(target, model.name, run):
            return None
        with target.session():
            target.client.delete_run(run)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = _download(source, model, folder)
        return _upload(target, model, run, folder)


def has_copy(target: ModelRegistry, model: ModelVersion) -> bool:
    """Returns whether a model registry has a complete copy of a version. Changes nothing.

    Raises:
        UserError: the model registry fails.
    """
    return any(_has_version(target, model.name, run) for run in copied_runs(target, model))


def copied_runs(target: ModelRegistry, model: ModelVersion) -> list[str]:
    """Returns the ids of the runs in the target that are copies of the version's run."""
    with target.session():
        experiment = target.client.get_experiment_by_name(model.name)
        if experiment is None:
            return []
        runs = target.client.search_runs([experiment.experiment_id], f"tags.`{ORIGIN}` = '{_origin(model)}'")
        return [run.info.run_id for run in runs]


def content_digest(folder: Path) -> str:
    """Returns the digest of a folder's content: `sha256:` and the hash of the sorted paths and hashes of its files."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{file.relative_to(folder).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _origin(model: ModelVersion) -> str:
    return f"{model.run}/{model.version}"


def _download(source: ModelRegistry, model: ModelVersion, folder: Path) -> Run:
    """Downloads the model and the artifacts of its run to `folder`, and returns the run."""
    source.download(model, folder / _MODEL)
    (folder / _FILES).mkdir()
    with source.session():
        for file in source.client.list_artifacts(model.run):  # pyright: ignore[reportUnknownMemberType] MLflow's annotations
            source.client.download_artifacts(model.run, file.path, str(folder / _FILES))
        return source.client.get_run(model.run)


def _upload(target: ModelRegistry, model: ModelVersion, run: Run, folder: Path) -> int:
    digest, client = content_digest(folder / _MODEL), target.client
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith(_MLFLOW_PREFIX)}
    with target.session():
        experiment = client.get_experiment_by_name(model.name)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(model.name)
        copy = client.create_run(experiment_id, run.info.start_time, {**tags, ORIGIN: _origin(model)}, run.info.run_name).info
        _log_parameters_and_metrics(target, copy.run_id, run)
        client.log_artifacts(copy.run_id, str(folder / _FILES))
        client.log_artifacts(copy.run_id, str(folder / _MODEL), _MODEL)
        client.set_terminated(copy.run_id, "FINISHED", run.info.end_time)
        client.download_artifacts(copy.run_id, _MODEL, str(folder / _FILES))
        arrived = content_digest(folder / _FILES / _MODEL)
        if arrived != digest:
            what = f"The copy of {model.name} version {model.version} differs from the original."
            raise UserError(what, where=target.url, found=arrived, example=digest, fix="run the same command again")
        if not client.search_registered_models(f"name = '{model.name}'"):
            client.create_registered_model(model.name)
        source = f"{copy.artifact_uri}/{_MODEL}"
        version = client.create_model_version(
            model.name,
            source,
            copy.run_id,
            tags={ORIGIN: _origin(model), CONTENT: digest},
            description=f"version {model.version}",
        )
    return int(version.version)


def _log_parameters_and_metrics(target: ModelRegistry, run_id: str, run: Run) -> None:
    """Logs the parameters and the last value of each metric of `run` to the run `run_id` of the target."""
    from mlflow.entities import Metric, Param

    timestamp = run.info.end_time or run.info.start_time
    parameters = [Param(key, value) for key, value in run.data.params.items()]
    metrics = [Metric(key, value, timestamp, 0) for key, value in run.data.metrics.items()]
    for start in range(0, max(len(parameters), len(metrics)), _BATCH):
        batch = slice(start, start + _BATCH)
        target.client.log_batch(run_id, metrics=metrics[batch], params=parameters[batch])


def _has_version(target: ModelRegistry, name: str, run: str) -> bool:
    """Returns whether the target has registered a version of the model from this run."""
    with target.session():
        versions = target.client.search_model_versions(f"name='{name}'")
        return any(version.run_id == run for version in versions)
