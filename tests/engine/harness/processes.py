"""Programs that a test starts, and that end with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from local import toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator


class Quiet:
    """Progress that nobody watches."""

    def step(self, name):
        del name
        return nullcontext(self)

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


def executable(name: str) -> Path:
    """A built executable: the toolchain's, else one on PATH."""
    make = getattr(toolchain, name, None)
    found = make(Quiet()) if make else shutil.which(name)
    assert found, f"no `{name}`: neither local.toolchain nor PATH has one"
    return Path(found)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(log: Path, *command: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        # It ends with this process, however that ends.
        with_parent = ["setpriv", "--pdeathsig", "TERM", "--"]
        process = subprocess.Popen([*with_parent, *map(str, command)], stdout=file, stderr=file, cwd=cwd)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
