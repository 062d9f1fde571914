"""A real API server: etcd, kube-apiserver and the controllers, no node. Tests play the kubelet's part."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import pytest
import urllib3
import yaml

from clients import kubeconfig as access
from local.plugins.kubernetes import api
from local.plugins.kubernetes import cluster as clusters
from tests.engine.harness.processes import executable, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "tests"
START_SECONDS = 60
CONTROLLERS = (
    "deployment,replicaset,statefulset,daemonset,job,garbagecollector,namespace,serviceaccount,persistentvolume-binder,"
    "resourcequota"
)


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


def connected(kubeconfig: str) -> clusters.Cluster:
    """A cluster without the engine: for what happens behind its back."""
    return clusters.Cluster(api.Api(access.connect(access.load(yaml.safe_load(kubeconfig)))))


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
