"""The files through which a node's commands and its supervisor communicate. They are in the folder `run` below the node's root.

task.json         what the supervisor has to keep running; `start` writes it
state.json        the processes that the supervisor has started
supervisor.lock   held by the running supervisor
stop              exists if the supervisor has to end
command.lock      held by the running `start` or `stop` command
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
    """A process, identified by its id and its start time: the system reuses ids, but not an id with the same start time.

    The process need not be a child of the current process.
    """

    pid: int
    started: str

    @classmethod
    def from_pid(cls, pid: int) -> Process | None:
        """Returns the running process with this id, or None if it has ended."""
        fields = stat(pid)
        return None if fields is None else cls(pid, fields[19])

    @property
    def alive(self) -> bool:
        return Process.from_pid(self.pid) == self


def stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/PID/stat, starting with the state; None if the process has ended, also if it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def child_of(pid: int) -> Process | None:
    """Returns the only child of a process, or None if it has no child."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return Process.from_pid(int(word))
    return None


@dataclass(frozen=True)
class Task:
    """What a supervisor has to keep running, stored in `run/task.json`.

    Args:
        root: see `NodeConfig`.
        api_port: see `NodeConfig`.
        registry_port: see `NodeConfig`.
        node_ports: see `NodeConfig`.
        userland: the root of the userland.
        hyperkube: the path of the binary.
        generation: a hash of the configuration files, the scripts and the binary. A node of another generation is restarted.
    """

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
    """The processes that a supervisor has started, stored in `run/state.json`, so that the next supervisor finds them."""

    unshare: Process | None = None
    init: Process | None = None
    relay: Process | None = None
    uplink: Process | None = None


def read_state(run: Path) -> State:
    """Returns the stored state; an empty state if the file is missing or damaged."""
    try:
        stored: dict[str, dict[str, Any] | None] = json.loads((run / "state.json").read_text())
        return State(**{name: None if value is None else Process(**value) for name, value in stored.items()})
    except (OSError, ValueError, TypeError):
        return State()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


def write_state(run: Path, state: State) -> None:
    _write(run / "state.json", json.dumps(asdict(state), indent=2))


def read_task(run: Path) -> Task | None:
    """Returns the task of the last start, or None if the file is missing or damaged."""
    try:
        stored: dict[str, Any] = json.loads((run / "task.json").read_text())
        stored["node_ports"] = tuple(stored["node_ports"])
        return Task(**stored)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_task(run: Path, task: Task) -> None:
    _write(run / "task.json", json.dumps(asdict(task), indent=2))


def lock(run: Path) -> TextIO | None:
    """Acquires the lock of the supervisor. Returns None if a running supervisor holds it."""
    file = (run / "supervisor.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
