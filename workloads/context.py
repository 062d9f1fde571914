"""The input of a training step, the events that it emits, and the error that it raises."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from workloads.training_run import UNKNOWN, Chunk, Run, RunInputs, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from workloads.declaration import Workload

STEPS = "steps"
"""The folder, in a run's folder, with one folder per finished step."""


class TrainingError(Exception):
    """A run cannot continue. The message gives the reason and the fix. It is printed without a traceback."""


Json = str | int | float


def emit_event(event: str, **fields: Json) -> None:
    """Prints an event as one line of JSON to stdout."""
    print(json.dumps({"event": event, **fields}), flush=True)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The input of a step. Steps pass files to each other: one step writes `output(name)`, later steps read `input(name)`.

    Steps may run in different processes, and a step may run in two processes at once. So a step must not write to another path
    of the run's folder, and must not change the files of another step.
    """

    workload: Workload
    run: Run
    source: Path
    """The folder that contains the source data."""
    share: Path
    """The workload's folder on the data share. Its files remain after the run."""
    folder: Path
    """This run's folder on the data share."""
    attempt: Path | None = None
    """The folder of this attempt of the step. Its files become visible to other processes when the step has ended. None: the
    step writes to `folder` itself, as tests do that call steps without the runner."""
    earlier: tuple[str, ...] = ()
    """The names of the steps that run before this one."""
    emit: Callable[..., None] = field(default=emit_event)

    def metric(self, name: str, value: float) -> None:
        """Emits a `metric` event, with the value rounded to six decimals."""
        self.emit("metric", name=name, value=round(float(value), 6))

    def output(self, name: str) -> Path:
        """Returns the path at which this step writes a file, or a folder, for later steps."""
        return (self.attempt or self.folder) / name

    def input(self, name: str) -> Path:
        """Returns the path of a file that this step or an earlier one has written. If several have, the latest step counts.

        Raises:
            TrainingError: no earlier step has written the file.
        """
        steps = [self.folder / STEPS / step for step in reversed(self.earlier)]
        for place in (self.attempt or self.folder, *steps, self.folder):
            if (place / name).exists():
                return place / name
        steps_before = f": run the steps before this one first ({', '.join(self.earlier)})" if self.earlier else ""
        msg = f"{name} is missing in the folder of run {self.run.id}{steps_before}"
        raise TrainingError(msg)


def context_from_environment(
    workload: Workload,
    *,
    run_id: str | None = None,
    version: int | None = None,
    step: str | None = None,
    chunk: Chunk | None = None,
) -> Context:
    """Builds the context of a run from environment variables and from the arguments of the process.

    Args:
        workload: the declaration of the workload.
        run_id: the id of the run. None: a new id, for a workload that is tried without an environment.
        version: the registered version to back-test. None: the run trains a new version.
        step: the only step that this process runs. None: all steps.
        chunk: the part of the scenarios. None: all of them.

    Raises:
        TrainingError: a variable is missing, an argument is invalid, or the data share is not writable.
    """
    missing = [name for name in ("MODELSTACK_SOURCE", "MODELSTACK_DATA", "MLFLOW_TRACKING_URI") if not os.environ.get(name)]
    if missing:
        variables = " and ".join(missing)
        msg = f"set {variables}: training runs inside the environment; start it with `modelstack train {workload.name}`"
        raise TrainingError(msg)
    try:
        run = Run(
            id=run_id if run_id is not None else new_id(workload.name, version),
            workload=workload.name,
            purpose="train" if version is None else "backtest",
            revision=os.environ.get("MODELSTACK_CODE_REVISION", UNKNOWN),
            trainer=os.environ.get("MODELSTACK_TRAINER", UNKNOWN),
            inputs=RunInputs(
                data=workload.source.fingerprint,
                image=os.environ.get("MODELSTACK_IMAGE", UNKNOWN),
                code=os.environ.get("MODELSTACK_CODE_DIGEST", UNKNOWN),
                version=version,
            ),
            step=step,
            chunk=chunk or Chunk(),
        )
    except ValidationError as error:
        (first, *_) = error.errors()
        where = ".".join(str(part) for part in first["loc"]) or "run"
        msg = f"{where}: {first['msg']}, found {first['input']!r}. An id has lower-case letters, digits and dashes: {_EXAMPLE}"
        raise TrainingError(msg) from None
    share = Path(os.environ["MODELSTACK_DATA"]) / workload.name
    folder = share / "runs" / run.id
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the data share {share} cannot be written to: {error}"
        raise TrainingError(msg) from error
    return Context(workload=workload, run=run, source=Path(os.environ["MODELSTACK_SOURCE"]), share=share, folder=folder)


_EXAMPLE = "markdown-20261124-103000-1f2e"
