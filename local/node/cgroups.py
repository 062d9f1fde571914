"""The control group that everything of a node belongs to, by which it is found again and ended, whatever it is called.

    <hierarchy>/modelstack-<id>/outer     supervisor, relay, uplink and what started the namespaces
    <hierarchy>/modelstack-<id>/node      the root that the node itself sees
                               /node/init services; beside it the kubelet makes `kubepods`

With version 1 that is in each hierarchy, with version 2 in the one.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = "/sys/fs/cgroup"
_NOT_CONTROLLERS: Final = ("rw", "ro", "xattr", "clone_children", "noprefix", "release_agent=")
_POLL: Final = 0.05


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy.

    Args:
        path: where it is mounted.
        version: 1 or 2.
        options: of version 1, with which it is mounted again inside the node.
    """

    path: Path
    version: int
    options: str = ""


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """Those of a machine, from the content of its /proc/self/mountinfo."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields = line.split()
        separator = fields.index("-")
        path, kind, options = fields[4], fields[separator + 1], fields[separator + 3]
        if kind == "cgroup2" and path == _ROOT:
            # The machine has version 2. Whatever else is mounted does not matter.
            return [Hierarchy(Path(path), 2)]
        if kind == "cgroup":
            name = ",".join(word for word in options.split(",") if not word.startswith(_NOT_CONTROLLERS))
            found.setdefault(name, Hierarchy(Path(path), 1, name))
    return list(found.values())


class Cgroup:
    """The control group of one node.

    Args:
        name: of its folder in each hierarchy.
        known: the hierarchies, by default this machine's.
    """

    def __init__(self, name: str, known: list[Hierarchy] | None = None) -> None:
        self.hierarchies = hierarchies(Path("/proc/self/mountinfo").read_text()) if known is None else known
        self.name = name

    def folders(self, part: str) -> list[Path]:
        """The folders of `outer`, `node` or `node/init` in all hierarchies."""
        return [hierarchy.path / self.name / part for hierarchy in self.hierarchies]

    def create(self, part: str) -> None:
        """Makes the folders of a part, ready to take processes."""
        for hierarchy in self.hierarchies:
            path = hierarchy.path
            for name in (self.name, *part.split("/")):
                # The node's root gives its controllers away itself, once it is the root and empty.
                if hierarchy.version != 1 and path.name != "node":
                    _hand_down_controllers(path)
                inherited = {
                    file: (path / file).read_text() for file in ("cpuset.cpus", "cpuset.mems") if (path / file).exists()
                }
                path /= name
                path.mkdir(exist_ok=True)
                if hierarchy.version == 1:
                    # A new group of the cpuset hierarchy has no processor and takes no process.
                    for file, value in inherited.items():
                        if not (path / file).read_text().strip():
                            (path / file).write_text(value)

    def enter(self, part: str) -> None:
        """Moves this process into a part."""
        for folder in self.folders(part):
            (folder / "cgroup.procs").write_text("0")

    def processes(self, part: str = "") -> set[int]:
        """Ids of all processes in a part and below, in any hierarchy."""
        found: set[int] = set()
        for folder in self.folders(part):
            for path in _below(folder):
                with suppress(OSError):
                    found.update(int(pid) for pid in (path / "cgroup.procs").read_text().split())
        # 0 is a process that this process id namespace has no number for.
        return found - {0, os.getpid()}

    def kill(self, part: str, *, seconds: float) -> bool:
        """Ends all processes of a part by SIGKILL; False if some are there still after `seconds`."""
        deadline = time.monotonic() + seconds
        while pids := self.processes(part):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def exists(self) -> bool:
        return any(folder.exists() for folder in self.folders(""))

    def remove(self, part: str = "", *, seconds: float = 5) -> None:
        """Removes the folders of a part, which has no process any more.

        Raises:
            OSError: it has one.
        """
        deadline = time.monotonic() + seconds
        for folder in self.folders(part):
            while folder.exists():
                try:
                    for path in sorted(_below(folder), key=lambda item: len(item.parts), reverse=True):
                        path.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    # A process that has just ended keeps its group busy for a moment.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL)


def _below(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder):
        yield Path(path)


def _hand_down_controllers(folder: Path) -> None:
    """Version 2: children of `folder` get the controllers that it has."""
    available = (folder / "cgroup.controllers").read_text().split()
    for name in available:
        # A folder with processes of its own, the root apart, cannot; the kubelet then says which controller it misses.
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{name}")
