"""Runs `pulumi` as a process that outlives neither Ctrl-C nor us."""

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

_PATIENCE = 2
"""The engine ends what is under way at the first interrupt and stops at once at the second."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


def run(command: str, args: Sequence[str], *, cwd: str | None = None, extra: Mapping[str, str] | None = None) -> Ended:
    """Runs `pulumi` in a session of its own, to its end.

    An interrupt reaches it once, as SIGINT, and is waited for: the engine then ends what is under way and writes its state.
    Should this process be killed, the kernel sends the engine the same signal; its output goes to files, because a pipe
    without a reader would kill it before it has written its state.

    Args:
        command: the executable.
        args: what follows it, without `--non-interactive`.
        cwd: the working directory; by default the checkout.
        extra: variables beside those of this process; by default those of the environment.

    Raises:
        KeyboardInterrupt: it was interrupted, and has ended.
    """
    added = variables.variables() if extra is None else extra
    environ = variables.without_strangers({**os.environ, **added, "PULUMI_AUTOMATION_API": "true"})
    line = [command, "--non-interactive", *args]
    if setpriv := shutil.which("setpriv"):
        line = [setpriv, "--pdeathsig", "INT", "--", *line]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code, interrupted = _wait(line, cwd or str(paths.CHECKOUT), environ, out, err)
        ended = Ended(stdout=_text(out), stderr=_text(err), code=code)
    if interrupted:
        raise KeyboardInterrupt
    return ended


def _wait(command: list[str], cwd: str, environ: dict[str, str], out: IO[bytes], err: IO[bytes]) -> tuple[int, bool]:
    # start_new_session: the terminal sends Ctrl-C to us alone, and we pass it on once.
    with subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd, env=environ, start_new_session=True) as process:
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


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return "\n".join(line.rstrip() for line in file.read().decode(errors="replace").splitlines())
