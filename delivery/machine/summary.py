"""The last words of `up`: what there is, what it predicts, and what to try next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients import endpoint
from delivery.console.terminal import duration
from delivery.environments import held_out
from infra.promotion import requirements
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from delivery.console.progress import Reporter
    from delivery.environments.environment import Environment


def show(environment: Environment, progress: Reporter, *, changed: bool) -> None:
    """Waits for the endpoints, asks each for its held-out week, and prints the summary."""
    stack, outputs = environment.name, environment.outputs
    password = f"pulumi stack output tracking --show-secrets --stack {stack}"
    lines = [f"MLflow     {outputs.tracking.url}   user {outputs.tracking.username}, password: {password}"]
    for workload, found in outputs.endpoints.items():
        held = held_out.held_out(found.run, lambda: environment.origin_registry)
        prediction = endpoint.wait_for_version(found.url, held.request, progress, version=found.version)
        lines += [
            f"{workload:<10} {found.url}   version {found.version}, run {found.run}",
            "",
            *(f"  {line}" for line in held_out.comparison(held, prediction).splitlines()),
            "",
            f"  {held_out.curl(found)}",
        ]
    unreleased = [workload for workload in environment.settings.workloads if workload not in outputs.endpoints]
    lines += [f"{workload:<10} nothing is released here yet" for workload in unreleased]
    done = "Everything is up" if changed else "Nothing to do: everything is up"
    print(f"\n{done} ({duration(progress.elapsed())}).\n")
    print("\n".join(lines))
    print("\nNext:")
    for command, what in next_commands(stack, next(iter([*outputs.endpoints, *environment.settings.workloads, *WORKLOADS]))):
        print(f"  {command:<48} {what}")


def next_commands(stack: str, workload: str) -> list[tuple[str, str]]:
    """What to try now."""
    source = requirements.for_stack(stack).source
    if source is not None:
        return [
            (f"modelstack promote {workload} --to {stack}", f"what is stable in {source} into the stack file"),
            ("modelstack status", "what runs, since when, from which run and data"),
            (f"modelstack down --stack {stack}", "remove it"),
        ]
    return [
        ('eval "$(.venv/bin/modelstack env)"', "modelstack, pulumi and kubectl for this shell"),
        ("modelstack status", "what runs, since when, from which run and data"),
        (f"modelstack train {workload}", "another model version"),
        (f"modelstack release {workload} --stack {stack}", "put it into the stack file"),
        (f"pulumi preview --stack {stack}", "what that would change"),
        ("make down", "remove it all"),
    ]
