"""The supervisor of a node: starts its namespaces, its relay and its uplink, and restarts each of them when it ends.

Inside the node, runit does the same for each service. The supervisor has a standby: a forked copy of itself that only waits
until the supervisor ends, and then takes over. The node is not affected by that. The supervisor ends when the file `stop`
exists.
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

_INTERVAL: Final = 0.5
"""Seconds between two checks."""
_BACKOFF: Final = 2.0
"""Seconds between two starts of the same component."""


class Supervisor:
    """Keeps one task running.

    A lock file in the node's root folder ensures that only one supervisor runs. The standby, a forked copy of the supervisor,
    holds the same lock.
    """

    def __init__(self, task: record.Task) -> None:
        self.task = task
        self.config = task.config
        self.group = Cgroup(self.config.name)
        self.state = record.read_state(self.config.run)
        self.standby: int | None = None
        self.next_start: dict[str, float] = {}

    def loop(self) -> None:
        """Runs until the file `stop` exists."""
        while not (self.config.run / "stop").exists():
            self._reap_children()
            if self._ensure_standby():
                continue
            self._ensure_node()
            self._ensure_connections()
            time.sleep(_INTERVAL)

    def _reap_children(self) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _may_start(self, component: str) -> bool:
        now = time.monotonic()
        if now < self.next_start.get(component, 0):
            return False
        self.next_start[component] = now + _BACKOFF
        return True

    def _ensure_standby(self) -> bool:
        """Starts a standby if there is none.

        Returns:
            False in the supervisor, at once. True in the standby, which returns only after the supervisor has ended: it has
            then taken over.
        """
        if self.standby is not None and record.stat(self.standby) is not None:
            return False
        supervisor = os.pidfd_open(os.getpid())
        self.standby = os.fork()
        is_standby = self.standby == 0
        if is_standby:
            select.select([supervisor], [], [])
            _log("the supervisor has ended; its standby takes over")
            self.standby = None
            self.state = record.read_state(self.config.run)
        os.close(supervisor)
        return is_standby

    def _ensure_node(self) -> None:
        if self.state.init is not None and self.state.init.alive:
            return
        if not self._may_start("node"):
            return
        self._end_connections()
        if self.state.unshare is not None and self.state.unshare.alive:
            os.kill(self.state.unshare.pid, 9)
        if not self.group.kill("node", seconds=10):
            _log("some processes of the node do not end")
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
        _log(f"started the node: {self.state}")

    def _wait_for_child(self, unshare: record.Process | None) -> record.Process | None:
        for _ in range(100):
            if unshare is None or not unshare.alive:
                return None
            if (init := record.child_of(unshare.pid)) is not None:
                return init
            time.sleep(0.05)
        return None

    def _ensure_connections(self) -> None:
        if self.state.init is None or not self.state.init.alive:
            return
        init = self.state.init.pid
        if not _alive(self.state.relay) and self._may_start("relay"):
            self.state.relay = self._spawn(*relay_command(self.config, init), "relay")
            self._save()
            _log(f"started the relay: {self.state.relay}")
        # On a machine without a default route there is no connection to share, and pasta refuses to start.
        if not _alive(self.state.uplink) and _has_default_route() and self._may_start("uplink"):
            self.state.uplink = self._spawn(*uplink_command(Path(self.task.userland), init), "uplink")
            self._save()
            _log(f"started the uplink: {self.state.uplink}")

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
        return record.Process.from_pid(child.pid)

    def _save(self) -> None:
        record.write_state(self.config.run, self.state)


def uplink_command(root: Path, init: int) -> tuple[list[str], dict[str, str]]:
    """Returns the command that connects the node to the outside, and its environment variables.

    `pasta` works in user space, so the machine needs no firewall rule. `root` is the root of the userland, `init` the id of the
    node's first process.
    """
    pasta = ["pasta", "--foreground", "--quiet", "--runas", "0", "--config-net", "--no-map-gw", "--dns-forward", RESOLVER]
    # The node cannot reach the machine's loopback interface. pasta does not forward incoming connections either (the relay
    # does): the version in Debian 12 sometimes never delivers the last bytes of a large upload, and the container registry
    # waits for them without end.
    closed = ["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
    join = ["--netns-only", "--netns", "/run/node"]
    # The namespace is bind-mounted, because pasta has dropped the right to read /proc of other processes before it joins.
    command = userland.argv(root, [*pasta, *closed, *join], [(Path(f"/proc/{init}/ns/net"), "/run/node")])
    return command, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def relay_command(config: NodeConfig, init: int) -> tuple[list[str], dict[str, str]]:
    """Returns the command that opens the node's ports on 127.0.0.1 of the machine, and its environment variables."""
    command = [sys.executable, "-m", "local.node.relay", str(init), *map(str, config.ports())]
    return command, {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(paths.CHECKOUT)}


def _alive(process: record.Process | None) -> bool:
    return process is not None and process.alive


def _has_default_route() -> bool:
    """Returns whether the machine has a default route."""
    with Path("/proc/net/route").open() as routes:
        return any(line.split()[1] == "00000000" for line in routes if not line.startswith("Iface"))


def _log(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), os.getpid(), text, flush=True)


def main(run: Path) -> int:
    """Runs a supervisor until the file `stop` exists. Returns at once if another supervisor runs for this root."""
    lock = record.lock(run)
    if lock is None:
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
