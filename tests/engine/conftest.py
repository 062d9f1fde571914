"""The real engine on a real API server: etcd, kube-apiserver and the controllers, no node. Tests play the kubelet's part."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest
import urllib3
import yaml

from local import toolchain
from local.plugins.kubernetes import access, api
from local.plugins.kubernetes import cluster as clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "1b47061264138c4ac30d75fd1eb44270"
TOKEN = "tests"
START_SECONDS = 60
CONTROLLERS = (
    "deployment,replicaset,statefulset,daemonset,job,garbagecollector,namespace,serviceaccount,persistentvolume-binder,"
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
        # It ends with this process, however that ends.
        with_parent = ["setpriv", "--pdeathsig", "TERM", "--"]
        process = subprocess.Popen([*with_parent, *map(str, command)], stdout=file, stderr=file, cwd=cwd)
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
def control_plane(folder: Path, controllers: str = CONTROLLERS) -> Iterator[str]:
    """A control plane on loopback, without any controllers if none are named; yields the administrator's kubeconfig."""
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
        if controllers:
            stack.enter_context(
                running(
                    folder / "controllers.log",
                    *(hyperkube, "kube-controller-manager", f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
                    *(f"--controllers={controllers}", "--secure-port=0"),
                    *(f"--service-account-private-key-file={pki / 'sa.key'}", "--concurrent-gc-syncs=5"),
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


def connected(kubeconfig: str) -> clusters.Cluster:
    """A cluster without the engine: for what happens behind its back."""
    return clusters.Cluster(api.Api(access.connect(access.load(yaml.safe_load(kubeconfig)))))


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


@dataclass
class EngineOutcome:
    """What one operation did, as the engine's events tell it."""

    operations: dict[str, list[str]] = field(default_factory=dict)
    """By logical name: create, update, same, replace, ..."""
    differences: dict[str, dict[str, str]] = field(default_factory=dict)
    replaced_by: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)

    def see(self, event: dict[str, Any]) -> None:
        for part in ("resourcePreEvent", "resOutputsEvent"):
            done = event.get(part, {}).get("metadata")
            if done is None or "pulumi:" in done["type"]:
                continue
            name = done["urn"].split("::")[-1]
            operations = self.operations.setdefault(name, [])
            if done["op"] not in operations:
                operations.append(done["op"])
            if done.get("detailedDiff"):
                self.differences[name] = {path: one["diffKind"] for path, one in done["detailedDiff"].items()}
            if done.get("keys"):
                self.replaced_by[name] = sorted(done["keys"])
        told = event.get("diagnosticEvent")
        if told and told["severity"] in {"error", "warning"}:
            texts = self.errors if told["severity"] == "error" else self.warnings
            texts.append(re.sub(r"<\{%[^%]*%\}>", "", told["message"]))

    @property
    def error(self) -> str:
        return "\n".join(self.errors)


class Stack:
    """A stack of its own backend. One process a run: starting the engine is what such a test spends its time on."""

    def __init__(self, home: Path, folder: Path, environment: dict[str, str], programs: int) -> None:
        shutil.copytree(home / "empty", folder, dirs_exist_ok=True)
        self.folder, self._programs, self._runs = folder, programs, 0
        self._pulumi = home / "bin" / "pulumi"
        self.environment = {**os.environ, **engine_environment(home, folder), **environment}

    def run(self, operation: str, *flags: str) -> EngineOutcome:
        """Runs preview, up, refresh or destroy; what it did, failed or not."""
        self._runs += 1
        events, seen = self.folder / f"events-{self._runs}", EngineOutcome()
        inline = (
            ["--exec-kind", "auto.inline", f"--client=127.0.0.1:{self._programs}"] if operation in {"preview", "up"} else []
        )
        done = self.pulumi(operation, *flags, *(inline if operation in {"preview", "up"} else ()), "--event-log", str(events))
        for line in events.read_text().splitlines() if events.exists() else ():
            seen.see(json.loads(line))
        seen.failed = done.returncode != 0
        if seen.failed and not seen.errors:
            seen.errors = [done.stdout + done.stderr]
        if operation == "up":
            seen.outputs = self._outputs()
        return seen

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self._pulumi, *words, "--stack=tests", "--non-interactive"]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def declare(self, program: Callable[..., None], arguments: dict[str, Any]) -> None:
        """What the next operations run: a function of a test module."""
        wanted = {"file": inspect.getfile(program), "name": program.__name__, "arguments": arguments}
        (self.folder / "program.json").write_text(json.dumps(wanted))

    def preview(self, program: Callable[..., None], **arguments: Any) -> EngineOutcome:
        self.declare(program, arguments)
        return self.run("preview", "--diff")

    def up(self, program: Callable[..., None], **arguments: Any) -> EngineOutcome:
        self.declare(program, arguments)
        return self.run("up", "--diff", "--yes", "--skip-preview")

    def refresh(self) -> EngineOutcome:
        return self.run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> EngineOutcome:
        return self.run("destroy", "--yes", "--skip-preview")

    def resources(self) -> list[dict[str, Any]]:
        """The state's resources, encrypted where secret."""
        file = self.folder / ".pulumi" / "stacks" / "tests" / "tests.json"
        return json.loads(file.read_text())["checkpoint"]["latest"].get("resources", [])

    def state(self, name: str) -> dict[str, Any]:
        """One resource of the state."""
        found = [one for one in self.resources() if one["urn"].split("::")[-1] == name]
        assert found, f"{name} is not in the state"
        return found[0]

    def state_text(self) -> str:
        return json.dumps(self.resources())

    def _outputs(self) -> dict[str, Any]:
        exports = [one.get("outputs", {}) for one in self.resources() if one["type"] == "pulumi:pulumi:Stack"]
        if SECRET not in json.dumps(exports):
            return exports[0] if exports else {}
        return json.loads(self.pulumi("stack", "output", "--json", "--show-secrets").stdout)

    @contextmanager
    def under_way(self, program: Callable[..., None], **arguments: Any) -> Iterator[Thread]:
        """Runs `up` beside the test, which has to end it; the outcome is in the thread's `outcome`."""
        thread = Thread(self, program, arguments)
        thread.start()
        try:
            yield thread
        finally:
            thread.join(60)
            assert not thread.is_alive(), "the operation has to end"


def engine_environment(home: Path, folder: Path) -> dict[str, str]:
    return {
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "tests",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
    }


class Thread(threading.Thread):
    """An `up` under way."""

    outcome: EngineOutcome

    def __init__(self, stack: Stack, program: Callable[..., None], arguments: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._stack, self._program, self._arguments = stack, program, arguments

    def run(self) -> None:
        self.outcome = self._stack.up(self._program, **self._arguments)

    @staticmethod
    def engine() -> psutil.Process:
        """The engine that this process runs."""
        found = [one for one in psutil.Process().children() if one.name() == "pulumi"]
        assert len(found) == 1, f"one engine has to run, not {found}"
        return found[0]


class Kubelet(threading.Thread):
    """Gives each pod of a namespace, as long as it runs, the status that `status` says."""

    def __init__(self, cluster: clusters.Cluster, namespace: str, status: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._cluster, self._namespace, self.status, self._done = cluster, namespace, status, threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(10)

    def run(self) -> None:
        while not self._done.wait(0.1):
            for pod in self._cluster.list("v1", "Pod", self._namespace):
                url = self._cluster.url({**pod, "apiVersion": "v1", "kind": "Pod"}, "status")
                with suppress(api.ApiServerError):
                    self._cluster.api.json("PATCH", url, {"status": self.status}, content_type=api.MERGE)


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
        command = [sys.executable, str(Path(__file__).with_name("programs.py"))]
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
