"""The commands about training runs: train and backtest."""

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


def train(stack: str, workload: str, *, cancel: bool) -> None:
    """Trains a workload, or ends its run under way."""
    with reporter("train") as progress:
        environment = Environment.open(stack)
        runs = runs_of(environment, workload)
        if cancel:
            _cancel(runs, progress)
            return
        with _going_on(f"modelstack train {workload}", progress):
            registered = runs.train(progress)
    print(f"Registered version {registered.version} of {registered.model}, run {registered.run}.")
    print(f"Next: modelstack release {workload} --stack {stack} --version {registered.version}")


def back_test(stack: str, workload: str, version: int | None, *, cancel: bool, as_json: bool) -> None:
    """Makes the evidence of a registered version again, and holds it against what is on record."""
    gate = find_workload(workload).gate
    with reporter("backtest") as progress:
        environment = Environment.open(stack)
        model = find_version(environment.model_registry, workload, version)
        runs = runs_of(environment, workload, model.version)
        if cancel:
            _cancel(runs, progress)
            return
        with _going_on(f"modelstack backtest {workload} --version {model.version}", progress):
            found, metrics = runs.back_test(progress)
        # Looked up again: what its run has on record may have been made just now.
        report, _ = report_of(environment.model_registry, find_version(environment.model_registry, workload, model.version))
    findings = gate.check(metrics, age=report.age(clock.today()))
    if as_json:
        print(
            json.dumps({"workload": workload, **asdict(found), "metrics": metrics, "gate": [f.model_dump() for f in findings]})
        )
        return
    scoreboard.tell_rules(findings)
    print(_OUTCOMES[found.outcome].format(name=f"{workload} v{found.version}", report=found.report))
    print(f"Next: modelstack report {workload} --version {found.version} --stack {stack}")


_OUTCOMES = {
    "confirmed": "Evidence of {name}, made again from the registered model: the same report as on record, {report}.",
    "restored": "Evidence of {name}, made again: the report that its run recorded, {report}. It was lost or changed.",
    "recorded": "{name} had no evidence. It has now: report {report}.",
}


def _cancel(runs: TrainingRuns, progress: Reporter) -> None:
    name = runs.cancel()
    progress.say(f"Ended {name}." if name else "No run is under way.")


@contextlib.contextmanager
def _going_on(command: str, progress: Reporter) -> Generator[None]:
    """Says, when the watching is interrupted, that the run is not."""
    try:
        yield
    except KeyboardInterrupt:
        progress.say(f"The run goes on in the cluster. `{command}` follows it again, `{command} --cancel` ends it.")
        raise
