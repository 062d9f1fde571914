"""One command at a time changes an environment."""

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
    """Holds the checkout's lock. The kernel drops it with the process, however that ends, so it is never stale.

    Args:
        command: what the user ran; the other one's message tells it.
        file: the lock file; `.modelstack/lock` unless told.

    Raises:
        UserError: another command holds it.
    """
    path = file if file is not None else paths.STATE / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # O_CLOEXEC (Python's default): programs started meanwhile do not inherit the lock.
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
                fix="wait until it is done, or stop it, then run this command again",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"`modelstack {command}`, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)
