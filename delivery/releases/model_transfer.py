"""A model version from one environment's registry to another's: its run, its evidence and the model, byte for byte.

Each registry numbers its versions by itself. So what was brought says what it was (`ORIGIN`), and releases go on naming
the version and the run that were trained.
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
"""Tag of a run and of a version: what they are a copy of, as run and number of the version."""
CONTENT: Final = "modelstack.content"
"""Tag of a version: digest of the model's files."""
_MODEL, _FILES = "registered", "files"
_OF_MLFLOW = "mlflow."
_BATCH = 100
"""Figures that a server takes in one request."""


def copy_version(source: ModelRegistry, target: ModelRegistry, model: ModelVersion) -> int | None:
    """Brings a version, and gives its number there. What was brought half is begun anew.

    Returns:
        None where the target has had it.

    Raises:
        UserError: a registry fails, or what has arrived is not what was sent.
    """
    if source.url == target.url:
        return None
    for run in copies_of(target, model):
        if _versions(target, model.name, run):
            return None
        with target.session():
            target.client.delete_run(run)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = _download(source, model, folder)
        return _upload(target, model, run, folder)


def copies_of(target: ModelRegistry, model: ModelVersion) -> list[str]:
    """The runs of a registry that are copies of the version's."""
    with target.session():
        experiment = target.client.get_experiment_by_name(model.name)
        if experiment is None:
            return []
        found = target.client.search_runs([experiment.experiment_id], f"tags.`{ORIGIN}` = '{_origin(model)}'")
        return [run.info.run_id for run in found]


def content_digest(folder: Path) -> str:
    """What names a folder's content: `sha256:` and the digest of its files' paths and digests, in order."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{file.relative_to(folder).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _origin(model: ModelVersion) -> str:
    return f"{model.run}/{model.version}"


def _download(source: ModelRegistry, model: ModelVersion, folder: Path) -> Run:
    """The version's run; its artifacts and the model in `folder`."""
    source.download(model, folder / _MODEL)
    (folder / _FILES).mkdir()
    with source.session():
        for file in source.client.list_artifacts(model.run):  # pyright: ignore[reportUnknownMemberType] MLflow's annotations
            source.client.download_artifacts(model.run, file.path, str(folder / _FILES))
        return source.client.get_run(model.run)


def _upload(target: ModelRegistry, model: ModelVersion, run: Run, folder: Path) -> int:
    digest, client = content_digest(folder / _MODEL), target.client
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith(_OF_MLFLOW)}
    with target.session():
        experiment = client.get_experiment_by_name(model.name)
        place = experiment.experiment_id if experiment else client.create_experiment(model.name)
        made = client.create_run(place, run.info.start_time, {**tags, ORIGIN: _origin(model)}, run.info.run_name).info
        _log(target, made.run_id, run)
        client.log_artifacts(made.run_id, str(folder / _FILES))
        client.log_artifacts(made.run_id, str(folder / _MODEL), _MODEL)
        client.set_terminated(made.run_id, "FINISHED", run.info.end_time)
        client.download_artifacts(made.run_id, _MODEL, str(folder / _FILES))
        arrived = content_digest(folder / _FILES / _MODEL)
        if arrived != digest:
            what = f"Version {model.version} of {model.name} has not arrived as it was sent."
            raise UserError(what, where=target.url, found=arrived, example=digest, fix="run the same command again")
        if not client.search_registered_models(f"name = '{model.name}'"):
            client.create_registered_model(model.name)
        source = f"{made.artifact_uri}/{_MODEL}"
        version = client.create_model_version(
            model.name,
            source,
            made.run_id,
            tags={ORIGIN: _origin(model), CONTENT: digest},
            description=f"version {model.version}",
        )
    return int(version.version)


def _log(target: ModelRegistry, name: str, run: Run) -> None:
    """Parameters and metrics, as they were at last."""
    from mlflow.entities import Metric, Param

    when = run.info.end_time or run.info.start_time
    parameters = [Param(key, value) for key, value in run.data.params.items()]
    metrics = [Metric(key, value, when, 0) for key, value in run.data.metrics.items()]
    for start in range(0, max(len(parameters), len(metrics)), _BATCH):
        part = slice(start, start + _BATCH)
        target.client.log_batch(name, metrics=metrics[part], params=parameters[part])


def _versions(target: ModelRegistry, name: str, run: str) -> list[int]:
    with target.session():
        found = target.client.search_model_versions(f"name='{name}'")
        return [int(version.version) for version in found if version.run_id == run]
