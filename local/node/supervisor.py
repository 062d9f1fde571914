"""What keeps a node alive from outside: starts its namespaces and its forwarder, and starts them again when they end.

runit inside the node does the same for each service. This process has an heir, a copy of itself that does nothing but wait
for its end and then takes its place; the node goes on meanwhile. It ends when it finds the file `stop`.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TextIO

from local import userland
from local.node import namespace
from local.node.cgroups import Cgroup
from local.node.config import RESOLVER, NodeConfig

_ROUND: Final = 0.5
_BACKOFF: Final = 2.0
"""Seconds between two starts of the same thing."""


@dataclass(frozen=True)
class Process:
    """A process that may be another's child: known by id and time of start, which together are not reused."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """None: it has ended."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, fields[19])

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self


def _stat(pid: int) -> list[str] | None:
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
    forwarder: Process | None = None


def read_state(run: Path) -> State:
    """The state as last written; empty if there is none, or half of one."""
    try:
        known = json.loads((run / "state.json").read_text())
        return State(**{name: None if value is None else Process(**value) for name, value in known.items()})
    except (OSError, ValueError, TypeError):
        return State()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


def read_task(run: Path) -> Task | None:
    """The task of the last start."""
    try:
        known = json.loads((run / "task.json").read_text())
        return Task(**{**known, "node_ports": tuple(known["node_ports"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_task(run: Path, task: Task) -> None:
    _write(run / "task.json", json.dumps(asdict(task), indent=2))


class Supervisor:
    """The loop. One at a time holds the lock of a root; its heir holds it with it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.config = task.config
        self.group = Cgroup(self.config.name)
        self.state = read_state(self.config.run)
        self.heir: int | None = None
        self.next_start: dict[str, float] = {}

    def loop(self) -> None:
        """Returns when it is told to stop."""
        while not (self.config.run / "stop").exists():
            self._bury()
            self._have_heir()
            self._have_node()
            self._have_forwarder()
            time.sleep(_ROUND)

    def _bury(self) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _may_start(self, what: str) -> bool:
        now = time.monotonic()
        if now < self.next_start.get(what, 0):
            return False
        self.next_start[what] = now + _BACKOFF
        return True

    def _have_heir(self) -> None:
        if self.heir is not None and _stat(self.heir) is not None:
            return
        parent = os.pidfd_open(os.getpid())
        self.heir = os.fork()
        if self.heir == 0:
            select.select([parent], [], [])
            self.heir = None
            _say("the supervisor has ended; its heir goes on")
        os.close(parent)

    def _have_node(self) -> None:
        if self.state.init is not None and self.state.init.alive:
            return
        if not self._may_start("node"):
            return
        self._end_forwarder()
        if self.state.unshare is not None and self.state.unshare.alive:
            os.kill(self.state.unshare.pid, 9)
        if not self.group.kill("node", seconds=10):
            _say("some of the node's processes do not end")
            return
        self.group.remove("node")
        self.group.create("node/init")
        command, environment = namespace.start_command(
            self.config, self.group, Path(self.task.userland), Path(self.task.hyperkube)
        )
        unshare = self._spawn(command, environment, "node")
        init = self._wait_for_child(unshare)
        self.state = State(unshare, init)
        self._save()
        _say(f"started the node: {self.state}")

    def _wait_for_child(self, unshare: Process | None) -> Process | None:
        for _ in range(100):
            if unshare is None or not unshare.alive:
                return None
            if (init := child_of(unshare.pid)) is not None:
                return init
            time.sleep(0.05)
        return None

    def _have_forwarder(self) -> None:
        if self.state.init is None or not self.state.init.alive:
            return
        if self.state.forwarder is not None and self.state.forwarder.alive:
            return
        if not self._may_start("forwarder"):
            return
        command, environment = forward_command(self.config, Path(self.task.userland), self.state.init.pid)
        self.state.forwarder = self._spawn(command, environment, "forwarder")
        self._save()
        _say(f"started the forwarder: {self.state.forwarder}")

    def _end_forwarder(self) -> None:
        if self.state.forwarder is not None and self.state.forwarder.alive:
            with suppress(ProcessLookupError):
                os.kill(self.state.forwarder.pid, 9)

    def _spawn(self, command: list[str], environment: dict[str, str], log: str) -> Process | None:
        with (self.config.logs / f"{log}.log").open("wb") as output:
            child = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
            )
        return Process.of(child.pid)

    def _save(self) -> None:
        _write(self.config.run / "state.json", json.dumps(asdict(self.state), indent=2))


def forward_command(config: NodeConfig, root: Path, init: int) -> tuple[list[str], dict[str, str]]:
    """What connects the node with the machine: its ports on 127.0.0.1, and the way out, all without a rule on the machine."""
    ports = f"127.0.0.1/{config.api_port},{config.registry_port},{config.node_ports[0]}-{config.node_ports[1]}"
    pasta = ["pasta", "--foreground", "--quiet", "--runas", "0", "--config-net", "--no-map-gw", "--dns-forward", RESOLVER]
    # Nothing of the machine's own loopback interface is open to the node.
    closed = ["--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
    join = ["--netns-only", "--netns", "/run/node"]
    # By a bind mount: it has given up the right to look into /proc by the time it joins.
    command = userland.argv(root, [*pasta, "--tcp-ports", ports, *closed, *join], [(Path(f"/proc/{init}/ns/net"), "/run/node")])
    return command, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def _say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), os.getpid(), text, flush=True)


def lock(run: Path) -> TextIO | None:
    """The lock that a living supervisor holds, if it can be had: None while there is one."""
    file = (run / "supervisor.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def main(run: Path) -> int:
    """Runs until told to stop. Ends at once if another supervisor is there."""
    held = lock(run)
    if held is None:
        return 0
    task = read_task(run)
    assert task is not None, "the task is written before the supervisor is started"
    supervisor = Supervisor(task)
    supervisor.group.create("outer")
    supervisor.group.enter("outer")
    supervisor.loop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
