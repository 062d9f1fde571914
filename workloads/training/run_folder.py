"""The folder of a run on the data share: who uses it, which steps are done, and when it may be removed.

Several pods mount the share at the same time (ReadWriteMany: NFS or SMB). This module uses only operations that such a file
server performs itself: it creates a file exclusively, renames a folder, sets a time stamp. It does not use file locks (`flock`,
`fcntl`). Some mounts have none (`nolock` of NFS, `nobrl` of SMB); on others, a lock is valid on one node only, or it stays when
its pod is gone. So a process that uses a folder has a lease: a file in the folder whose time stamp it renews. A lease that was
not renewed for a long time belongs to a process that has ended. Ages are measured by the clock of the file server, because the
clocks of nodes differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from workloads.context import STEPS, TrainingError
from workloads.training_run import Chunk, Run

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RETAINED_RUNS: Final = 5
"""Number of the latest runs whose folders stay on the data share."""
LEASE_SECONDS: Final = 600.0
"""A process whose lease was not renewed for this long does not use the folder any more."""
LOCK_SECONDS: Final = 120.0
"""After this time without a renewal, a lock may be taken over. Clients of NFS cache time stamps for up to 60 s by default."""
HEARTBEAT_SECONDS: Final = 5.0
ABANDONED_SECONDS: Final = 7 * 24 * 3600.0
"""A run that has not ended, and that no process has used for this long, is abandoned. It may have waited between two steps."""
_RUN, _ENDED, _DONE, _LEASES, _LOCKS, _ATTEMPTS = "run.json", "ended", "done.json", "leases", "locks", "attempts"
_REMOVED: Final = ".removed-"
_RELEASED: Final = ".released"


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The folder of one run. Every process of the run has its own object."""

    path: Path
    run: Run
    """The run as its first process has recorded it: also later processes have its revision and its trainer."""

    @classmethod
    def open(cls, path: Path, run: Run) -> RunFolder:
        """Records the run in its folder, or reads the record of an earlier process.

        Raises:
            TrainingError: the folder belongs to a run with another workload, purpose, version, data, code or image.
        """
        path.mkdir(parents=True, exist_ok=True)
        record = path / _RUN
        if not record.exists():
            _write(record, run.model_copy(update={"step": None, "chunk": Chunk()}).model_dump_json(indent=2))
        try:
            recorded = Run.model_validate_json(record.read_text())
        except ValidationError as error:
            msg = f"{record} is damaged: {error.errors()[0]['msg']}. Start a new run"
            raise TrainingError(msg) from error
        if differences := recorded.differences(run):
            msg = f"run {run.id} cannot be continued: {'; '.join(differences)}. Start a new run"
            raise TrainingError(msg)
        return cls(path=path, run=recorded.model_copy(update={"step": run.step, "chunk": run.chunk}))

    @contextlib.contextmanager
    def lease(self) -> Generator[None]:
        """Marks the folder as used by this process while the context is open, so that nothing removes it."""
        file = self.path / _LEASES / secrets.token_hex(8)
        file.parent.mkdir(exist_ok=True)
        with _heartbeat(file):
            (self.path / _ENDED).unlink(missing_ok=True)
            yield

    def is_done(self, step: str) -> bool:
        """Returns whether an attempt of the step has published files.

        A step without files has to run again: its effect is elsewhere, for example in MLflow, and the step itself has to find
        out there whether it is done.
        """
        done = self.path / STEPS / step / _DONE
        return done.is_file() and bool(json.loads(done.read_text())["files"])

    def has_ended(self, step: str) -> bool:
        """Returns whether an attempt of the step has ended without a failure."""
        return (self.path / STEPS / step / _DONE).is_file()

    @contextlib.contextmanager
    def attempt(self, step: str) -> Generator[Path]:
        """Provides a folder for the files of one attempt of a step. Publishes all of them at once when the context ends.

        The first attempt that ends is published. The files of a second attempt that overlaps it are dropped, because a later
        step may already read those of the first.
        """
        scratch = self.path / _ATTEMPTS / f"{step}-{secrets.token_hex(8)}"
        scratch.mkdir(parents=True)
        try:
            yield scratch
            files = sorted(file.name for file in scratch.iterdir())
            (scratch / _DONE).write_text(json.dumps({"files": files}))
            published = self.path / STEPS / step
            published.parent.mkdir(exist_ok=True)
            try:
                scratch.rename(published)
            except OSError:
                if not (published / _DONE).is_file():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str, *, takeover_seconds: float = LOCK_SECONDS) -> Generator[None]:
        """Waits until no other process holds the lock, and holds it while the context is open.

        A lock is a sequence of numbered files, and the file with the highest number is the current one. A process takes the
        lock when it creates the next file exclusively, after the current one was released (another file says so) or has not
        been renewed for `takeover_seconds`. Files are only added, so two processes that take over the same lock cannot both
        succeed, and a list of files that a client has cached only costs another turn.
        """
        folder = self.path / _LOCKS
        folder.mkdir(exist_ok=True)
        while True:
            number, current = _current_lock(folder, name)
            if current is None or _idle(current, self.path) > takeover_seconds:
                mine = folder / f"{name}.{number + 1}"
                with contextlib.suppress(FileExistsError):
                    mine.touch(exist_ok=False)
                    break
            time.sleep(0.2)
        with _heartbeat(mine, remove=False):
            try:
                yield
            finally:
                mine.with_name(f"{mine.name}{_RELEASED}").touch()

    def end(self) -> None:
        """Records that no further step of the run is expected, so that the folder may be removed when it is an old one."""
        (self.path / _ENDED).touch()


