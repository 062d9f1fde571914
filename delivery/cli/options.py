"""Options and arguments that several commands have."""

from typing import Annotated

import typer

from delivery.cli.completion import stack_names, workload_names

Stack = Annotated[
    str, typer.Option("--stack", "-s", autocompletion=stack_names, help="The environment: the NAME of a Pulumi.NAME.yaml.")
]
Workload = Annotated[str, typer.Argument(autocompletion=workload_names, help="The workload, for example markdown.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change, write nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
