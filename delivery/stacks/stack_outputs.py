"""What a stack exported at its last update, asked of the engine in one call and without its SDK."""

from __future__ import annotations

import json
from typing import Any

from common import paths
from delivery.stacks import backend, process
from delivery.stacks.engine_errors import cannot_open, no_engine, no_stack


def read(stack: str) -> dict[str, Any]:  # the shape is the program's; `delivery.environments.outputs` types it
    """The outputs, secrets in plain; empty before the first update.

    Raises:
        UserError: there is no engine or no such stack here, or the engine cannot open it.
    """
    engine = paths.BIN / "pulumi"
    if not engine.exists():
        raise no_engine(stack)
    backend.prepare()
    ended = process.run(str(engine), ["stack", "output", "--json", "--show-secrets", "--stack", stack])
    if ended.code != 0:
        raise no_stack(stack) if "no stack named" in ended.stderr else cannot_open(stack, ended.stderr)
    return json.loads(ended.stdout or "{}")
