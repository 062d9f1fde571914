"""Reads the state of a node from its processes and its API server."""

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
    """The state of a node.

    Args:
        running: whether the node's namespaces exist.
        supervised: whether the node's supervisor runs.
        ready: whether the API server is healthy and reports the node as ready.
        services: the process id of each service on the machine; None for a service that does not run.
    """

    running: bool
    supervised: bool
    ready: bool
    services: dict[str, int | None]


def status(config: NodeConfig) -> Status:
    """Returns the current state of the node."""
    if not running(config):
        return Status(running=False, supervised=supervised(config), ready=False, services={})
    ready = False
    with suppress(OSError, NodeApiError, KeyError):
        ready = NodeApi(config.api_port, config.keys, timeout=3).healthy() and node_ready(config)
    return Status(running=True, supervised=supervised(config), ready=ready, services=processes(config))


def processes(config: NodeConfig) -> dict[str, int | None]:
    """Returns the process id of each service on this machine, or None if the service does not run."""
    init = record.read_state(config.run).init
    if init is None or not init.alive:
        return {}
    numbers = _numbers_inside(Cgroup(config.name).processes("node"))
    pids: dict[str, int | None] = {}
    # The folder does not exist until the first process has prepared the file systems and has become runit's `runsvdir`.
    for folder in sorted(Path(f"/proc/{init.pid}/root/run/service").glob("*")):
        text = ""
        with suppress(OSError):
            text = (folder / "supervise" / "pid").read_text().strip()
        pids[folder.name] = numbers.get(int(text)) if text else None
    return pids


def _numbers_inside(pids: set[int]) -> dict[int, int]:
    """Returns the process ids on the machine by the process ids inside the node.

    Processes of containers are omitted: they have a third id, inside the container.
    """
    ids: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
            if len(numbers) == 2:  # noqa: PLR2004 - the id on the machine and the id in the node
                ids[int(numbers[1])] = pid
    return ids


def supervised(config: NodeConfig) -> bool:
    """Returns whether the node's supervisor runs: a running supervisor holds the lock."""
    if not config.run.exists():
        return False
    lock = record.lock(config.run)
    if lock is not None:
        lock.close()
    return lock is None


def running(config: NodeConfig) -> bool:
    """Returns whether the node's first process runs: its namespaces exist for as long as this process runs."""
    init = record.read_state(config.run).init
    return init is not None and init.alive


def node_ready(config: NodeConfig) -> bool:
    """Returns whether the API server reports the node as ready."""
    try:
        conditions = NodeApi(config.api_port, config.keys).get(f"/api/v1/nodes/{NODE_NAME}")["status"]["conditions"]
    except (OSError, NodeApiError, KeyError):
        return False
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
