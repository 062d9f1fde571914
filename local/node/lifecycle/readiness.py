"""Waits until a starting node is ready, and names the part that does not become ready."""

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

_TIMEOUT: Final = 180.0
"""Seconds to wait for each part of a starting node."""


def wait_until_ready(config: NodeConfig, base: Path, step: Step) -> None:
    """Waits for each part of the node in turn, applies the cluster's objects and uploads the images that every node has.

    Args:
        config: the node.
        base: the tar file of the base image.
        step: shows which part is waited for.

    Raises:
        UserError: a part is not ready in time. The error names the part and shows the end of the logs.
    """
    api = NodeApi(config.api_port, config.keys)
    _wait(config, step, "API server", api.healthy)
    _wait(config, step, "roles and services", lambda: _apply(config, api))
    registry = NodeRegistry(config.registry_port)
    _wait(config, step, "container registry", registry.answers)
    step.note("base image")
    try:
        seed.ensure(config, base)
    except (OSError, NodeRegistryError) as error:
        raise UserError(
            "The base image cannot be uploaded to the container registry.", where=str(config.root / "registry"), found=error
        ) from error
    _wait(config, step, "kubelet", lambda: node_ready(config))
    _wait(config, step, "DNS", lambda: _resolves(config))


def _apply(config: NodeConfig, api: NodeApi) -> bool:
    bundle = base64.b64encode((config.keys / "ca.crt").read_bytes()).decode()
    try:
        for path, manifest in objects.manifests(bundle):
            api.apply(path, manifest)
    except (OSError, NodeApiError):
        # The server creates the namespace `kube-system` a moment after it is healthy, so the first attempts may fail. If they
        # continue to fail, the wait for this part times out.
        return False
    return True


def _resolves(config: NodeConfig) -> bool:
    """Returns whether the cluster's DNS resolves the name of the API server. The query goes to the address that pods use."""
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


def _wait(config: NodeConfig, step: Step, part: str, is_ready: Callable[[], bool]) -> None:
    step.note(part)
    deadline = time.monotonic() + _TIMEOUT
    while not is_ready():
        if time.monotonic() > deadline:
            raise UserError(
                f"The node does not start: the part `{part}` is not ready after {_TIMEOUT:.0f} s.",
                where=str(config.logs),
                found=_diagnosis(config),
                fix="read the services' logs in this folder (NAME/current), then start the node again",
            )
        time.sleep(0.3)


def _diagnosis(config: NodeConfig) -> str:
    """Returns the names of services that do not run, and the ends of the logs of the namespaces, the relay and the uplink."""
    down = [name for name, pid in processes(config).items() if pid is None]
    lines = [f"not running: {', '.join(down)}"] if down else []
    for name in ("node", "relay", "uplink"):
        with suppress(OSError):
            lines += (config.logs / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
    return "\n    ".join(lines) or "all services run"
