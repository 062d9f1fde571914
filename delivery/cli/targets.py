"""The commands about targets, the places that the stacks of each tier may deploy to: target list, target register."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.cli.completion import stack_names
from delivery.cli.help import CommandGroup
from delivery.cli.options import AsJson, DryRun  # noqa: TC001 typer reads them at run time

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Show and register the targets that each tier may deploy to.")


@app.command("list")
def list_targets(*, json: AsJson = False) -> None:
    """Show the registered targets of each tier, and the stacks that may deploy to them."""
    from delivery.environments import targets

    targets.show(as_json=json)


@app.command()
def register(
    stack: Annotated[
        str,
        typer.Option("--stack", "-s", autocompletion=stack_names, help="The stack whose target is registered for its tier."),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the registered target, for example if its cluster was created again.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Ask the cluster of a stack for its UID, and register it in infra/tiers/tiers.toml for the stack's tier."""
    from delivery.environments import targets

    targets.register(stack, replace=replace, dry_run=dry_run)
