"""Options and arguments that several commands have."""

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", "-s", help="The environment: the [bold]NAME[/] of a Pulumi.NAME.yaml.")]
Workload = Annotated[str, typer.Argument(help="The workload, for example [bold]markdown[/].")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change, write nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
