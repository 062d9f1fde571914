"""Reads the outputs of a stack with one call of the `pulumi` CLI. Importing the SDK would be slower."""

from __future__ import annotations

import json
from typing import Any

from common import paths
from delivery.stacks import backend, process
from delivery.stacks.engine_errors import cannot_open, no_engine, no_stack


def read(stack: str) -> dict[str, Any]:  # the program defines the keys; `delivery.environments.outputs` types them
    """Returns the outputs of the stack's last update, with decrypted secrets; empty before the first update.

    Raises:
        UserError: the engine is not installed, the backend has no such stack, or the engine cannot open the stack.
    """
    engine = paths.BIN / "pulumi"
    if not engine.exists():
        raise no_engine(stack)
    backend.prepare()
    result = process.run(str(engine), ["stack", "output", "--json", "--show-secrets", "--stack", stack])
    if result.code != 0:
        raise no_stack(stack) if "no stack named" in result.stderr else cannot_open(stack, result.stderr)
    return json.loads(result.stdout or "{}")
