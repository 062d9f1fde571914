"""Several processes that want to do the same thing: one does it, the others wait and say so."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from common.progress import Progress


@contextmanager
def one_at_a_time(lock: Path, waiting: str, progress: Progress | None) -> Generator[None]:
    """Holds the lock file for as long as the context lasts; it is free again when the process ends, however it ends.

    Args:
        lock: the file, made with its folder if it is not there. It stays.
        waiting: name of the step that is shown while another process holds it.
        progress: is told of the waiting, if there is any.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(waiting) if progress else nullcontext():
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
