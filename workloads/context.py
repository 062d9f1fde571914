"""What a step of a training run is given, what it tells whoever follows the run, and how it fails."""

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
    """A run cannot go on, and the message says why and what to do. Printed without a traceback."""


Json = str | int | float


def emit_event(event: str, **fields: Json) -> None:
    """Prints an event."""
    print(json.dumps({"event": event, **fields}), flush=True)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step is given. Steps hand on what they make through files in `folder`."""

    workload: Workload
    source: Path
    """Folder with the source data."""
    share: Path
    """The workload's folder on the data share; what lies here outlives the run."""
    folder: Path
    """This run's folder on the data share."""
    revision: str
    """Of the code."""
    trainer: str
    """Who started the run: a mail address."""
    image: str
    """Digest of the image this runs in."""
    version: int | None = None
    """The registered version that is back-tested. None: a new one is trained."""
    emit: Callable[..., None] = field(default=emit_event)

    def metric(self, name: str, value: float) -> None:
        """Tells a metric to whoever follows the run."""
        self.emit("metric", name=name, value=round(float(value), 6))


def context_of(workload: Workload, version: int | None = None) -> Context:
    """The context that the environment variables describe.

    Raises:
        TrainingError: one is missing, or the data share cannot be written to.
    """
    missing = [name for name in ("MODELSTACK_SOURCE", "MODELSTACK_DATA", "MLFLOW_TRACKING_URI") if not os.environ.get(name)]
    if missing:
        msg = f"set {' and '.join(missing)}: training runs in the environment, `modelstack train {workload.name}` starts it"
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
