"""The real engine on a real API server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.harness.control_plane import Kubelet, connected, control_plane
from tests.engine.harness.processes import executable
from tests.engine.harness.stacks import Stack, engine_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.plugins.kubernetes import cluster as clusters


@pytest.fixture(scope="session")
def api_server(tmp_path_factory) -> Iterator[str]:
    """Kubeconfig of a control plane that lives as long as the tests do."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
        yield kubeconfig


@pytest.fixture
def cluster(api_server) -> clusters.Cluster:
    """The cluster of the tests, without the engine."""
    return connected(api_server)


@pytest.fixture
def namespace(cluster, request) -> str:
    """A namespace of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-") + f"-{os.getpid()}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "tests")
    return name


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory) -> Path:
    """PULUMI_HOME with our plugins in it, and `bin/pulumi`."""
    home = tmp_path_factory.mktemp("pulumi-home")
    for name in ("kubernetes", "random", "command", "docker"):
        folder = home / "plugins" / f"resource-{name}-v{metadata.version(f'pulumi-{name}')}"
        folder.mkdir(parents=True)
        script = folder / f"pulumi-resource-{name}"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m local.plugins.{name} "$@"\n')
        script.chmod(0o755)
    (home / "bin").mkdir()
    (home / "bin" / "pulumi").symlink_to(executable("pulumi"))
    empty = home / "empty"
    empty.mkdir()
    (empty / "Pulumi.yaml").write_text("name: tests\nruntime: python\n")
    environment = {**os.environ, **engine_environment(home, empty)}
    subprocess.run(
        [home / "bin" / "pulumi", "stack", "init", "tests"], cwd=empty, env=environment, check=True, capture_output=True
    )
    return home


def eventually(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first answer that is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.05)
    pytest.fail(f"nothing after {seconds} s")


@pytest.fixture
def kubelet(cluster, namespace) -> Callable[[dict[str, Any]], Kubelet]:
    return lambda status: Kubelet(cluster, namespace, status)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Any]:
    return eventually


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Iterator[int]:
    """Port of the process that runs the tests' programs."""
    log = tmp_path_factory.mktemp("programs") / "log"
    with log.open("wb") as file:
        command = [sys.executable, str(Path(__file__).with_name("harness") / "programs.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file) as process:
            yield int(process.stdout.readline())
            process.stdin.close()
            process.wait(10)


@pytest.fixture
def stack(engine_home, tmp_path, programs) -> Stack:
    """A new stack without a cluster of its own."""
    return Stack(engine_home, tmp_path, {}, programs)


@pytest.fixture
def kubernetes_stack(engine_home, tmp_path, api_server, programs) -> Stack:
    """A new stack whose default Kubernetes provider is the test's API server."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(api_server)
    return Stack(engine_home, tmp_path, {"KUBECONFIG": str(kubeconfig)}, programs)
