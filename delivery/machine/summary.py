"""The summary at the end of `up`: addresses, a prediction of each endpoint, and the next commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients import endpoint
from delivery.console.terminal import duration
from delivery.environments import held_out
from infra.settings import tour
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from delivery.console.progress import Reporter
    from delivery.environments.environment import Environment
    from infra.tiers.model import StackTier


def show(environment: Environment, progress: Reporter, *, changed: bool) -> None:
    """Waits for the endpoints, asks each to predict its held-out week, and prints the summary."""
    stack, outputs = environment.name, environment.outputs
    password = f"pulumi stack output tracking --show-secrets --stack {stack}"
    lines = [f"MLflow     {outputs.tracking.url}   user {outputs.tracking.username}, password: {password}"]
    for workload, output in outputs.endpoints.items():
        week = held_out.held_out_week(output.run, lambda: environment.origin_registry)
        prediction = endpoint.wait_for_version(output.url, week.request, progress, version=output.version)
        lines += [
            f"{workload:<10} {output.url}   version {output.version}, run {output.run}",
            "",
            *(f"  {line}" for line in held_out.comparison(week, prediction).splitlines()),
            "",
            f"  {held_out.curl_command(output)}",
        ]
    unreleased = [workload for workload in environment.settings.workloads if workload not in outputs.endpoints]
    lines += [f"{workload:<10} no version is released yet" for workload in unreleased]
    done = "Everything is up" if changed else "Nothing to do: everything is up"
    print(f"\n{done} ({duration(progress.elapsed())}).\n")
    print("\n".join(lines))
    print("\nNext:")
    workload = next(iter([*outputs.endpoints, *environment.settings.workloads, *WORKLOADS]))
    for command, description in next_commands(environment.tier, workload):
        print(f"  {command:<48} {description}")


def next_commands(tier: StackTier, workload: str) -> list[tuple[str, str]]:
    """Returns the commands to try next, each with a description."""
    stack = tier.stack
    if tier.source is not None:
        source = tier.source.stack
        return [
            (f"modelstack promote {workload} --to {stack}", f"release the stable version of {source} here, in the stack file"),
            ("modelstack status", "show what runs, since when, from which run and data"),
            (f"modelstack down --stack {stack}", "destroy this environment"),
        ]
    return [
        ('eval "$(.venv/bin/modelstack env)"', "use modelstack, pulumi and kubectl in this shell"),
        ("modelstack status", "show what runs, since when, from which run and data"),
        (f"modelstack train {workload}", "train another model version"),
        (f"modelstack release {workload} --stack {stack}", "release it in the stack file"),
        (f"pulumi preview --stack {stack}", "show what that changes"),
        *([("modelstack tour", "try promotion to stage and prod on this machine")] if stack == tour.DEV else []),
        ("make down", "destroy everything"),
    ]
