"""Runs a workload's steps, one after the other, in the training environment: `python -m workloads.run markdown`.

With `--version 8` nothing is learned: the steps that evidence needs are run for that registered version.

On stdout there is one JSON object per line for whoever follows: a `step` started, done or failed; a `metric`; at last what was
`registered`, or the `evidence`. Everything else that is printed is for people. A failure ends with one line that says what to
do, and exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import sys
import time
import traceback
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from workloads.catalogue import UnknownWorkloadError, get
from workloads.context import TrainingError, context_of, emit_event
from workloads.declaration import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workloads.context import Context
    from workloads.declaration import Workload

KEPT_RUNS = 5
"""Folders of earlier runs that stay on the data share."""
RESTORE = Step(name="restore", summary="the model as it is registered", run="workloads.training.again:restore")
COMPARE = Step(name="compare", summary="with the evidence on record", run="workloads.training.again:compare")
TRACKING_SECONDS = 60.0
"""How long the tracking server may take to answer before a run is not begun."""


def await_tracking(uri: str, seconds: float = TRACKING_SECONDS) -> None:
    """Waits until the tracking server answers: a run that cannot be logged is not worth beginning.

    Raises:
        TrainingError: it does not.
    """
    if not uri.startswith(("http://", "https://")):
        return  # a folder or a database, which MLflow opens itself
    end = time.monotonic() + seconds
    while True:
        try:
            with urlopen(f"{uri.rstrip('/')}/health", timeout=10):  # noqa: S310 the scheme was looked at above
                return
        except (URLError, OSError) as error:
            if time.monotonic() > end:
                msg = f"the tracking server {uri} does not answer ({error}): see `modelstack status`, then train again"
                raise TrainingError(msg) from error
        time.sleep(1.0)


def steps_of(workload: Workload, version: int | None) -> tuple[Step, ...]:
    """All steps, or those that tell what a registered version is worth."""
    if version is None:
        return workload.steps
    return (RESTORE, *(step for step in workload.steps if step.evidence), COMPARE)


def run(workload: Workload, context: Context) -> None:
    """Runs the steps in their order. The first that fails ends the run with its exception."""
    steps = steps_of(workload, context.version)
    for index, step in enumerate(steps, start=1):
        about = {"step": step.name, "summary": step.summary, "index": index, "total": len(steps)}
        emit_event("step", state="started", **about)
        start = time.monotonic()
        try:
            _function(step)(context)
        except BaseException:
            emit_event("step", state="failed", seconds=round(time.monotonic() - start, 1), **about)
            raise
        emit_event("step", state="done", seconds=round(time.monotonic() - start, 1), **about)
    _tidy(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: the workload's name, and `--version` with the number of a registered one."""
    parser = argparse.ArgumentParser(prog="python -m workloads.run", description="Trains a workload.")
    parser.add_argument("workload", help="its name, for example markdown")
    parser.add_argument("--version", type=int, help="back-test this registered version instead")
    asked = parser.parse_args(arguments)
    try:
        workload = get(asked.workload)
        context = context_of(workload, asked.version)
        await_tracking(os.environ["MLFLOW_TRACKING_URI"])
        run(workload, context)
    except (TrainingError, UnknownWorkloadError) as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("out of memory: give the workload more in its declaration (training.resources.memory)")
    except Exception as error:  # noqa: BLE001 the traceback is printed, and the last line is what the follower shows
        traceback.print_exc()
        return _failed(f"{type(error).__name__}: {error}")
    return 0


def _failed(message: str) -> int:
    sys.stdout.flush()
    print(f"failed: {message}", file=sys.stderr, flush=True)
    return 1


def _function(step: Step) -> Callable[[Context], None]:
    module, _, name = step.run.partition(":")
    return getattr(importlib.import_module(module), name)


def _tidy(context: Context) -> None:
    """Removes the folders of older runs. One that cannot be removed is left: it costs space, not correctness."""
    for folder in sorted(context.folder.parent.iterdir())[:-KEPT_RUNS]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


if __name__ == "__main__":
    # One thread per model: members are fitted side by side, and waiting threads that spin starve whoever shares the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
