"""Starts a node."""

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
from local.node.lifecycle.readiness import bring_up
from local.node.lifecycle.status import running, supervised
from local.node.lifecycle.stop import clean, end, one_command

if TYPE_CHECKING:
    from pathlib import Path

    from common.progress import Progress
    from local.node.config import NodeConfig


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
    with one_command(config, progress):
        with progress.step("node: start") as step:
            _prepare(config, root)
            task = _task(config, root, hyperkube, _render(config))
            # Another task, or a stop that did not get to its end.
            if record.read_task(config.run) != task or (config.run / "stop").exists():
                end(config, step)
                _write_files(config)
            if not supervised(config):
                if not running(config):
                    clean(config)
                    ports.require_free(config.ports())
                (config.run / "stop").unlink(missing_ok=True)
                record.write_task(config.run, task)
                _spawn_supervisor(config)
            bring_up(config, base, step)
        kubeconfig = pki.admin_kubeconfig(config)
        _write_secret(config.kubeconfig, kubeconfig)
    return kubeconfig


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
