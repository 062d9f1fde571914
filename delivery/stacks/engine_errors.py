"""Failures of the engine as errors that a user can read."""

from __future__ import annotations

from common import paths
from common.errors import UserError
from delivery.stacks import variables
from delivery.stacks.events import plain


class EngineError(UserError):
    """The engine refused or failed; the message holds what it said."""


def no_engine(name: str) -> UserError:
    """The refusal of a command that needs the engine before `make up` has built it."""
    return UserError(f"Stack {name} is not up: this checkout has no engine yet.", fix="run `make up`")


def no_stack(name: str) -> UserError:
    """The refusal of a stack that the backend does not know."""
    return UserError(f"There is no stack {name} here.", where=variables.backend_url(), fix="run `make up`")


def cannot_open(name: str, said: str) -> EngineError:
    """What the engine said when it could not open a stack, as an error."""
    if "incorrect passphrase" in said:
        return EngineError(
            f"The secrets in Pulumi.{name}.yaml were encrypted with another passphrase.",
            where=str(paths.PASSPHRASE),
            fix="write that passphrase into this file",
        )
    return EngineError(f"Stack {name} cannot be opened.", found=last_lines(said))


def last_lines(text: str, count: int = 15) -> str:
    """The last lines of what the engine printed, without its colours."""
    return "\n".join(plain(text).strip().splitlines()[-count:])
