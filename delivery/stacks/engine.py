"""The Pulumi CLI for the Automation API. The process ends on Ctrl-C and when this process ends: see `process`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error

from common import paths
from delivery.stacks import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from semver import VersionInfo


class Engine(PulumiCommand):
    """The `pulumi` executable of this checkout."""

    def __init__(self, command: str, version: VersionInfo | None) -> None:  # the SDK's own constructor runs `pulumi version`
        self.command, self.version = command, version

    @classmethod
    def find(cls) -> Engine:
        """Returns the engine of this checkout. Runs `pulumi version`.

        Raises:
            InvalidVersionError: the engine is too old for the Automation API.
        """
        found = PulumiCommand(root=str(paths.BIN.parent))
        return cls(found.command, found.version)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """Runs a `pulumi` command and waits until it ends.

        Raises:
            CommandError: the command failed.
            KeyboardInterrupt: the command was interrupted.
        """
        done = process.run(self.command, args, cwd=cwd, env=additional_env)
        for text, callback in ((done.stdout, on_output), (done.stderr, on_error)):
            for line in text.splitlines() if callback is not None else []:
                assert callback is not None
                callback(line)
        result = CommandResult(stdout=done.stdout, stderr=done.stderr, code=done.code)
        if done.code != 0:
            raise create_command_error(result)
        return result
