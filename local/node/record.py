"""What the processes around a node write down for each other, in `run` below its root.

`task.json`: what the supervisor is to keep running. `state.json`: what it has started. `supervisor.lock`: held while one
lives. `stop`: it is to end. `command.lock`: held by the start or stop under way.
"""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from local.node.config import NodeConfig


@dataclass(frozen=True)
class Process:
    """A process that may be another's child: known by id and time of start, which together are not reused."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """None: it has ended."""
        fields = stat(pid)
        return None if fields is None else cls(pid, fields[19])

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self


def stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None for what has ended, buried or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def child_of(pid: int) -> Process | None:
    """The only child of a process."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return Process.of(int(word))
    return None


@dataclass(frozen=True)
class Task:
    """What a supervisor is told, in `run/task.json`."""

    root: str
    api_port: int
    registry_port: int
    node_ports: tuple[int, int]
    userland: str
    hyperkube: str
    generation: str

    @property
    def config(self) -> NodeConfig:
        first, last = self.node_ports
        return NodeConfig(Path(self.root), self.api_port, self.registry_port, (first, last))


@dataclass
class State:
    """What a supervisor has started, in `run/state.json`: whoever comes after it goes on from there."""

    unshare: Process | None = None
    init: Process | None = None
    relay: Process | None = None
    uplink: Process | None = None


def read_state(run: Path) -> State:
    """The state as last written; empty if there is none, or half of one."""
    try:
        known: dict[str, dict[str, Any] | None] = json.loads((run / "state.json").read_text())
        return State(**{name: None if value is None else Process(**value) for name, value in known.items()})
    except (OSError, ValueError, TypeError):
        return State()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


def write_state(run: Path, state: State) -> None:
    _write(run / "state.json", json.dumps(asdict(state), indent=2))


def read_task(run: Path) -> Task | None:
    """The task of the last start."""
    try:
        known: dict[str, Any] = json.loads((run / "task.json").read_text())
        known["node_ports"] = tuple(known["node_ports"])
        return Task(**known)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_task(run: Path, task: Task) -> None:
    _write(run / "task.json", json.dumps(asdict(task), indent=2))


def lock(run: Path) -> TextIO | None:
    """The lock that a living supervisor holds, if it can be had: None while there is one."""
    file = (run / "supervisor.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
