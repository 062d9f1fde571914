"""Ends a node."""

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

_POLITENESS: Final = 10.0
"""Seconds that pods get to end by themselves."""


def stop(config: NodeConfig, progress: Progress | None = None) -> None:
    """Ends the node and all that belongs to it on this machine. Its data stays.

    Raises:
        UserError: a process does not end.
    """
    machine.require_root()
    if not config.root.exists():
        return
    with one_command(config, progress):
        if progress is None:
            end(config, None)
        else:
            with progress.step("node: stop") as step:
                end(config, step)
        config.kubeconfig.unlink(missing_ok=True)


def remove(config: NodeConfig, progress: Progress) -> None:
    """Removes the data of a stopped node.

    Raises:
        UserError: it runs.
    """
    if running(config):
        raise UserError("The node runs: its data cannot be removed.", where=str(config.root), fix="run `modelstack node stop`")
    with progress.step("node: remove its data"):
        shutil.rmtree(config.root, ignore_errors=True)


def one_command(config: NodeConfig, progress: Progress | None) -> AbstractContextManager[None]:
    """One start or stop at a time for each root."""
    return one_at_a_time(config.run / "command.lock", "node: wait for another start or stop", progress)


def end(config: NodeConfig, step: Step | None) -> None:
    """Supervisor first, then the pods with notice, then all the rest."""
    (config.run / "stop").touch()
    deadline = time.monotonic() + 5
    while supervised(config) and time.monotonic() < deadline:
        time.sleep(0.1)
    if running(config):
        if step is not None:
            step.note("pods are ending")
        _end_pods(config)
    clean(config)
    (config.run / "stop").unlink()


def _end_pods(config: NodeConfig) -> None:
    """The kubelet, which would start them again, is ended with them: its supervisor is stopped before."""
    init = record.read_state(config.run).init
    assert init is not None, "the caller has seen it"
    inside = ["nsenter", f"--target={init.pid}", "--mount", "--pid", "--root", "--wd=/"]
    stop_kubelet = [*inside, "sv", "force-stop", "/run/service/kubelet"]
    subprocess.run(stop_kubelet, capture_output=True, check=False, timeout=20)
    group = Cgroup(config.name)
    for pid in group.processes("node/kubepods"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _POLITENESS
    # The processes that hold a pod's namespaces ignore the signal; a pod without other processes has ended.
    while any(_busy(pid) for pid in group.processes("node/kubepods")) and time.monotonic() < deadline:
        time.sleep(0.2)


def _busy(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() != "sleep"
    except OSError:
        return False


def clean(config: NodeConfig) -> None:
    """Ends what is left of a node, finished or not. With its processes go its mounts, interfaces and rules."""
    state = record.read_state(config.run)
    if state.init is not None and state.init.alive:
        os.kill(state.init.pid, signal.SIGKILL)
    group = Cgroup(config.name)
    if not group.kill("", seconds=20):
        left = ", ".join(map(str, sorted(group.processes())))
        raise UserError(
            "Processes of the node do not end.", where=str(config.root), found=left, fix="look at them; restart the machine"
        )
    group.remove()
    for name in ("state.json", "task.json"):
        (config.run / name).unlink(missing_ok=True)
