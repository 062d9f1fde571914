"""Stops a node and removes its data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from local.node import machine, record
from local.node.cgroups import Cgroup
from local.node.lifecycle.status import running, supervised
from local.turns import one_at_a_time

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from common.progress import Progress, Step
    from local.node.config import NodeConfig

_GRACE_PERIOD: Final = 10.0
"""Seconds that pods have to end after SIGTERM."""


def stop(config: NodeConfig, progress: Progress | None = None) -> None:
    """Stops the node: ends all its processes and removes its kubeconfig. Its data is retained.

    Raises:
        UserError: the user is not root, or a process does not end.
    """
    machine.require_root()
    if not config.root.exists():
        return
    with command_lock(config, progress):
        if progress is None:
            shut_down(config, None)
        else:
            with progress.step("node: stop") as step:
                shut_down(config, step)
        config.kubeconfig.unlink(missing_ok=True)


def remove(config: NodeConfig, progress: Progress) -> None:
    """Removes the data of a stopped node.

    Raises:
        UserError: the node runs.
    """
    if running(config):
        raise UserError(
            "The data of a running node cannot be removed.", where=str(config.root), fix="run `modelstack node stop`"
        )
    with progress.step("node: remove its data"):
        shutil.rmtree(config.root, ignore_errors=True)


def command_lock(config: NodeConfig, progress: Progress | None) -> AbstractContextManager[None]:
    """Returns a context that allows only one `start` or `stop` at a time for each root."""
    return one_at_a_time(config.run / "command.lock", "node: wait for another start or stop command", progress)


def shut_down(config: NodeConfig, step: Step | None) -> None:
    """Ends the supervisor, then the pods (with a grace period), then all other processes of the node."""
    (config.run / "stop").touch()
    deadline = time.monotonic() + 5
    while supervised(config) and time.monotonic() < deadline:
        time.sleep(0.1)
    if running(config):
        if step is not None:
            step.note("wait for pods to end")
        _end_pods(config)
    kill_remaining(config)
    (config.run / "stop").unlink()


def _end_pods(config: NodeConfig) -> None:
    """Sends SIGTERM to the processes of all pods and waits for the grace period.

    Stops the kubelet first, because it would restart the pods. `sv` also stops runit from restarting the kubelet.
    """
    init = record.read_state(config.run).init
    assert init is not None, "the caller has checked that the node runs"
    inside = ["nsenter", f"--target={init.pid}", "--mount", "--pid", "--root", "--wd=/"]
    stop_kubelet = [*inside, "sv", "force-stop", "/run/service/kubelet"]
    subprocess.run(stop_kubelet, capture_output=True, check=False, timeout=20)
    group = Cgroup(config.name)
    for pid in group.processes("node/kubepods"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_PERIOD
    # The `sleep` process of each pod, which holds its namespaces, ignores SIGTERM. A pod without other processes has ended.
    while any(_busy(pid) for pid in group.processes("node/kubepods")) and time.monotonic() < deadline:
        time.sleep(0.2)


def _busy(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() != "sleep"
    except OSError:
        return False


def kill_remaining(config: NodeConfig) -> None:
    """Kills all remaining processes of a node, also of one that is only partly started, and removes its control group.

    The mounts, network interfaces and firewall rules of the node end with its namespaces.

    Raises:
        UserError: a process does not end.
    """
    state = record.read_state(config.run)
    if state.init is not None and state.init.alive:
        os.kill(state.init.pid, signal.SIGKILL)
    group = Cgroup(config.name)
    if not group.kill("", seconds=20):
        remaining = ", ".join(map(str, sorted(group.processes())))
        raise UserError(
            "Some processes of the node do not end.",
            where=str(config.root),
            found=f"process ids {remaining}",
            fix="check why these processes do not end; if nothing else helps, restart the machine",
        )
    group.remove()
    for name in ("state.json", "task.json"):
        (config.run / name).unlink(missing_ok=True)
