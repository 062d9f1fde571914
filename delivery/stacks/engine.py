"""The Pulumi CLI as the Automation API starts it, except that it outlives neither Ctrl-C nor us. See `process`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error

from common import paths
from delivery.stacks import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Engine(PulumiCommand):
    """The engine of this checkout."""

    def __init__(self) -> None:
        super().__init__(root=str(paths.BIN.parent))

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """Runs a command to its end. Raises CommandError when it fails, KeyboardInterrupt when it was interrupted."""
        ended = process.run(self.command, args, cwd=cwd, extra=additional_env)
        for text, callback in ((ended.stdout, on_output), (ended.stderr, on_error)):
            for line in text.splitlines() if callback is not None else []:
                assert callback is not None
                callback(line)
        result = CommandResult(stdout=ended.stdout, stderr=ended.stderr, code=ended.code)
        if ended.code != 0:
            raise create_command_error(result)
        return result