def remove_old_runs(runs: Path, retained: int = RETAINED_RUNS) -> None:
    """Removes the folders of old runs: not the latest ones, none that a process uses, and none that waits for a further step.

    A folder that cannot be removed stays: it only takes up space.
    """
    folders = [folder for folder in runs.iterdir() if folder.is_dir()]
    used = {folder: _last_use(folder) for folder in folders if not folder.name.startswith(_REMOVED)}
    old = sorted(used, key=lambda folder: used[folder], reverse=True)[retained:]
    for folder in old:
        if _is_removable(folder, runs):
            _remove(folder, runs)
    for folder in folders:
        if folder.name.startswith(_REMOVED) and _idle_seconds(folder, runs) > LEASE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path, runs: Path) -> None:
    """Removes a folder. It gets another name first, so that a process that starts meanwhile does not lose some of its files."""
    moved = runs / f"{_REMOVED}{folder.name}-{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        folder.rename(moved)
        if _is_removable(moved, runs):
            shutil.rmtree(moved, ignore_errors=True)
        else:
            moved.rename(folder)


def _is_removable(folder: Path, runs: Path) -> bool:
    leases = list((folder / _LEASES).glob("*"))
    if any(_idle(lease, runs) < LEASE_SECONDS for lease in leases):
        return False
    return (folder / _ENDED).exists() or _idle_seconds(folder, runs) > ABANDONED_SECONDS


def _idle_seconds(folder: Path, runs: Path) -> float:
    """Returns the seconds since a process has used a run's folder. Infinite without the folder."""
    return _now(runs) - _last_use(folder)


def _last_use(folder: Path) -> float:
    """Returns the time at which a process has last used a run's folder, by the file server's clock. Minus infinity: never."""
    signs = [folder, folder / STEPS, folder / _ENDED, *(folder / _LEASES).glob("*")]
    return max(_time_stamp(sign) for sign in signs)


def _idle(file: Path, share: Path) -> float:
    """Returns the seconds since the time stamp of a file was set, by the file server's clock. Infinite without the file."""
    return _now(share) - _time_stamp(file)


def _time_stamp(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return float("-inf")


def _now(share: Path) -> float:
    """Returns the time of the file server's clock: the server sets the time stamp of a new file."""
    probe = share / f".clock-{secrets.token_hex(8)}"
    try:
        probe.write_bytes(b"1")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _current_lock(folder: Path, name: str) -> tuple[int, Path | None]:
    """Returns the highest number of a lock, and its file if it has not been released."""
    pattern = re.compile(rf"{re.escape(name)}\.(\d+)")
    highest = max((int(found[1]) for file in folder.iterdir() if (found := pattern.fullmatch(file.name))), default=0)
    current = folder / f"{name}.{highest}"
    return highest, None if highest == 0 or current.with_name(f"{current.name}{_RELEASED}").exists() else current


@contextlib.contextmanager
def _heartbeat(file: Path, *, remove: bool = True) -> Generator[None]:
    """Creates the file, and renews its time stamp in a thread until the context ends."""
    file.touch()
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # the share does not answer for a while, or the file was released
                os.utime(file)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if remove:
            file.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    """Writes a file under a temporary name and renames it, so that no process reads half of it."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    partial.write_text(text)
    partial.rename(file)
