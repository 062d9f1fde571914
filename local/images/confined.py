"""A command in process and mount namespaces of its own: whatever ends it, nothing of it stays."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_TAIL_LINES: Final = 25
_LEAST_FREE: Final = 256 * 1024**2
"""Bytes. A command that failed where fewer are left has failed for that."""
_FULL: Final = re.compile("no space left on device", re.IGNORECASE)
# The first dies with the thread that starts it, the second's child with the second: all of it goes, even by kill -9.
_CONFINED: Final = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
)


def full_disk(folder: Path, what: str) -> UserError:
    """The error for a disk that has no room for an image.

    Args:
        folder: on that disk.
        what: the image.
    """
    return UserError(
        f"The disk is full: there is no room for the image {what}.",
        where=str(folder),
        found=f"{shutil.disk_usage(folder).free // 1024**2} MiB free",
        fix="make room, then run again; finished layers are kept",
    )


class Cancelled(Exception):  # noqa: N818 - it reads as what happened
    """The command was ended because it was asked to."""


class Command:
    """One command and the file that keeps its output.

    Args:
        argv: program and arguments.
        what: what it makes, for the error message.
        log: is overwritten.
    """

    def __init__(self, argv: Sequence[str], what: str, log: Path) -> None:
        self._argv, self._what, self._log = argv, what, log

    def run(self, line: Callable[[str], None], cancelled: threading.Event | None) -> None:
        """Runs to the end; each line of output goes to `line`.

        Raises:
            UserError: it failed.
            Cancelled: `cancelled` was set.
        """
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        failed_step = ""
        with (
            self._log.open("w", buffering=1) as log,
            subprocess.Popen(
                [*_CONFINED, *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a Ctrl-C is ours to pass on
            ) as process,
        ):
            assert process.stdout is not None
            ended = threading.Event()
            if cancelled is not None:
                threading.Thread(target=_end_when, args=(process, cancelled, ended), daemon=True).start()
            try:
                for text in process.stdout:
                    log.write(text)
                    tail.append(text.rstrip())
                    failed_step = text.strip() if "STEP " in text else failed_step
                    line(text)
                process.wait()
            finally:
                ended.set()
                process.send_signal(signal.SIGKILL)
        if cancelled is not None and cancelled.is_set():
            raise Cancelled(f"{self._what}: cancelled")
        if process.returncode:
            raise self._error(list(tail), failed_step, process.returncode)

    def _error(self, tail: list[str], step: str, status: int) -> UserError:
        images = self._log.parent.parent
        # Not everybody says what is missing: to apt-get, a file that it could not write is one with a wrong signature.
        if any(_FULL.search(row) for row in tail) or shutil.disk_usage(images).free < _LEAST_FREE:
            return full_disk(images, self._what)
        at = f" at {step}" if step else ""
        return UserError(
            f"The image {self._what} failed{at} (status {status}).",
            where=str(self._log),
            found="\n" + "\n".join(f"    {row}" for row in tail),
            fix="mend what the output names, then run again; finished layers are kept",
        )


def _end_when(process: subprocess.Popen[str], cancelled: threading.Event, ended: threading.Event) -> None:
    while not ended.is_set():
        if cancelled.wait(0.2):
            process.send_signal(signal.SIGKILL)
            return
