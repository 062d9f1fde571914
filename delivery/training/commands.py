"""The commands `modelstack train` and `modelstack backtest`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from clients.model_registry import find_version
from common import clock
from delivery.console.progress import reporter
from delivery.environments.environment import Environment
from delivery.releases.review import report_of
from delivery.releases.stack_editor import find_workload
from delivery.training.training_runs import runs_of
from delivery.trials import scoreboard

if TYPE_CHECKING:
    from collections.abc import Generator

    from delivery.console.progress import Reporter
    from delivery.training.training_runs import TrainingRuns


def train(stack: str, workload: str, *, cancel: bool, run: str | None = None) -> None:
    """Trains a workload, or follows its training run that is already running. With `cancel`, ends that run.

    With `run`, starts or follows the run with this id. If it has ended, shows its result and does not train again.
    """
    with reporter("train") as progress:
        environment = Environment.open(stack)
        runs = runs_of(environment, workload, run=run)
        environment.check_target()
        if cancel:
            _cancel(runs, progress)
            return
        with _interruptible(f"modelstack train {workload}", progress):
            registered = runs.train(progress)
    print(f"Registered version {registered.version} of {registered.model}, run {registered.run}.")
    print(f"Next: modelstack release {workload} --stack {stack} --version {registered.version}")


def back_test(  # noqa: PLR0913 the options of the command
    stack: str, workload: str, version: int | None, *, cancel: bool, as_json: bool, run: str | None = None
) -> None:
    """Recomputes the evidence of a registered version and compares it with the recorded evidence.

    With `cancel`, ends the running back-test of the version. Without a version, uses the newest one.
    """
    gate = find_workload(workload).gate
    with reporter("backtest") as progress:
        environment = Environment.open(stack)
        model = find_version(environment.model_registry, workload, version)
        runs = runs_of(environment, workload, model.version, run)
        environment.check_target()
        if cancel:
            _cancel(runs, progress)
            return
        with _interruptible(f"modelstack backtest {workload} --version {model.version}", progress):
            result = runs.back_test(progress)
        # Look up the version again: the back-test may have recorded or restored its report just now.
        report, _ = report_of(environment.model_registry, find_version(environment.model_registry, workload, model.version))
    metrics = {name: round(value, 6) for name, value in report.metrics.items()}
    findings = gate.check(metrics, age=report.age(clock.today()))
    if as_json:
        print(
            json.dumps({"workload": workload, **asdict(result), "metrics": metrics, "gate": [f.model_dump() for f in findings]})
        )
        return
    scoreboard.print_findings(findings)
    print(_OUTCOMES[result.outcome].format(name=f"{workload} v{result.version}", report=result.report))
    print(f"Next: modelstack report {workload} --version {result.version} --stack {stack}")


_OUTCOMES = {
    "confirmed": "The back-test of {name} with the registered model reproduced the recorded report {report}.",
    "restored": "The report of {name} was lost or changed. The back-test has restored the recorded report {report}.",
    "recorded": "{name} had no evidence. The back-test has recorded it: report {report}.",
}


def _cancel(runs: TrainingRuns, progress: Reporter) -> None:
    name = runs.cancel()
    progress.print(f"Ended {name}." if name else "No run is under way.")


@contextlib.contextmanager
def _interruptible(command: str, progress: Reporter) -> Generator[None]:
    """Tells the user after Ctrl-C that the run itself continues, and which commands follow and end it."""
    try:
        yield
    except KeyboardInterrupt:
        progress.print(f"The run goes on in the cluster. `{command}` follows it again, `{command} --cancel` ends it.")
        raise
