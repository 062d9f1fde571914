"""A lock, so that only one command at a time changes the environments of this checkout."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from common import paths
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(command: str, file: Path | None = None) -> Generator[None]:
    """Holds the checkout's lock. The kernel releases the lock when the process ends, however it ends, so it is never stale.

    Args:
        command: the command that the user ran; a second command shows it in its error message.
        file: the lock file; by default `.modelstack/lock`.

    Raises:
        UserError: another command holds the lock.
    """
    path = file if file is not None else paths.STATE / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Python opens files with O_CLOEXEC, so programs that this process starts do not inherit the lock.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another modelstack command"
            raise UserError(
                "Another command is changing this environment.",
                where=str(path),
                found=holder,
                fix="wait until that command ends, or stop it; then run this command again",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"`modelstack {command}`, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)
