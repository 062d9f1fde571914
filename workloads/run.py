"""Runs a workload's steps, one after the other, in the training environment: `python -m workloads.run markdown`.

With `--version 8` it trains nothing: it runs only the steps that evidence needs, for that registered version.

Events go to stdout, one JSON object per line: `step` when a step has started, is done or has failed; `metric`; and at the end
`registered` or `evidence`. All other output is text for people. If a run fails, its last line on stderr gives the reason and
the fix, and the exit code is 1.
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
from workloads.context import TrainingError, context_from_environment, emit_event
from workloads.declaration import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workloads.context import Context
    from workloads.declaration import Workload

RETAINED_RUNS = 5
"""Number of the latest runs whose folders stay on the data share."""
RESTORE = Step(name="restore", summary="download the registered model", run="workloads.training.again:restore")
COMPARE = Step(name="compare", summary="compare the report with the recorded evidence", run="workloads.training.again:compare")
TRACKING_SECONDS = 60.0
"""How long a run waits for the tracking server before it fails."""


def await_tracking(uri: str, seconds: float = TRACKING_SECONDS) -> None:
    """Waits until the tracking server answers, because a run that cannot be logged should not start.

    Raises:
        TrainingError: the server does not answer within `seconds`.
    """
    if not uri.startswith(("http://", "https://")):
        return  # a folder or a database, which MLflow opens itself
    end = time.monotonic() + seconds
    while True:
        try:
            with urlopen(f"{uri.rstrip('/')}/health", timeout=10):  # noqa: S310 the scheme is checked above
                return
        except (URLError, OSError) as error:
            if time.monotonic() > end:
                msg = f"the tracking server {uri} does not answer ({error}): see `modelstack status`, then train again"
                raise TrainingError(msg) from error
        time.sleep(1.0)


def steps_of(workload: Workload, version: int | None) -> tuple[Step, ...]:
    """Returns all steps, or only those that back-test the registered `version`."""
    if version is None:
        return workload.steps
    return (RESTORE, *(step for step in workload.steps if step.evidence), COMPARE)


def run(workload: Workload, context: Context) -> None:
    """Runs the steps in order. If a step fails, the run ends with the exception of that step."""
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
    _remove_old_runs(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: the workload's name, and optionally `--version` with the number of a registered version."""
    parser = argparse.ArgumentParser(prog="python -m workloads.run", description="Trains a workload.")
    parser.add_argument("workload", help="the workload's name, for example markdown")
    parser.add_argument("--version", type=int, help="back-test this registered version, and train nothing")
    options = parser.parse_args(arguments)
    try:
        workload = get(options.workload)
        context = context_from_environment(workload, options.version)
        await_tracking(os.environ["MLFLOW_TRACKING_URI"])
        run(workload, context)
    except (TrainingError, UnknownWorkloadError) as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("out of memory: increase training.resources.memory in the workload's declaration")
    except Exception as error:  # noqa: BLE001 the traceback is printed; `modelstack train` shows the last line
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


def _remove_old_runs(context: Context) -> None:
    """Removes the folders of older runs. A folder that cannot be removed stays: it only takes up space."""
    for folder in sorted(context.folder.parent.iterdir())[:-RETAINED_RUNS]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


if __name__ == "__main__":
    # One thread per model: members are fitted in parallel, and idle OpenMP threads that spin slow down other processes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
