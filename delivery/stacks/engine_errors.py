"""Converts failures of the engine to errors that a user can read."""

from __future__ import annotations

from common import paths
from common.errors import UserError
from delivery.stacks import variables
from delivery.stacks.events import plain

_STDERR = "\n stderr: "
"""The heading of the standard error in the text of `pulumi.automation.CommandError`."""


class EngineError(UserError):
    """The engine refused a command or failed; the message contains the engine's output."""


def up_command(name: str) -> str:
    """Returns the command that brings a stack up."""
    return "make up" if name == "dev" else f"modelstack up --stack {name}"


def no_engine(name: str) -> UserError:
    """Returns the error for a command that needs the engine before `make up` has installed it."""
    return UserError(f"Stack {name} is not up: this checkout has no engine yet.", fix=f"run `{up_command(name)}`")


def no_stack(name: str) -> UserError:
    """Returns the error for a stack that is not in the backend."""
    return UserError(
        f"There is no stack {name} in the backend.", where=variables.shown_backend(), fix=f"run `{up_command(name)}`"
    )


def cannot_open(name: str, output: str) -> EngineError:
    """Returns the error for a stack that the engine cannot open; `output` is what the engine printed."""
    if "incorrect passphrase" in output:
        return EngineError(
            f"The secrets in Pulumi.{name}.yaml are encrypted with another passphrase.",
            where=str(paths.PASSPHRASE),
            fix="write the passphrase that encrypted them into this file",
        )
    return EngineError(
        f"Stack {name} cannot be opened.",
        where=variables.shown_backend(),
        found=last_lines(output),
        fix=f"check that the backend ({variables.BACKEND_URL}) can be reached and that its credentials are set, then run the "
        "same command again",
    )


def last_lines(text: str, count: int = 15) -> str:
    """Returns the last `count` lines of the engine's output, without colour marks.

    `text` may also be that of the SDK's `CommandError`, which has the exit code and both outputs before the last one's content.
    """
    errors = text.rpartition(_STDERR)[2]
    return "\n".join(plain(errors if errors.strip() else text).strip().splitlines()[-count:])
