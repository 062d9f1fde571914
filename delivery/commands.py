"""The commands that work on an environment that is up: train, release, predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery import endpoint, lock
from delivery.access import Access
from delivery.outputs import unknown_workload
from delivery.progress import reporter
from infra.errors import UserError
from local import paths

if TYPE_CHECKING:
    from pathlib import Path


def train(stack: str, workload: str, *, cancel: bool) -> None:
    """Trains a workload, or ends its run under way."""
    with reporter("train") as progress:
        access = Access.to(stack)
        trainer = access.trainer(workload)
        if cancel:
            name = trainer.cancel()
            progress.say(f"Ended {name}." if name else "No run is under way.")
            return
        try:
            registered = trainer.train(progress)
        except KeyboardInterrupt:
            follow, end = f"modelstack train {workload}", f"modelstack train {workload} --cancel"
            progress.say(f"The run goes on in the cluster. `{follow}` follows it again, `{end}` ends it.")
            raise
    print(f"Registered version {registered.version} of {registered.model}, run {registered.run}.")
    print(f"Next: modelstack release {workload} --stack {stack} --version {registered.version}")


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
    from delivery import keys, moves
    from delivery.revision import person

    path = file or keys.default_file()
    found = keys.read(path) if path.exists() and name is None else keys.make(name or person(), path)
    print(f"{found.name}  {found.public}\n  its secret half is in {path}: keep it to yourself")
    if workload is not None:
        listed = keys.list_for(moves.declared(workload).name, found)
        print(f"  listed in {listed.relative_to(paths.CHECKOUT)}: commit it, and have it reviewed")
