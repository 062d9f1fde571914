"""What a run needs at its end, checked before its first step: a run that cannot be recorded must not train for an hour."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import mlflow
from mlflow import MlflowClient, MlflowException

from workloads.context import TrainingError

if TYPE_CHECKING:
    from workloads.context import Context

WORKLOAD_TAG: Final = "modelstack.workload"
ROOM_BYTES: Final = 512 * 1024**2
"""Free space on the data share that a run asks for: about twenty times what a run of `markdown` leaves there (26 MB)."""


def check(context: Context) -> None:
    """Checks the experiment, the rights to log and to register, and the free space on the data share.

    A right is checked by its use: the check sets a tag of the experiment and of the registered model, which always has the same
    value. Creates the experiment if there is none, as logging would.

    Raises:
        TrainingError: one of them is missing. The message says how to get it.
    """
    _check_room(context)
    try:
        _check_tracking(context)
    except MlflowException as error:
        what = "register versions of the workload" if context.run.purpose == "train" else "log the back-test"
        first = str(error).splitlines()[0]
        msg = (
            f"the tracking server {mlflow.get_tracking_uri()} refuses what this run needs to {what}: {first}. "
            f"Check the account's rights to the experiment and the model {context.workload.name}, then start it again"
        )
        raise TrainingError(msg) from error


def _check_tracking(context: Context) -> None:
    client, name = MlflowClient(), context.workload.name
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage != "active":
        msg = (
            f"the experiment {name} of the tracking server {mlflow.get_tracking_uri()} is deleted: the run cannot be logged. "
            f"Restore it with `mlflow experiments restore --experiment-id {experiment.experiment_id}`, then start it again"
        )
        raise TrainingError(msg)
    experiment_id = experiment.experiment_id if experiment is not None else _create_experiment(client, name)
    client.set_experiment_tag(experiment_id, WORKLOAD_TAG, name)
    if context.run.purpose == "train" and client.search_registered_models(f"name='{name}'"):
        client.set_registered_model_tag(name, WORKLOAD_TAG, name)


def _create_experiment(client: MlflowClient, name: str) -> str:
    try:
        return client.create_experiment(name)
    except MlflowException as error:
        created = client.get_experiment_by_name(name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if created is None:
            raise
        return created.experiment_id  # another process has created it meanwhile


def _check_room(context: Context) -> None:
    probe = context.output(".room")
    try:
        free = shutil.disk_usage(context.folder).free
        probe.write_bytes(b"1")
        probe.unlink(missing_ok=True)  # another process of the same run may have removed it
    except OSError as error:
        msg = f"the data share {context.share} cannot be written to: {error}"
        raise TrainingError(msg) from error
    if free < ROOM_BYTES:
        mebibytes = 1024**2
        msg = (
            f"the data share {context.share} has {free // mebibytes} MiB left, and a run needs {ROOM_BYTES // mebibytes} MiB: "
            "enlarge it (modelstack:training.storage), or remove folders of old runs"
        )
        raise TrainingError(msg)
