"""Starts a node, or restarts it if its configuration has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from common import paths
from local import userland
from local.node import machine, namespace, ports, record
from local.node.kubernetes import files, pki
from local.node.lifecycle.readiness import wait_until_ready
from local.node.lifecycle.status import running, supervised
from local.node.lifecycle.stop import command_lock, kill_remaining, shut_down

if TYPE_CHECKING:
    from pathlib import Path

    from common.progress import Progress
    from local.node.config import NodeConfig


def start(config: NodeConfig, progress: Progress, *, hyperkube: Path | None = None) -> str:
    """Starts the node and waits until it is ready. Does nothing to a node that already runs with this configuration.

    Args:
        config: the node.
        progress: shows the steps that take long.
        hyperkube: the binary to run. Defaults to the toolchain's, which is built if the cache does not have it.

    Returns:
        The administrator's kubeconfig.

    Raises:
        UserError: the user is not root, a port is in use, or a part of the node does not become ready.
    """
    machine.require_root()
    if hyperkube is None:
        from local import toolchain  # noqa: PLC0415 - a heavy import, and not needed if the caller passes a binary

        hyperkube = toolchain.hyperkube(progress)
    root = userland.ensure(progress)
    base = userland.base_image(progress)
    with command_lock(config, progress):
        with progress.step("node: start") as step:
            _prepare(config, root)
            task = _task(config, root, hyperkube, _render(config))
            # No node runs with this task, or a `stop` command was interrupted.
            if record.read_task(config.run) != task or (config.run / "stop").exists():
                shut_down(config, step)
                _write_files(config)
            if not supervised(config):
                if not running(config):
                    kill_remaining(config)
                    ports.require_free(config.ports())
                (config.run / "stop").unlink(missing_ok=True)
                record.write_task(config.run, task)
                _spawn_supervisor(config)
            wait_until_ready(config, base, step)
        kubeconfig = pki.admin_kubeconfig(config)
        _write_secret(config.kubeconfig, kubeconfig)
    return kubeconfig


def _prepare(config: NodeConfig, root: Path) -> None:
    for name in ("etcd", "containerd", "kubelet", "volumes", "registry", "logs", "logs/pods"):
        (config.root / name).mkdir(parents=True, exist_ok=True)
    # Other users of the machine must not read the data of pods.
    for name in ("", "etcd", "run"):
        (config.root / name).chmod(0o700)
    pki.ensure(config, root)


def _render(config: NodeConfig) -> dict[str, str]:
    key = (config.keys / "secrets.key").read_text().strip()
    return files.render(config, machine.inspect(config.root), key)


def _task(config: NodeConfig, root: Path, hyperkube: Path, rendered: dict[str, str]) -> record.Task:
    """Returns the task for the supervisor. If it differs from the task of the running node, the node has to be restarted."""
    parts = [text for item in sorted(rendered.items()) for text in item]
    content = "\0".join((*parts, namespace.SCRIPTS, str(hyperkube.stat().st_mtime_ns)))
    generation = hashlib.sha256(content.encode()).hexdigest()
    address = (str(config.root.resolve()), config.api_port, config.registry_port, config.node_ports)
    return record.Task(*address, str(root), str(hyperkube), generation)


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


def _spawn_supervisor(config: NodeConfig) -> None:
    """Starts the supervisor in its own session, so that it does not end with this process or its terminal."""
    command = [sys.executable, "-m", "local.node.supervisor", str(config.run.resolve())]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", "/root"),
        "PYTHONPATH": str(paths.CHECKOUT),
    }
    with (config.logs / "supervisor.log").open("ab") as log:
        # The shell starts the supervisor in the background and ends. The supervisor is then no child of this process: callers
        # that wait for their child processes do not wait for it.
        script = 'setsid "$@" < /dev/null & '
        subprocess.run(["sh", "-c", script, "sh", *command], env=environment, stdout=log, stderr=log, cwd="/", check=True)
