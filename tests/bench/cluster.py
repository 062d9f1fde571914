"""The same endpoint where it really runs: in pods, asked from the node's network, and what the whole environment takes.

Asked inside the node's network namespace, for the relay that brings node ports to the host is no part of an endpoint.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import psutil

from common import paths
from common.serving import PORT, PREDICTIONS
from delivery.environments.environment import Environment
from delivery.environments.held_out import held_out_week
from local.node.record import read_state
from tests.bench.load import Target, once, rounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.load import Load

SECONDS = 4
ROUNDS = 3
NAMESPACE = "serving"


def measure(stack: str, workload: str, folder: Path) -> Mapping[str, Load]:
    """Load borne by the endpoint, as `router` and `pod`. The request is the release's held-out week, its first row."""
    environment = Environment.open(stack)
    release = environment.outputs.endpoints[workload]
    data = held_out_week(release.run, lambda: environment.model_registry).request["data"]
    body = {"data": {"names": data["names"], "ndarray": data["ndarray"][:1]}}
    services = {"router": (workload, 80), "pod": (f"{workload}-stable", PORT)}
    targets = [
        Target(name=name, url=f"http://{_cluster_ip(environment, service)}:{port}{PREDICTIONS}", body=body)
        for name, (service, port) in services.items()
    ]
    inside = ["nsenter", "--target", str(_node().pid), "--net"]
    for target in targets:
        once(target, folder, seconds=2, prefix=inside)
    return rounds(targets, folder, seconds=SECONDS, times=ROUNDS, prefix=inside)


def memory_gib() -> float:
    """What all processes of the node take together; pages that several share count once."""
    init = _node()
    total = 0
    for process in [init, *init.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 2**30


def seconds_of(command: list[str], folder: Path = paths.CHECKOUT, variables: Mapping[str, str] | None = None) -> float:
    """How long a command takes that has to succeed."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return time.monotonic() - started


def _node() -> psutil.Process:
    init = read_state(paths.NODE / "run").init
    assert init is not None, "the node does not run: `make up` first"
    return psutil.Process(init.pid)


def _cluster_ip(environment: Environment, service: str) -> str:
    return str(environment.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/services/{service}")["spec"]["clusterIP"])
