"""Lets only one process at a time do some work. Other processes that want to do it wait, and show that they wait."""

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
    """Holds an exclusive lock while the context is active. The lock is also released if the process is killed.

    Args:
        lock: the lock file. It is created together with its folder if it does not exist, and is not removed.
        waiting: the name of the step that is shown while another process holds the lock.
        progress: shows that step. None shows nothing.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(waiting) if progress else nullcontext():
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
