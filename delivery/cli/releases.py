"""The commands about what an environment serves: promote, canary, shadow, approve, rollback, and those that look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.completion import stack_names, workload_names
from delivery.cli.options import AsJson, DryRun, Stack, Workload  # noqa: TC001 typer looks at them

app = typer.Typer()

Version = Annotated[int | None, typer.Option(min=1, help="The version; what is stable in the stack before unless given.")]
To = Annotated[str, typer.Option("--stack", "-s", autocompletion=stack_names, help="The environment whose releases change.")]
Apply = Annotated[bool, typer.Option("--apply", help="Bring the environment up afterwards.")]
Abort = Annotated[bool, typer.Option("--abort", help="End it.")]


@app.command()
def promote(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    to: Annotated[str, typer.Option("--to", autocompletion=stack_names, help="The environment that it goes to.")],
    source: Annotated[
        str | None,
        typer.Option("--from", autocompletion=stack_names, help="Where it comes from; the stack before unless given."),
    ] = None,
    version: Version = None,
    *,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Makes a version stable in another environment, if its evidence passes the gate there."""
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    commands.promote(
        ReleaseCommand.for_workload(f"promote {workload}", to, workload, dry_run=dry_run, as_json=json, apply=apply),
        source,
        version,
    )


@app.command()
def canary(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    stack: To,
    version: Version = None,
    traffic: Annotated[int | None, typer.Option(min=0, max=100, help="Per cent of the requests.")] = None,
    *,
    abort: Abort = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look at it, then promote it or end it.")] = False,
    seconds: Annotated[int | None, typer.Option(min=1, help="How long; what the workload says unless given.")] = None,
    min_requests: Annotated[int | None, typer.Option(min=1, help="To each version, for a verdict; the same.")] = None,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Tries a version on part of the requests, or changes its part.

    With --watch ends with 0: it passed and becomes stable, 3: it failed and is removed, 4: too few requests to tell.
    """
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"canary {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    if watch:
        from delivery.trials import watch as command

        _none_of("cannot go with --watch", {"--version": version, "--traffic": traffic, "--abort": abort})
        raise typer.Exit(command.main(release, seconds, min_requests))
    _none_of("only goes with --watch", {"--seconds": seconds, "--min-requests": min_requests})
    commands.canary(release, version, traffic, abort=abort)


@app.command()
def shadow(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    stack: To,
    version: Version = None,
    *,
    abort: Abort = False,
    compare: Annotated[bool, typer.Option("--compare", help="Its answers beside the stable version's.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Gives a version a copy of every request, or compares what it answered; callers never see its answers."""
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"shadow {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    if compare:
        from delivery.trials import shadowing

        _none_of("cannot go with --compare", {"--version": version, "--abort": abort, "--dry-run": dry_run, "--apply": apply})
        shadowing.main(release)
        return
    commands.shadow(release, version, abort=abort)


@app.command()
def approve(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    stack: To,
    version: Annotated[int, typer.Option(min=1, help="The version.")],
    key: Annotated[Path | None, typer.Option(help="Your key; made by `modelstack key`.")] = None,
    *,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Signs a release for an environment. Counts if your key is listed for the workload and somebody else has trained it."""
    from delivery.releases import approval_keys, commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"approve {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    commands.approve(release, version, key or approval_keys.default_file())


@app.command()
def rollback(workload: Workload, stack: To, *, dry_run: DryRun = False, json: AsJson = False, apply: Apply = False) -> None:
    """Goes back to the release before: one line of the stack file."""
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    commands.rollback(
        ReleaseCommand.for_workload(f"rollback {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    )


@app.command()
def verify(workload: Workload, stack: To) -> None:
    """Fetches the evidence of every release and compares it with what the stack file says."""
    from delivery.releases import commands

    commands.check(stack, workload)


@app.command()
def history(
    workload: Workload,
    stack: To,
    at: Annotated[str | None, typer.Option(help="Only what answered then: 2026-10-01 or a moment.")] = None,
    *,
    json: AsJson = False,
) -> None:
    """What answered when: every change of versions and traffic."""
    from delivery.environments import history

    history.history(stack, workload, at=at, as_json=json)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(autocompletion=stack_names, help="An environment.")],
    other: Annotated[str, typer.Argument(autocompletion=stack_names, help="Another one.")],
    *,
    json: AsJson = False,
) -> None:
    """Releases and settings of two environments side by side, where they differ."""
    from delivery.environments import differences

    differences.differences(one, other, as_json=json)


@app.command()
def report(
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[int | None, typer.Option(min=1, help="The version; what the stack file releases unless given.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("report"),
    *,
    preview: Annotated[bool, typer.Option("--preview", help="With what the infrastructure would change.")] = False,
) -> None:
    """The page that a reviewer reads about a version, and lines for a pull request."""
    from delivery.releases import review

    review.main(workload, version, stack, out, preview=preview)


@app.command()
def key(
    name: Annotated[str | None, typer.Option(help="Your mail address; what git knows unless given.")] = None,
    file: Annotated[Path | None, typer.Option("--key", help="Where to keep it.")] = None,
    workload: Annotated[
        str | None, typer.Option(autocompletion=workload_names, help="Add its public half to the approvers of this workload.")
    ] = None,
) -> None:
    """Makes the key that you approve with, or shows it; a workload's approvers are a reviewed file."""
    from delivery.releases import commands

    commands.key(name, file, workload)


def _none_of(reason: str, options: dict[str, object]) -> None:
    """Refuses options that would mean nothing, or something else than what was meant."""
    if given := [name for name, value in options.items() if value is not None and value is not False]:
        raise typer.BadParameter(f"{', '.join(given)} {reason}")
