"""Runs a program of somebody else, such as a credential plugin, for a limited time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(
    command: Sequence[str], seconds: float | None, *, text: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process group of its own, and returns its output.

    After `seconds`, or if this process is interrupted, the whole group is killed. Without a group, a child of the program could
    hold the pipes open, and reading them would wait for it.

    Args:
        command: the program and its arguments.
        seconds: the limit; None for none.
        text: the standard input; None for an empty one.
        env: the environment; None for that of this process.

    Raises:
        OSError: the program is missing or is not executable.
        subprocess.TimeoutExpired: the program did not end in time.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=env,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(text or "", timeout=seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)
