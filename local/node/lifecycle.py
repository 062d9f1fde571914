"""Start, stop and state of a node."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clients.node_api import Api, NodeApiError
from common import paths
from common.errors import UserError
from local import userland
from local.node import machine, namespace, ports, record, seed
from local.node.cgroups import Cgroup
from local.node.config import DNS_SERVICE, DOMAIN, NODE_NAME
from local.node.kubernetes import files, objects, pki
from local.turns import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from common.progress import Progress, Step
    from local.node.config import NodeConfig

_PATIENCE: Final = 180.0
"""Seconds until a part of a starting node counts as failed."""
_POLITENESS: Final = 10.0
"""Seconds that pods get to end by themselves."""


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


def start(config: NodeConfig, progress: Progress, *, hyperkube: Path | None = None) -> str:
    """Makes the node of `config` run and waits until it is ready; whatever already holds is left alone.

    Args:
        config: the node.
        progress: told what takes long.
        hyperkube: the binary, by default the toolchain's.

    Returns:
        The administrator's kubeconfig.

    Raises:
        UserError: not root, a port taken, something does not come up.
    """
    machine.require_root()
    if hyperkube is None:
        from local import toolchain  # noqa: PLC0415 - heavy, and not needed with a binary at hand

        hyperkube = toolchain.hyperkube(progress)
    root = userland.ensure(progress)
    base = userland.base_image(progress)
    with _one_at_a_time(config, progress):
        with progress.step("node: start") as step:
            _prepare(config, root)
            task = _task(config, root, hyperkube, _render(config))
            # Another task, or a stop that did not get to its end.
            if record.read_task(config.run) != task or (config.run / "stop").exists():
                _end(config, step)
                _write_files(config)
            if not _supervised(config):
                if not _running(config):
                    _clean(config)
                    ports.require_free(config.ports())
                (config.run / "stop").unlink(missing_ok=True)
                record.write_task(config.run, task)
                _spawn_supervisor(config)
            _bring_up(config, base, step)
        kubeconfig = pki.admin_kubeconfig(config)
        _write_secret(config.kubeconfig, kubeconfig)
    return kubeconfig


def stop(config: NodeConfig, progress: Progress | None = None) -> None:
    """Ends the node and all that belongs to it on this machine. Its data stays.

    Raises:
        UserError: a process does not end.
    """
    machine.require_root()
    if not config.root.exists():
        return
    with _one_at_a_time(config, progress):
        if progress is None:
            _end(config, None)
        else:
            with progress.step("node: stop") as step:
                _end(config, step)
        config.kubeconfig.unlink(missing_ok=True)


def remove(config: NodeConfig, progress: Progress) -> None:
    """Removes the data of a stopped node.

    Raises:
        UserError: it runs.
    """
    if _running(config):
        raise UserError("The node runs: its data cannot be removed.", where=str(config.root), fix="run `modelstack node stop`")
    with progress.step("node: remove its data"):
        shutil.rmtree(config.root, ignore_errors=True)


def status(config: NodeConfig) -> Status:
    """What is seen of the node now."""
    if not _running(config):
        return Status(running=False, supervised=_supervised(config), ready=False, services={})
    ready = False
    with suppress(OSError, NodeApiError, KeyError):
        ready = Api(config, timeout=3).healthy() and _node_ready(config)
    return Status(running=True, supervised=_supervised(config), ready=ready, services=processes(config))


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


def _one_at_a_time(config: NodeConfig, progress: Progress | None) -> AbstractContextManager[None]:
    """One start or stop at a time for each root."""
    return one_at_a_time(config.run / "command.lock", "node: wait for another start or stop", progress)


def _prepare(config: NodeConfig, root: Path) -> None:
    for name in ("etcd", "containerd", "kubelet", "volumes", "registry", "logs", "logs/pods"):
        (config.root / name).mkdir(parents=True, exist_ok=True)
    # Others on the machine see nothing of what pods keep.
    for name in ("", "etcd", "run"):
        (config.root / name).chmod(0o700)
    pki.ensure(config, root)


def _render(config: NodeConfig) -> dict[str, str]:
    key = (config.keys / "secrets.key").read_text().strip()
    return files.render(config, machine.inspect(config.root), key)


def _task(config: NodeConfig, root: Path, hyperkube: Path, rendered: dict[str, str]) -> record.Task:
    """Another task than the running node's means that it has to be started anew."""
    parts = [text for item in sorted(rendered.items()) for text in item]
    content = "\0".join((*parts, namespace.SCRIPTS, str(hyperkube.stat().st_mtime_ns)))
    generation = hashlib.sha256(content.encode()).hexdigest()
    where = (str(config.root.resolve()), config.api_port, config.registry_port, config.node_ports)
    return record.Task(*where, str(root), str(hyperkube), generation)


