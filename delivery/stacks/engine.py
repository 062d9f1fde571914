"""The Pulumi CLI as the Automation API starts it, except that it outlives neither Ctrl-C nor us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error

from common import paths
from delivery.stacks import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE = 2
"""The engine ends what is under way at the first interrupt and stops at once at the second."""


class Engine(PulumiCommand):
    """Runs `pulumi` in a session of its own.

    An interrupt reaches it once, as SIGINT, and is waited for: the engine then ends what is under way and writes its state.
    Should this process be killed, the kernel sends the engine the same signal; its output goes to files, because a pipe
    without a reader would kill it before it has written its state.
    """

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
        environ = variables.without_strangers({**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"})
        command = [self.command, "--non-interactive", *args]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "INT", "--", *command]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code, interrupted = _wait(command, cwd, environ, out, err)
            result = CommandResult(stdout=_text(out, on_output), stderr=_text(err, on_error), code=code)
        if interrupted:
            raise KeyboardInterrupt
        if code != 0:
            raise create_command_error(result)
        return result


def _wait(command: list[str], cwd: str, variables: dict[str, str], out: IO[bytes], err: IO[bytes]) -> tuple[int, bool]:
    # start_new_session: the terminal sends Ctrl-C to us alone, and we pass it on once.
    with subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd, env=variables, start_new_session=True) as process:
        interrupts = 0
        while True:
            try:
                return process.wait(), interrupts > 0
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > _PATIENCE:
                    process.kill()
                else:
                    process.send_signal(signal.SIGINT)


def _text(file: IO[bytes], callback: Callable[[str], object] | None) -> str:
    file.seek(0)
    lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines()]
    for line in lines if callback is not None else []:
        assert callback is not None
        callback(line)
    return "\n".join(lines)
