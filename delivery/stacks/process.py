"""Runs `pulumi` as a child process that ends on Ctrl-C and, if `setpriv` is installed, when this process ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from common import paths
from delivery.stacks import variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTERRUPTS_BEFORE_KILL = 2
"""On the first interrupt, the engine completes the operations in progress; on the second, it stops immediately."""


@dataclass(frozen=True, kw_only=True)
class ProcessResult:
    """The output of a process and its exit code."""

    stdout: str
    stderr: str
    code: int


def run(command: str, args: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None) -> ProcessResult:
    """Runs `pulumi` in a session of its own and waits until it ends.

    An interrupt is sent to `pulumi` once, as SIGINT, and this function waits: the engine completes the operations in progress
    and writes its state. If this process is killed, the kernel sends `pulumi` the same signal. The output goes to files,
    because a pipe without a reader would kill the engine before it has written its state.

    Args:
        command: the executable.
        args: the arguments, without `--non-interactive`.
        cwd: the working directory; by default the checkout.
        env: environment variables to add to those of this process; by default `variables.variables()`.

    Raises:
        KeyboardInterrupt: the process was interrupted, and has ended.
    """
    added = variables.variables() if env is None else env
    environ = variables.without_foreign_passphrase({**os.environ, **added, "PULUMI_AUTOMATION_API": "true"})
    line = [command, "--non-interactive", *args]
    if setpriv := shutil.which("setpriv"):
        line = [setpriv, "--pdeathsig", "INT", "--", *line]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code, interrupted = _wait(line, cwd or str(paths.CHECKOUT), environ, out, err)
        result = ProcessResult(stdout=_text(out), stderr=_text(err), code=code)
    if interrupted:
        raise KeyboardInterrupt
    return result


def _wait(command: list[str], cwd: str, environ: dict[str, str], out: IO[bytes], err: IO[bytes]) -> tuple[int, bool]:
    # start_new_session: the terminal sends Ctrl-C to this process alone, which passes it on once.
    with subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd, env=environ, start_new_session=True) as process:
        interrupts = 0
        while True:
            try:
                return process.wait(), interrupts > 0
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > _INTERRUPTS_BEFORE_KILL:
                    process.kill()
                else:
                    process.send_signal(signal.SIGINT)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return "\n".join(line.rstrip() for line in file.read().decode(errors="replace").splitlines())
