"""What keeps a node alive from outside: starts its namespaces, its relay and its uplink, and starts them again when they end.

runit inside the node does the same for each service. This process has an heir, a copy of itself that does nothing but wait
for its end and then takes its place; the node goes on meanwhile. It ends when it finds the file `stop`.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths
from local import userland
from local.node import namespace, record
from local.node.cgroups import Cgroup
from local.node.config import RESOLVER

if TYPE_CHECKING:
    from local.node.config import NodeConfig

_ROUND: Final = 0.5
_BACKOFF: Final = 2.0
"""Seconds between two starts of the same thing."""


class Supervisor:
    """The loop. One at a time holds the lock of a root; its heir holds it with it."""

    def __init__(self, task: record.Task) -> None:
        self.task = task
        self.config = task.config
        self.group = Cgroup(self.config.name)
        self.state = record.read_state(self.config.run)
        self.heir: int | None = None
        self.next_start: dict[str, float] = {}

    def loop(self) -> None:
        """Returns when it is told to stop."""
        while not (self.config.run / "stop").exists():
            self._bury()
            if self._have_heir():
                continue
            self._have_node()
            self._have_connections()
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

    def _have_heir(self) -> bool:
        """True in an heir that has just come to its inheritance, long after it was made."""
        if self.heir is not None and record.stat(self.heir) is not None:
            return False
        parent = os.pidfd_open(os.getpid())
        self.heir = os.fork()
        inherits = self.heir == 0
        if inherits:
            select.select([parent], [], [])
            _say("the supervisor has ended; its heir goes on")
            self.heir = None
            self.state = record.read_state(self.config.run)
        os.close(parent)
        return inherits

    def _have_node(self) -> None:
        if self.state.init is not None and self.state.init.alive:
            return
        if not self._may_start("node"):
            return
        self._end_connections()
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
        self.state = record.State(unshare, init)
        self._save()
        _say(f"started the node: {self.state}")

    def _wait_for_child(self, unshare: record.Process | None) -> record.Process | None:
        for _ in range(100):
            if unshare is None or not unshare.alive:
                return None
            if (init := record.child_of(unshare.pid)) is not None:
                return init
            time.sleep(0.05)
        return None

    def _have_connections(self) -> None:
        if self.state.init is None or not self.state.init.alive:
            return
        init = self.state.init.pid
        if not _alive(self.state.relay) and self._may_start("relay"):
            self.state.relay = self._spawn(*relay_command(self.config, init), "relay")
            self._save()
            _say(f"started the relay: {self.state.relay}")
        # A machine without a route has no way out to share, and pasta refuses to work there.
        if not _alive(self.state.uplink) and _routed() and self._may_start("uplink"):
            self.state.uplink = self._spawn(*uplink_command(Path(self.task.userland), init), "uplink")
            self._save()
            _say(f"started the uplink: {self.state.uplink}")

    def _end_connections(self) -> None:
        for process in (self.state.relay, self.state.uplink):
            if process is not None and process.alive:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, 9)

    def _spawn(self, command: list[str], environment: dict[str, str], log: str) -> record.Process | None:
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
        return record.Process.of(child.pid)

    def _save(self) -> None:
        record.write_state(self.config.run, self.state)


def uplink_command(root: Path, init: int) -> tuple[list[str], dict[str, str]]:
    """The node's way out, without a rule on the machine."""
    pasta = ["pasta", "--foreground", "--quiet", "--runas", "0", "--config-net", "--no-map-gw", "--dns-forward", RESOLVER]
    # Nothing of the machine's own loopback interface is open to the node. The way in is not pasta's either: that of Debian 12
    # now and then keeps the last bytes of a large upload to itself, for ever, and the registry waits for them.
    closed = ["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
    join = ["--netns-only", "--netns", "/run/node"]
    # By a bind mount: it has given up the right to look into /proc by the time it joins.
    command = userland.argv(root, [*pasta, *closed, *join], [(Path(f"/proc/{init}/ns/net"), "/run/node")])
    return command, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def relay_command(config: NodeConfig, init: int) -> tuple[list[str], dict[str, str]]:
    """What brings the node's ports to 127.0.0.1 of the machine."""
    command = [sys.executable, "-m", "local.node.relay", str(init), *map(str, config.ports())]
    return command, {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(paths.CHECKOUT)}


def _alive(process: record.Process | None) -> bool:
    return process is not None and process.alive


def _routed() -> bool:
    """Whether the machine has a default route."""
    with Path("/proc/net/route").open() as routes:
        return any(line.split()[1] == "00000000" for line in routes if not line.startswith("Iface"))


def _say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), os.getpid(), text, flush=True)


def main(run: Path) -> int:
    """Runs until told to stop. Ends at once if another supervisor is there."""
    held = record.lock(run)
    if held is None:
        return 0
    task = record.read_task(run)
    assert task is not None, "the task is written before the supervisor is started"
    supervisor = Supervisor(task)
    supervisor.group.create("outer")
    supervisor.group.enter("outer")
    supervisor.loop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
