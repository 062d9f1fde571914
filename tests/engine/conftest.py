"""The real engine on a real API server: etcd, kube-apiserver and the controllers, no node. Tests play the kubelet's part."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
import yaml
from pulumi import automation

from local import toolchain
from local.plugins.kubernetes import access, api
from local.plugins.kubernetes import cluster as clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "tests"
START_SECONDS = 60
CONTROLLERS = (
    "deployment,replicaset,statefulset,daemonset,job,garbagecollector,namespace,endpointslice,serviceaccount,persistentvolume-binder,"
    "resourcequota"
)


class Quiet:
    """Progress that nobody watches."""

    def step(self, name):
        del name
        return nullcontext(self)

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


def executable(name: str) -> Path:
    """A built executable: the toolchain's, else one on PATH."""
    make = getattr(toolchain, name, None)
    found = make(Quiet()) if make else shutil.which(name)
    assert found, f"no `{name}`: neither local.toolchain nor PATH has one"
    return Path(found)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(log: Path, *command: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=file, cwd=cwd)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def control_plane(folder: Path) -> Iterator[str]:
    """A control plane on loopback; yields the administrator's kubeconfig."""
    hyperkube = executable("hyperkube")
    store, peer, port, pki = free_port(), free_port(), free_port(), folder / "pki"
    pki.mkdir()
    subprocess.run(["openssl", "genrsa", "-out", pki / "sa.key", "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    kubeconfig = folder / "kubeconfig"
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{number}" for number in (store, peer)]
        stack.enter_context(
            running(
                folder / "etcd.log",
                *(hyperkube, "etcd", "--data-dir", folder / "etcd", "--unsafe-no-fsync", "--log-level=error"),
                *("--listen-client-urls", urls[0], "--advertise-client-urls", urls[0], "--listen-peer-urls", urls[1]),
                *("--initial-advertise-peer-urls", urls[1], "--initial-cluster", f"default={urls[1]}"),
            )
        )
        server = stack.enter_context(
            running(
                folder / "apiserver.log",
                *(
                    hyperkube,
                    "kube-apiserver",
                    f"--etcd-servers={urls[0]}",
                    f"--secure-port={port}",
                    "--bind-address=127.0.0.1",
                ),
                *(f"--cert-dir={pki}", f"--token-auth-file={folder / 'tokens.csv'}", "--service-cluster-ip-range=10.97.0.0/16"),
                *(f"--service-account-key-file={pki / 'sa.key'}", f"--service-account-signing-key-file={pki / 'sa.key'}"),
                *("--service-account-issuer=https://tests", "--authorization-mode=RBAC", "--allow-privileged=true"),
                "--disable-admission-plugins=ServiceAccount",
            )
        )
        wait_ready(server, port, folder / "apiserver.log")
        kubeconfig.write_text(admin_kubeconfig(port, pki / "apiserver.crt"))
        stack.enter_context(
            running(
                folder / "controllers.log",
                *(hyperkube, "kube-controller-manager", f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
                *(f"--controllers={CONTROLLERS}", "--secure-port=0", f"--service-account-private-key-file={pki / 'sa.key'}"),
                "--concurrent-gc-syncs=5",
            )
        )
        yield kubeconfig.read_text()


def wait_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False)
    urllib3.disable_warnings()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the API server ended: {log.read_text()[-2000:]}"
        try:
            if (
                pool.request("GET", f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}).status
                == 200
            ):
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the API server is not ready after {START_SECONDS} s: {log.read_text()[-2000:]}")


def admin_kubeconfig(port: int, certificate: Path) -> str:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }
    )


