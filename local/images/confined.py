"""Runs a command in its own process and mount namespaces, so that it leaves no process and no mount, however it ends."""

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
_MINIMUM_FREE: Final = 256 * 1024**2
"""Bytes. If a command fails and less disk space is free, the full disk is reported as the cause."""
_DISK_FULL: Final = re.compile("no space left on device", re.IGNORECASE)
# `setpriv` makes the command end when the thread that starts it ends. `unshare` makes its child end together with it. So all
# processes end, even if this process is ended by `kill -9`.
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


def disk_full_error(folder: Path, image: str) -> UserError:
    """Returns the error that reports a full disk.

    Args:
        folder: a folder on that disk.
        image: the name of the image that needs the space.
    """
    return UserError(
        f"The disk is full: there is no space for the image {image}.",
        where=str(folder),
        found=f"{shutil.disk_usage(folder).free // 1024**2} MiB free",
        fix="free some space, then run again; finished layers are reused",
    )


class Cancelled(Exception):  # noqa: N818 - a cancellation is not an error
    """The command was ended because its caller cancelled it."""


class Command:
    """One command, and the file that its output is written to.

    Args:
        argv: the program and its arguments.
        image: the name of the image that the command works on, for error messages.
        log: the file for the output. An existing file is overwritten.
    """

    def __init__(self, argv: Sequence[str], image: str, log: Path) -> None:
        self._argv, self._image, self._log = argv, image, log

    def run(self, on_line: Callable[[str], None], cancelled: threading.Event | None) -> None:
        """Runs the command to its end and calls `on_line` with each line of output.

        Raises:
            UserError: the command failed.
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
                start_new_session=True,  # Ctrl-C must reach only this process, which then ends the command
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
                    on_line(text)
                process.wait()
            finally:
                ended.set()
                process.send_signal(signal.SIGKILL)
        if cancelled is not None and cancelled.is_set():
            raise Cancelled(f"{self._image}: cancelled")
        if process.returncode:
            raise self._error(list(tail), failed_step, process.returncode)

    def _error(self, tail: list[str], step: str, status: int) -> UserError:
        images = self._log.parent.parent
        # Some programs do not report a full disk as such: if apt-get cannot write a file, it reports a wrong signature.
        if any(_DISK_FULL.search(row) for row in tail) or shutil.disk_usage(images).free < _MINIMUM_FREE:
            return disk_full_error(images, self._image)
        at = f" at {step}" if step else ""
        return UserError(
            f"The command for the image {self._image} failed{at} (status {status}).",
            where=str(self._log),
            found="\n" + "\n".join(f"    {row}" for row in tail),
            fix="fix what the output names, then run again; finished layers are reused",
        )


def _end_when(process: subprocess.Popen[str], cancelled: threading.Event, ended: threading.Event) -> None:
    while not ended.is_set():
        if cancelled.wait(0.2):
            process.send_signal(signal.SIGKILL)
            return
