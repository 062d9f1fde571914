"""Options and arguments that several commands share."""

from typing import Annotated

import typer

from delivery.cli.completion import stack_names, workload_names

Stack = Annotated[
    str,
    typer.Option("--stack", "-s", autocompletion=stack_names, help="The name of the environment, as in Pulumi.NAME.yaml."),
]
Workload = Annotated[str, typer.Argument(autocompletion=workload_names, help="The workload, for example markdown.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change, but write nothing.")]
Run = Annotated[
    str | None,
    typer.Option(metavar="ID", help="The id of the run. If that run has ended, show its result. By default, a new id."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