@pytest.fixture(scope="session")
def api_server(tmp_path_factory) -> Iterator[str]:
    """Kubeconfig of a control plane that lives as long as the tests do."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
        yield kubeconfig


@pytest.fixture
def cluster(api_server) -> clusters.Cluster:
    """The cluster, past the engine: for what happens behind its back."""
    return clusters.Cluster(api.Api(access.connect(access.load(yaml.safe_load(api_server)))))


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
    return home


@dataclass
class Outcome:
    """What one operation did, as the engine's events tell it."""

    operations: dict[str, list[str]] = field(default_factory=dict)
    """By logical name: create, update, same, replace, ..."""
    differences: dict[str, dict[str, str]] = field(default_factory=dict)
    replaced_by: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)

    def __call__(self, event: automation.EngineEvent) -> None:
        for part in (event.resource_pre_event, event.res_outputs_event):
            if part is not None and "pulumi:" not in part.metadata.type:
                name = part.metadata.urn.split("::")[-1]
                done = self.operations.setdefault(name, [])
                if (op := str(getattr(part.metadata.op, "value", part.metadata.op))) not in done:
                    done.append(op)
                if part.metadata.detailed_diff:
                    kinds = {
                        path: getattr(one.diff_kind, "value", one.diff_kind)
                        for path, one in part.metadata.detailed_diff.items()
                    }
                    self.differences[name] = kinds
                if part.metadata.keys:
                    self.replaced_by[name] = sorted(part.metadata.keys)
        if event.diagnostic_event is not None:
            text = re.sub(r"<\{%[^%]*%\}>", "", event.diagnostic_event.message)
            if event.diagnostic_event.severity == "error":
                self.errors.append(text)
            elif event.diagnostic_event.severity == "warning":
                self.warnings.append(text)

    @property
    def error(self) -> str:
        return "\n".join(self.errors)


class Stack:
    """A stack of its own backend. `program` is what it runs."""

    def __init__(self, home: Path, folder: Path, environment: dict[str, str]) -> None:
        self.environment = {
            **{"PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "tests", "PULUMI_HOME": str(home)},
            **{"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_IGNORE_AMBIENT_PLUGINS": "true", **environment},
        }
        options = automation.LocalWorkspaceOptions(
            env_vars=self.environment,
            work_dir=str(folder),
            pulumi_command=automation.PulumiCommand(str(home)),
            project_settings=automation.ProjectSettings(name="tests", runtime="python"),
        )
        self.stack = automation.create_or_select_stack("tests", project_name="tests", program=lambda: None, opts=options)

    def run(self, operation: str, program: Callable[[], None] | None = None, **options: Any) -> Outcome:
        """Runs preview, up, refresh, destroy or import_resources; what it did, failed or not."""
        seen = Outcome()
        if program is not None:
            self.stack.workspace.program = program
        try:
            result = getattr(self.stack, operation)(on_event=seen, **options)
        except automation.CommandError as error:
            seen.failed = True
            seen.errors = seen.errors or [str(error)]
        else:
            seen.outputs = {key: one.value for key, one in (getattr(result, "outputs", None) or {}).items()}
        return seen

    def preview(self, program: Callable[[], None] | None = None, **options: Any) -> Outcome:
        return self.run("preview", program, diff=True, **options)

    def up(self, program: Callable[[], None] | None = None, **options: Any) -> Outcome:
        return self.run("up", program, diff=True, **options)

    def refresh(self) -> Outcome:
        return self.run("refresh")

    def destroy(self) -> Outcome:
        return self.run("destroy")

    def state(self, name: str) -> dict[str, Any]:
        """A resource as it stands in the state, encrypted where secret."""
        resources = self.stack.export_stack().deployment.get("resources", [])
        found = [one for one in resources if one["urn"].split("::")[-1] == name]
        assert found, f"{name} is not in the state"
        return found[0]

    def state_text(self) -> str:
        return json.dumps(self.stack.export_stack().deployment)

    def interrupted(self, program: Callable[[], None], when: Callable[[], object]) -> None:
        """Starts `up` and kills the engine and its plugins as soon as `when` answers."""
        raise NotImplementedError(program, when, signal.SIGKILL)


@pytest.fixture
def stack(engine_home, tmp_path) -> Stack:
    """A new stack without a cluster of its own."""
    return Stack(engine_home, tmp_path, {})


@pytest.fixture
def kubernetes_stack(engine_home, tmp_path, api_server) -> Stack:
    """A new stack whose default Kubernetes provider is the test's API server."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(api_server)
    return Stack(engine_home, tmp_path, {"KUBECONFIG": str(kubeconfig)})
