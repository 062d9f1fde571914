"""The input of a training step, the events that it emits, and the error that it raises."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from workloads.declaration import Workload


class TrainingError(Exception):
    """A run cannot continue. The message gives the reason and the fix. It is printed without a traceback."""


Json = str | int | float


def emit_event(event: str, **fields: Json) -> None:
    """Prints an event as one line of JSON to stdout."""
    print(json.dumps({"event": event, **fields}), flush=True)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The input of a step. A step passes its results to the next steps as files in `folder`."""

    workload: Workload
    source: Path
    """The folder that contains the source data."""
    share: Path
    """The workload's folder on the data share. Its files remain after the run."""
    folder: Path
    """This run's folder on the data share."""
    revision: str
    """The revision of the code."""
    trainer: str
    """Mail address of the person who started the run."""
    image: str
    """Digest of the container image in which the run executes."""
    version: int | None = None
    """The registered version to back-test. None: the run trains a new version."""
    emit: Callable[..., None] = field(default=emit_event)

    def metric(self, name: str, value: float) -> None:
        """Emits a `metric` event, with the value rounded to six decimals."""
        self.emit("metric", name=name, value=round(float(value), 6))


def context_from_environment(workload: Workload, version: int | None = None) -> Context:
    """Builds the context of a run from environment variables, and creates the run's folder.

    Raises:
        TrainingError: a variable is missing, or the data share is not writable.
    """
    missing = [name for name in ("MODELSTACK_SOURCE", "MODELSTACK_DATA", "MLFLOW_TRACKING_URI") if not os.environ.get(name)]
    if missing:
        variables = " and ".join(missing)
        msg = f"set {variables}: training runs inside the environment; start it with `modelstack train {workload.name}`"
        raise TrainingError(msg)
    share = Path(os.environ["MODELSTACK_DATA"]) / workload.name
    folder = share / "runs" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        msg = f"the data share {share} cannot be written to: {error}"
        raise TrainingError(msg) from error
    return Context(
        workload=workload,
        source=Path(os.environ["MODELSTACK_SOURCE"]),
        share=share,
        folder=folder,
        revision=os.environ.get("MODELSTACK_REVISION", "unknown"),
        trainer=os.environ.get("MODELSTACK_TRAINER", "unknown"),
        image=os.environ.get("MODELSTACK_IMAGE", "unknown"),
        version=version,
    )
