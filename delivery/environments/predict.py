"""`modelstack predict`: asks an endpoint to predict a held-out week."""

from __future__ import annotations

from clients import endpoint
from common.errors import UserError
from delivery.environments import held_out
from delivery.environments.environment import Environment
from delivery.environments.outputs import unknown_workload
from delivery.stacks.engine_errors import up_command


def main(stack: str, workload: str) -> None:
    """Runs the command."""
    environment = Environment.open(stack)
    if workload not in environment.outputs.training:
        raise unknown_workload(stack, workload, environment.outputs.training)
    if workload not in environment.outputs.endpoints:
        fix = f"run `modelstack train {workload}`, `modelstack release {workload} --stack {stack}`, then `{up_command(stack)}`"
        raise UserError(f"{workload} has no endpoint in stack {stack} yet: no version is released.", fix=fix)
    output = environment.outputs.endpoints[workload]
    week = held_out.held_out_week(output.run, lambda: environment.origin_registry)
    prediction = endpoint.predict(output.url, week.request)
    print(held_out.comparison(week, prediction))
    print(f"  answered by {', '.join(f'{key} {value}' for key, value in prediction.tags.items())}")
