"""The commands that work on an environment that is up: train, backtest, release, predict."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from clients import endpoint
from common import clock, paths
from common.errors import UserError
from delivery.console.progress import reporter
from delivery.environments.access import Access
from delivery.environments.outputs import unknown_workload
from delivery.releases import release_command
from delivery.stacks import lock
from delivery.trials import scoreboard

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from delivery.console.progress import Reporter
    from delivery.training.training_runs import Trainer


def train(stack: str, workload: str, *, cancel: bool) -> None:
    """Trains a workload, or ends its run under way."""
    with reporter("train") as progress:
        access = Access.to(stack)
        trainer = access.trainer(workload)
        if cancel:
            _cancel(trainer, progress)
            return
        with _going_on(f"modelstack train {workload}", progress):
            registered = trainer.train(progress)
    print(f"Registered version {registered.version} of {registered.model}, run {registered.run}.")
    print(f"Next: modelstack release {workload} --stack {stack} --version {registered.version}")


def back_test(stack: str, workload: str, version: int | None, *, cancel: bool, as_json: bool) -> None:
    """Makes the evidence of a registered version again, and holds it against what is on record."""
    from clients.model_registry import find
    from delivery.releases.review import report_of

    declared = release_command.declared(workload)
    with reporter("backtest") as progress:
        access = Access.to(stack)
        model = find(access.models, workload, version)
        trainer = access.trainer(workload, model.version)
        if cancel:
            _cancel(trainer, progress)
            return
        with _going_on(f"modelstack backtest {workload} --version {model.version}", progress):
            found, metrics = trainer.back_test(progress)
        # Looked up again: what its run has on record may have been made just now.
        report, _ = report_of(access.models, find(access.models, workload, model.version))
    findings = declared.gate.check(metrics, age=report.age(clock.today()))
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


def release(stack: str, workload: str, version: int | None, *, dry_run: bool) -> None:
    """Releases a version into a stack file."""
    with reporter("release") as progress, lock.exclusive(f"release {workload}"):
        changes = Access.to(stack).releaser().release(workload, version, progress, dry_run=dry_run)
    if not changes:
        print("Released already: nothing changes.")
        return
    print(changes)
    if dry_run:
        print("Nothing was built or written. The image's digest is known once it is built.")
    else:
        print(f'Next: eval "$(modelstack env)" && pulumi up --stack {stack}      (or `make up`)')


def predict(stack: str, workload: str) -> None:
    """Asks an endpoint for a held-out week."""
    access = Access.to(stack)
    if workload not in access.outputs.training:
        raise unknown_workload(stack, workload, access.outputs.training)
    if workload not in access.outputs.endpoints:
        fix = f"modelstack train {workload}, modelstack release {workload} --stack {stack}, then `make up`"
        raise UserError(f"{workload} has no endpoint in stack {stack} yet: nothing is released.", fix=fix)
    found = access.outputs.endpoints[workload]
    held = endpoint.held_out(found.run, lambda: access.evidence)
    answer = endpoint.ask(found.url, held.request)
    print(endpoint.comparison(held, answer))
    print(f"  answered by {', '.join(f'{key} {value}' for key, value in answer.tags.items())}")


def key(name: str | None, file: Path | None, workload: str | None) -> None:
    """Makes a key, or shows the one there is, and lists it for a workload."""
    from delivery.releases import approval_keys
    from delivery.releases.revision import person

    path = file or approval_keys.default_file()
    found = approval_keys.read(path) if path.exists() and name is None else approval_keys.make(name or person(), path)
    print(f"{found.name}  {found.public}\n  its secret half is in {path}: keep it to yourself")
    if workload is not None:
        listed = approval_keys.list_for(release_command.declared(workload).name, found)
        print(f"  listed in {listed.relative_to(paths.CHECKOUT)}: commit it, and have it reviewed")


def _cancel(trainer: Trainer, progress: Reporter) -> None:
    name = trainer.cancel()
    progress.say(f"Ended {name}." if name else "No run is under way.")


@contextlib.contextmanager
def _going_on(command: str, progress: Reporter) -> Generator[None]:
    """Says, when the watching is interrupted, that the run is not."""
    try:
        yield
    except KeyboardInterrupt:
        progress.say(f"The run goes on in the cluster. `{command}` follows it again, `{command} --cancel` ends it.")
        raise
