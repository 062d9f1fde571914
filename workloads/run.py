"""Runs a workload's steps in the training environment: `python -m workloads.run markdown --run ID`.

Without `--step` it runs all steps, one after the other. With `--step train` it runs only that step. The steps of a run may be
processes of their own, in different pods. They pass files to each other through the run's folder on the data share. A step may
be repeated, and the same command may run twice at the same time: see `workloads.training.run_folder`. A step whose files are
there already is not computed again, so a run that was interrupted continues.

With `--version 8` it trains nothing: it runs only the steps that evidence needs, for that registered version.

Events go to stdout, one JSON object per line: `step` when a step has started, is done or has failed; `metric`; and at the end
`registered` or `evidence`. They are progress for people. What a run has registered is in MLflow, under the run's id. If a run
fails, its last line on stderr gives the reason and the fix, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from workloads.catalogue import UnknownWorkloadError, get
from workloads.context import TrainingError, context_from_environment, emit_event
from workloads.declaration import Step
from workloads.training.run_folder import RunFolder, remove_old_runs
from workloads.training_run import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workloads.context import Context
    from workloads.declaration import Workload

RESTORE = Step(name="restore", summary="download the registered model", run="workloads.training.again:restore")
COMPARE = Step(name="compare", summary="compare the report with the recorded evidence", run="workloads.training.again:compare")
PRECONDITIONS = "workloads.training.preconditions:check"
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
    """Runs the steps in order, or only the step `context.run.step`. A step that fails ends the run with its exception.

    Raises:
        TrainingError: there is no such step or chunk, or the run's folder belongs to another run.
    """
    steps = steps_of(workload, context.run.inputs.version)
    names = [step.name for step in steps]
    only = context.run.step
    if only is not None and only not in names:
        msg = f"{workload.name} has no step {only}: there are {', '.join(names)}"
        raise TrainingError(msg)
    if context.run.chunk.of > 1:
        msg = f"{workload.name} has no scenarios, so its steps run in one chunk: found {context.run.chunk}"
        raise TrainingError(msg)
    folder = RunFolder.open(context.folder, context.run)
    recorded = dataclasses.replace(context, run=folder.run)
    with folder.lease():
        try:
            for index, step in enumerate(steps):
                if only in {None, step.name}:
                    about = {"step": step.name, "summary": step.summary, "index": index + 1, "total": len(steps)}
                    _run_step(step, dataclasses.replace(recorded, earlier=tuple(names[:index])), folder, about)
        finally:
            # After a failed step that was a process of its own, the step may be repeated. Then the folder is still needed.
            if only is None or folder.has_ended(names[-1]):
                folder.end()
    remove_old_runs(context.folder.parent)


def _run_step(step: Step, context: Context, folder: RunFolder, about: dict[str, str | int]) -> None:
    emit_event("step", state="started", **about)
    start = time.monotonic()
    try:
        if not folder.is_done(step.name):
            with folder.attempt(step.name) as attempt:
                _function(step.run)(dataclasses.replace(context, attempt=attempt))
    except BaseException:
        emit_event("step", state="failed", seconds=round(time.monotonic() - start, 1), **about)
        raise
    emit_event("step", state="done", seconds=round(time.monotonic() - start, 1), **about)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Its arguments identify the run and select what this process does of it."""
    parser = argparse.ArgumentParser(prog="python -m workloads.run", description="Trains a workload.")
    parser.add_argument("workload", help="the workload's name, for example markdown")
    parser.add_argument("--run", metavar="ID", help="id of the run. All processes of a run have the same. Default: a new id")
    parser.add_argument("--step", metavar="NAME", help="run only this step. Default: all steps, in order")
    parser.add_argument("--chunk", type=_chunk, metavar="1/1", help="the part of the scenarios. Default: all of them")
    parser.add_argument("--version", type=int, help="back-test this registered version, and train nothing")
    options = parser.parse_args(arguments)
    try:
        workload = get(options.workload)
        context = context_from_environment(
            workload, run_id=options.run, version=options.version, step=options.step, chunk=options.chunk
        )
        await_tracking(os.environ["MLFLOW_TRACKING_URI"])
        _function(PRECONDITIONS)(context)
        run(workload, context)
    except (TrainingError, UnknownWorkloadError) as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("out of memory: increase training.resources.memory in the workload's declaration")
    except Exception as error:  # noqa: BLE001 the traceback is printed; `modelstack train` shows the last line
        traceback.print_exc()
        return _failed(f"{type(error).__name__}: {error}")
    return 0


def _chunk(text: str) -> Chunk:
    try:
        return Chunk.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _failed(message: str) -> int:
    sys.stdout.flush()
    print(f"failed: {message}", file=sys.stderr, flush=True)
    return 1


def _function(entry: str) -> Callable[[Context], None]:
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    # One thread per model: members are fitted in parallel, and idle OpenMP threads that spin slow down other processes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
