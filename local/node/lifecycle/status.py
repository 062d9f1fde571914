"""What can be seen of a node."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clients.node_api import NodeApi, NodeApiError
from local.node import record
from local.node.cgroups import Cgroup
from local.node.config import NODE_NAME

if TYPE_CHECKING:
    from local.node.config import NodeConfig


@dataclass(frozen=True)
class Status:
    """What can be seen of a node.

    Args:
        running: its namespaces exist.
        supervised: its supervisor lives.
        ready: its API server says so of itself and of the node.
        services: process id on the machine by service; None for a service that is not running.
    """

    running: bool
    supervised: bool
    ready: bool
    services: dict[str, int | None]


def status(config: NodeConfig) -> Status:
    """What is seen of the node now."""
    if not running(config):
        return Status(running=False, supervised=supervised(config), ready=False, services={})
    ready = False
    with suppress(OSError, NodeApiError, KeyError):
        ready = NodeApi(config.api_port, config.keys, timeout=3).healthy() and node_ready(config)
    return Status(running=True, supervised=supervised(config), ready=ready, services=processes(config))


def processes(config: NodeConfig) -> dict[str, int | None]:
    """Process id on this machine of each service."""
    init = record.read_state(config.run).init
    if init is None or not init.alive:
        return {}
    numbers = _numbers_inside(Cgroup(config.name).processes("node"))
    found: dict[str, int | None] = {}
    # Empty for a moment: the first process has more to do before it becomes runit's.
    for folder in sorted(Path(f"/proc/{init.pid}/root/run/service").glob("*")):
        text = ""
        with suppress(OSError):
            text = (folder / "supervise" / "pid").read_text().strip()
        found[folder.name] = numbers.get(int(text)) if text else None
    return found


def _numbers_inside(pids: set[int]) -> dict[int, int]:
    """Process id on the machine by process id in the node. Containers have further numbers, which do not matter."""
    found: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
            if len(numbers) == 2:  # noqa: PLR2004 - its number here, its number in the node
                found[int(numbers[1])] = pid
    return found


def supervised(config: NodeConfig) -> bool:
    """Whether its supervisor lives: it holds a lock."""
    if not config.run.exists():
        return False
    lock = record.lock(config.run)
    if lock is not None:
        lock.close()
    return lock is None


def running(config: NodeConfig) -> bool:
    """Whether its first process lives, and with it its namespaces."""
    init = record.read_state(config.run).init
    return init is not None and init.alive


def node_ready(config: NodeConfig) -> bool:
    """Whether the API server says that the node is ready."""
    try:
        conditions = NodeApi(config.api_port, config.keys).get(f"/api/v1/nodes/{NODE_NAME}")["status"]["conditions"]
    except (OSError, NodeApiError, KeyError):
        return False
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
