"""The commands that change or show the releases of an environment: promote, canary, shadow, approve, rollback, history, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.cli.completion import stack_names, workload_names
from delivery.cli.options import AsJson, DryRun, Stack, Workload  # noqa: TC001 typer reads them at run time

app = typer.Typer()

Version = Annotated[
    int | None, typer.Option(min=1, help="The version. By default, the stable version of the source environment.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Run `pulumi up` for the environment afterwards.")]


@app.command()
def promote(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    to: Annotated[str, typer.Option("--to", autocompletion=stack_names, help="The target environment.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            autocompletion=stack_names,
            help="The source environment. By default, the one from which the target gets its releases.",
        ),
    ] = None,
    version: Version = None,
    *,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Make a version stable in another environment, if its evidence passes the workload's gate."""
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
    stack: Stack,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="The version. By default, the current canary, else the stable version of the source."),
    ] = None,
    traffic: Annotated[int | None, typer.Option(min=0, max=100, help="The share of the requests, in per cent.")] = None,
    *,
    abort: Annotated[bool, typer.Option("--abort", help="End the canary.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Compare the canary with the stable version, then promote it or end it.")
    ] = False,
    seconds: Annotated[int | None, typer.Option(min=1, help="How long to watch. By default, as the workload declares.")] = None,
    min_requests: Annotated[
        int | None,
        typer.Option(min=1, help="Requests to each version that a verdict needs. By default, as the workload declares."),
    ] = None,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Send part of the requests to a version, change that part, or end the canary.

    Exit codes with --watch: 0 if the canary passed and becomes stable, 3 if it failed and is removed, 4 if there were too few
    requests for a verdict.
    """
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"canary {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    if watch:
        from delivery.trials import watch as command

        _refuse_options("cannot be used with --watch", {"--version": version, "--traffic": traffic, "--abort": abort})
        raise typer.Exit(command.main(release, seconds, min_requests))
    _refuse_options("only works with --watch", {"--seconds": seconds, "--min-requests": min_requests})
    commands.canary(release, version, traffic, abort=abort)


@app.command()
def shadow(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    stack: Stack,
    version: Version = None,
    *,
    abort: Annotated[bool, typer.Option("--abort", help="End the shadow.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the shadow's answers with those of the stable version.")
    ] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Send a copy of every request to a version, or compare its answers. Callers never receive these answers."""
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"shadow {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    if compare:
        from delivery.trials import shadowing

        _refuse_options(
            "cannot be used with --compare", {"--version": version, "--abort": abort, "--dry-run": dry_run, "--apply": apply}
        )
        shadowing.main(release)
        return
    commands.shadow(release, version, abort=abort)


@app.command()
def approve(  # noqa: PLR0913 each is an option of the command
    workload: Workload,
    stack: Stack,
    version: Annotated[int, typer.Option(min=1, help="The version to approve.")],
    key: Annotated[Path | None, typer.Option(help="The file of your key, which `modelstack key` creates.")] = None,
    *,
    dry_run: DryRun = False,
    json: AsJson = False,
    apply: Apply = False,
) -> None:
    """Sign a release for an environment. Your key must be listed for the workload; you cannot approve your own training."""
    from delivery.releases import approval_keys, commands
    from delivery.releases.release_command import ReleaseCommand

    release = ReleaseCommand.for_workload(f"approve {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    commands.approve(release, version, key or approval_keys.default_file(stack))


@app.command()
def rollback(workload: Workload, stack: Stack, *, dry_run: DryRun = False, json: AsJson = False, apply: Apply = False) -> None:
    """Make the previous release stable again. Usually this changes one line of the stack file."""
    from delivery.releases import commands
    from delivery.releases.release_command import ReleaseCommand

    commands.rollback(
        ReleaseCommand.for_workload(f"rollback {workload}", stack, workload, dry_run=dry_run, as_json=json, apply=apply)
    )


@app.command()
def verify(workload: Workload, stack: Stack) -> None:
    """Download the evidence of every release and compare it with the stack file."""
    from delivery.releases import commands

    commands.check(stack, workload)


@app.command()
def history(
    workload: Workload,
    stack: Stack,
    at: Annotated[
        str | None, typer.Option(help="Show only this date or time, for example 2026-10-01 or 2026-10-01T12:00:00Z.")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Show which versions answered requests, and when: every change of versions and traffic."""
    from delivery.environments import history

    history.history(stack, workload, at=at, as_json=json)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(autocompletion=stack_names, help="The first environment.")],
    other: Annotated[str, typer.Argument(autocompletion=stack_names, help="The second environment.")],
    *,
    json: AsJson = False,
) -> None:
    """Show the releases and settings that differ between two environments, side by side."""
    from delivery.environments import differences

    differences.differences(one, other, as_json=json)


@app.command()
def report(
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[
        int | None,
        typer.Option(min=1, help="The version. By default, the stable one in the stack file, else the newest registered."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The output folder.")] = Path("report"),
    *,
    preview: Annotated[bool, typer.Option("--preview", help="Include the output of `pulumi preview`.")] = False,
) -> None:
    """Write a review page about a version, and a summary for a pull request."""
    from delivery.releases import review

    review.main(workload, version, stack, out, preview=preview)


@app.command()
def key(
    name: Annotated[str | None, typer.Option(help="Your email address. By default, git's user.email.")] = None,
    file: Annotated[Path | None, typer.Option("--key", help="The file of the key.")] = None,
    workload: Annotated[
        str | None, typer.Option(autocompletion=workload_names, help="Add the public key to the approvers of this workload.")
    ] = None,
    *,
    tour: Annotated[
        bool, typer.Option("--tour", help="Only for tour-prod: the key stands for a colleague, and git ignores key and list.")
    ] = False,
) -> None:
    """Create or show the key with which you approve releases. The approvers of a workload are listed in a reviewed file."""
    from delivery.releases import commands

    commands.key(name, file, workload, for_tour=tour)


def _refuse_options(reason: str, options: dict[str, object]) -> None:
    """Refuse the options that the user gave although the command would ignore or misread them."""
    if given := [name for name, value in options.items() if value is not None and value is not False]:
        raise typer.BadParameter(f"{', '.join(given)} {reason}")
