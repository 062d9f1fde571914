"""The control group that holds all processes of a node. It is used to find and to end them, whatever their names are.

    <hierarchy>/modelstack-<id>/outer      supervisor, relay, uplink and the `unshare` process that created the namespaces
    <hierarchy>/modelstack-<id>/node       the root of the hierarchy as the node itself sees it
    <hierarchy>/modelstack-<id>/node/init  the node's services; the kubelet creates `kubepods` beside it

Version 1 of control groups has several hierarchies, and these groups exist in each; version 2 has one hierarchy.
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
    """A mounted hierarchy of control groups.

    Args:
        path: the mount point.
        version: 1 or 2.
        options: the mount options that mount this hierarchy again inside the node; version 1 only.
    """

    path: Path
    version: int
    options: str = ""


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """Returns the hierarchies of a machine. `mountinfo` is the content of its /proc/self/mountinfo."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields = line.split()
        separator = fields.index("-")
        path, kind, options = fields[4], fields[separator + 1], fields[separator + 3]
        if kind == "cgroup2" and path == _ROOT:
            # The machine uses version 2: further mounts of version 1 do not matter.
            return [Hierarchy(Path(path), 2)]
        if kind == "cgroup":
            name = ",".join(word for word in options.split(",") if not word.startswith(_NOT_CONTROLLERS))
            found.setdefault(name, Hierarchy(Path(path), 1, name))
    return list(found.values())


class Cgroup:
    """The control group of one node.

    Args:
        name: the name of its folder in each hierarchy.
        mounted: the hierarchies. Defaults to those of this machine.
    """

    def __init__(self, name: str, mounted: list[Hierarchy] | None = None) -> None:
        self.hierarchies = hierarchies(Path("/proc/self/mountinfo").read_text()) if mounted is None else mounted
        self.name = name

    def folders(self, part: str) -> list[Path]:
        """Returns the folder of a part (`outer`, `node`, `node/init`, or empty for the whole group) in each hierarchy."""
        return [hierarchy.path / self.name / part for hierarchy in self.hierarchies]

    def create(self, part: str) -> None:
        """Creates the folders of a part, so that processes can enter them."""
        for hierarchy in self.hierarchies:
            path = hierarchy.path
            for name in (self.name, *part.split("/")):
                # The node enables the controllers below `node` itself, when `node` is its root and has no processes.
                if hierarchy.version != 1 and path.name != "node":
                    _enable_controllers(path)
                inherited = {
                    file: (path / file).read_text() for file in ("cpuset.cpus", "cpuset.mems") if (path / file).exists()
                }
                path /= name
                path.mkdir(exist_ok=True)
                if hierarchy.version == 1:
                    # A new group of the cpuset hierarchy has no processors, and no process can enter it.
                    for file, value in inherited.items():
                        if not (path / file).read_text().strip():
                            (path / file).write_text(value)

    def enter(self, part: str) -> None:
        """Moves the current process into a part."""
        for folder in self.folders(part):
            (folder / "cgroup.procs").write_text("0")

    def processes(self, part: str = "") -> set[int]:
        """Returns the ids of all processes in a part and below it, in any hierarchy, except for the current process."""
        found: set[int] = set()
        for folder in self.folders(part):
            for path in _below(folder):
                with suppress(OSError):
                    found.update(int(pid) for pid in (path / "cgroup.procs").read_text().split())
        # 0 stands for a process outside of the current process id namespace.
        return found - {0, os.getpid()}

    def kill(self, part: str, *, seconds: float) -> bool:
        """Ends all processes of a part with SIGKILL. Returns False if some have not ended after `seconds`."""
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
        """Removes the folders of a part that has no processes.

        Raises:
            OSError: the part still has processes after `seconds`.
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
                    # For a moment after a process has ended, the kernel reports its group as busy.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL)


def _below(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder):
        yield Path(path)


def _enable_controllers(folder: Path) -> None:
    """Enables all controllers of `folder` for its children (version 2)."""
    available = (folder / "cgroup.controllers").read_text().split()
    for name in available:
        # The kernel refuses this for a group with processes, except for the root group. If a controller is missing in the
        # end, the kubelet names it.
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{name}")
