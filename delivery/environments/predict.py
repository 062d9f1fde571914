"""`modelstack predict`: asks an endpoint for a held-out week."""

from __future__ import annotations

from clients import endpoint
from common.errors import UserError
from delivery.environments import held_out
from delivery.environments.environment import Environment
from delivery.environments.outputs import unknown_workload


def main(stack: str, workload: str) -> None:
    """Runs the command."""
    environment = Environment.open(stack)
    if workload not in environment.outputs.training:
        raise unknown_workload(stack, workload, environment.outputs.training)
    if workload not in environment.outputs.endpoints:
        fix = f"modelstack train {workload}, modelstack release {workload} --stack {stack}, then `make up`"
        raise UserError(f"{workload} has no endpoint in stack {stack} yet: nothing is released.", fix=fix)
    found = environment.outputs.endpoints[workload]
    held = held_out.held_out(found.run, lambda: environment.origin_registry)
    prediction = endpoint.predict(found.url, held.request)
    print(held_out.comparison(held, prediction))
    print(f"  answered by {', '.join(f'{key} {value}' for key, value in prediction.tags.items())}")
