"""Waits for each part of a starting node, and tells which one does not come."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from clients.node_api import NodeApi, NodeApiError
from clients.node_registry import NodeRegistry, NodeRegistryError
from common import paths
from common.errors import UserError
from local.node import record, seed
from local.node.config import DNS_SERVICE, DOMAIN
from local.node.kubernetes import objects
from local.node.lifecycle.status import node_ready, processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common.progress import Step
    from local.node.config import NodeConfig

_PATIENCE: Final = 180.0
"""Seconds until a part of a starting node counts as failed."""


def bring_up(config: NodeConfig, base: Path, step: Step) -> None:
    """Waits for each part in turn, and tells which one does not come."""
    api = NodeApi(config.api_port, config.keys)
    _wait(config, step, "API server", api.healthy)
    _wait(config, step, "rights and services", lambda: _apply(config, api))
    registry = NodeRegistry(config.registry_port)
    _wait(config, step, "registry", registry.answers)
    step.note("base image")
    try:
        seed.ensure(config, base)
    except (OSError, NodeRegistryError) as error:
        raise UserError(
            "The base image does not get into the registry.", where=str(config.root / "registry"), found=error
        ) from error
    _wait(config, step, "kubelet", lambda: node_ready(config))
    _wait(config, step, "DNS", lambda: _resolves(config))


def _apply(config: NodeConfig, api: NodeApi) -> bool:
    bundle = base64.b64encode((config.keys / "ca.crt").read_bytes()).decode()
    try:
        for path, manifest in objects.manifests(bundle):
            api.apply(path, manifest)
    except (OSError, NodeApiError):
        # The namespace of the system appears a moment after the server; a refusal that stays is seen in the end.
        return False
    return True


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
