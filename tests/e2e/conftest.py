"""The product on the embedded cluster, as its user sees it: commands are started as a user starts them.

Wants a clone that it may edit and an environment that is up there: `make e2e` makes both. To run a single test:

    make e2e-clone && cd .modelstack/clone && make up && .venv/bin/pytest tests/e2e/test_release.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from clients.kubernetes import KubernetesClient
from common import paths
from delivery.releases import edits
from delivery.stacks import backend, stack_file, variables
from tests.checkout import CHECKOUT, MARK

if TYPE_CHECKING:
    from collections.abc import Generator

STACK = os.environ.get("MODELSTACK_STACK", "dev")
PREDICTIONS = "/api/v1.0/predictions"


class Operator(KubernetesClient):
    """Somebody with the administrator's kubeconfig who changes things by hand."""

    def patch(self, path: str, body: dict) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self._http.patch(path, json=body, headers=headers).raise_for_status()

    def await_rollout(self, namespace: str, deployment: str, seconds: float = 180) -> None:
        """Waits until the deployment's replicas are those of its newest template, and no others."""
        for _ in range(int(seconds)):
            found = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = (status.get("updatedReplicas"), status.get("readyReplicas"), status.get("replicas"))
            if status.get("observedGeneration") == found["metadata"]["generation"] and counts == (wanted,) * 3:
                return
            time.sleep(1)
        raise TimeoutError(f"{deployment}: {status}")


@dataclass
class User:
    """Somebody at a shell in the checkout, after `eval "$(modelstack env)"`."""

    stack: str = STACK

    @cached_property
    def variables(self) -> dict[str, str]:
        found = {**os.environ, **variables.variables()}
        found.pop("PULUMI_CONFIG_PASSPHRASE", None)
        return found

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command in a session of its own, its output in one stream."""
        return subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, code: int | None = 0) -> str:
        """What a command prints; it has to end with `code`; None: to fail, with whatever code."""
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        good = done.returncode != 0 if code is None else done.returncode == code
        assert good, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def modelstack(self, *args: str, code: int | None = 0) -> str:
        return self.run(str(Path(sys.executable).with_name("modelstack")), *args, code=code)

    def pulumi(self, *args: str, code: int | None = 0) -> str:
        return self.run("pulumi", *args, "--stack", self.stack, "--non-interactive", code=code)

    def outputs(self) -> dict:
        return json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))

    def state(self) -> list[dict]:
        """The resources in the stack's state."""
        return json.loads(self.pulumi("stack", "export"))["deployment"]["resources"]

    @property
    def stack_file(self) -> Path:
        return stack_file.path_of(self.stack)

    def releases(self) -> dict:
        """The releases of the markdown workload in the stack file."""
        return stack_file.releases(self.stack_file.read_text())["markdown"]

    def release(self) -> dict:
        """The release that is stable there."""
        releases = self.releases()
        return edits.versions(releases)[releases["stable"]]

    def cluster(self) -> Operator:
        return Operator.from_kubeconfig(paths.KUBECONFIG.read_text())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that start a second node, and take minutes, as chaos tests."""
    for item in items:
        if "second_node" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(scope="session")
def user() -> User:
    if not (CHECKOUT / MARK).exists():
        pytest.exit("these tests edit stack files, and this checkout is no clone for that: `make e2e` makes one", returncode=1)
    if not backend.has_stack(STACK):
        pytest.exit(f"stack {STACK} is not up: `make e2e` brings it up first", returncode=1)
    return User()


@pytest.fixture
def cluster(user: User) -> Generator[Operator]:
    found = user.cluster()
    yield found
    found.close()


@pytest.fixture
def outputs(user: User) -> dict:
    return user.outputs()


@pytest.fixture
def endpoint(outputs: dict) -> Generator[httpx.Client]:
    with httpx.Client(base_url=outputs["endpoints"]["markdown"]["url"], timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def held_out(outputs: dict) -> dict:
    """A request for a held-out week, and what really sold: `request`, `actual`, `describe`."""
    tracking = outputs["tracking"]
    response = httpx.get(
        f"{tracking['url']}/get-artifact",
        params={"run_uuid": outputs["endpoints"]["markdown"]["run"], "path": "held_out.json"},
        auth=(tracking["username"], tracking["password"]),
        trust_env=False,
        timeout=30,
    )
    return response.raise_for_status().json()