def _write_files(config: NodeConfig) -> None:
    part = config.root / "etc.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    for name, text in _render(config).items():
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.rmtree(config.rendered, ignore_errors=True)
    part.rename(config.rendered)


def _write_secret(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.rename(path)


def _supervised(config: NodeConfig) -> bool:
    if not config.run.exists():
        return False
    lock = record.lock(config.run)
    if lock is not None:
        lock.close()
    return lock is None


def _running(config: NodeConfig) -> bool:
    init = record.read_state(config.run).init
    return init is not None and init.alive


def _spawn_supervisor(config: NodeConfig) -> None:
    """Away from this process and its terminal, so that neither's end is the supervisor's."""
    command = [sys.executable, "-m", "local.node.supervisor", str(config.run.resolve())]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", "/root"),
        "PYTHONPATH": str(paths.CHECKOUT),
    }
    with (config.logs / "supervisor.log").open("ab") as log:
        # Two steps, so that it is no child of ours: a caller that waits for its children does not wait for it.
        script = 'setsid "$@" < /dev/null & '
        subprocess.run(["sh", "-c", script, "sh", *command], env=environment, stdout=log, stderr=log, cwd="/", check=True)


def _end(config: NodeConfig, step: Step | None) -> None:
    """Supervisor first, then the pods with notice, then all the rest."""
    (config.run / "stop").touch()
    deadline = time.monotonic() + 5
    while _supervised(config) and time.monotonic() < deadline:
        time.sleep(0.1)
    if _running(config):
        if step is not None:
            step.note("pods are ending")
        _end_pods(config)
    _clean(config)
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


def _clean(config: NodeConfig) -> None:
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


def _bring_up(config: NodeConfig, base: Path, step: Step) -> None:
    """Waits for each part in turn, and tells which one does not come."""
    api = Api(config)
    _wait(config, step, "API server", api.healthy)
    _wait(config, step, "rights and services", lambda: _apply(config, api))
    registry = seed.Registry(config.registry_port)
    _wait(config, step, "registry", registry.answers)
    step.note("base image")
    try:
        seed.ensure(config, base)
    except (OSError, seed.RegistryError) as error:
        raise UserError(
            "The base image does not get into the registry.", where=str(config.root / "registry"), found=error
        ) from error
    _wait(config, step, "kubelet", lambda: _node_ready(config))
    _wait(config, step, "DNS", lambda: _resolves(config))


def _apply(config: NodeConfig, api: Api) -> bool:
    bundle = base64.b64encode((config.keys / "ca.crt").read_bytes()).decode()
    try:
        for path, manifest in objects.manifests(bundle):
            api.apply(path, manifest)
    except (OSError, NodeApiError):
        # The namespace of the system appears a moment after the server; a refusal that stays is seen in the end.
        return False
    return True


def _node_ready(config: NodeConfig) -> bool:
    try:
        conditions = Api(config).get(f"/api/v1/nodes/{NODE_NAME}")["status"]["conditions"]
    except (OSError, NodeApiError, KeyError):
        return False
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _resolves(config: NodeConfig) -> bool:
    """Whether the cluster's DNS knows the API server, asked by the address that pods use."""
    init = record.read_state(config.run).init
    if init is None:
        return False
    probe = [sys.executable, "-m", "local.node.probe", DNS_SERVICE, f"kubernetes.default.svc.{DOMAIN}"]
    command = ["nsenter", f"--net=/proc/{init.pid}/ns/net", "--", *probe]
    return (
        subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}, capture_output=True, check=False
        ).returncode
        == 0
    )


def _wait(config: NodeConfig, step: Step, what: str, holds: Callable[[], bool]) -> None:
    step.note(what)
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise UserError(
                f"The node does not come up: {what} is not ready after {_PATIENCE:.0f} s.",
                where=str(config.logs),
                found=_last_words(config),
                fix="read the logs there (NAME/current), then start again",
            )
        time.sleep(0.3)


def _last_words(config: NodeConfig) -> str:
    """Services that are down, and the end of the log of what started the node."""
    down = [name for name, pid in processes(config).items() if pid is None]
    words = [f"not running: {', '.join(down)}"] if down else []
    for name in ("node", "relay", "uplink"):
        with suppress(OSError):
            words += (config.logs / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
    return "\n    ".join(words) or "all services run"
