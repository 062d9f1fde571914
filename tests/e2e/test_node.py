"""The embedded node: the environment's node as workloads see it, and a second node whose processes are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from kubernetes import client, config

from common.errors import UserError
from local import node, userland
from local.node import record
from local.node.cgroups import Cgroup

SECOND_PORTS = {"api_port": 17443, "registry_port": 15500, "node_ports": (32000, 32007)}
UNPRIVILEGED = {"runAsUser": 10001, "runAsGroup": 0, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


class Silent:
    """Progress that shows nothing."""

    @contextmanager
    def step(self, _name):
        yield self

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


def until(condition, description, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{description}: not within {seconds:.0f} s"
        time.sleep(0.2)
    return result


class Cluster:
    """A node and a client of its API server."""

    def __init__(self, node_config, kubeconfig):
        self.config = node_config
        self.api = config.new_client_from_config_dict(yaml.safe_load(kubeconfig))
        self.core = client.CoreV1Api(self.api)

    @property
    def ready(self):
        return node.status(self.config).ready

    def image(self):
        return f"localhost:{self.config.registry_port}/base:bookworm"

    def claim(self, namespace, name, mode="ReadWriteMany"):
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": "10Mi"}}}
        self.core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": name}, "spec": spec})

    def pod(self, namespace, name, script, claim=None, restart="Never"):
        """Creates a pod that a restricted namespace accepts."""
        container = {"name": "main", "image": self.image(), "command": ["bash", "-ec", script], "securityContext": CONFINED}
        spec = {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": UNPRIVILEGED,
            "containers": [container],
        }
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        self.core.create_namespaced_pod(namespace, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})

    def phase(self, namespace, name):
        return self.core.read_namespaced_pod(name, namespace).status.phase

    def log(self, namespace, name):
        """Waits until a pod has succeeded, and returns its log."""
        phase = until(lambda: (p := self.phase(namespace, name)) in {"Succeeded", "Failed"} and p, f"pod {name} ends")
        log = self.core.read_namespaced_pod_log(name, namespace)
        assert phase == "Succeeded", log
        return log

    @contextmanager
    def namespace(self, name):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": name, "labels": labels}})
        # The API server refuses pods until the default service account of the namespace exists.
        until(lambda: self.core.list_namespaced_service_account(name).items, "the namespace has a service account")
        try:
            yield name
        finally:
            self.core.delete_namespace(name)

            def gone():
                return name not in {item.metadata.name for item in self.core.list_namespace().items}

            until(gone, f"namespace {name} is gone", 90)


def machine_state(root):
    """Returns the state of the machine that `stop` has to restore: network interfaces, mounts and firewall rules."""

    def output_of(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    links = output_of("ip", "-o", "link")
    rules = [output_of(*userland.argv(root, [tool])) for tool in ("iptables-save", "iptables-legacy-save")]
    without_counters = [line for text in rules for line in text.splitlines() if not line.startswith(("#", ":"))]
    return {"links": links, "mounts": Path("/proc/self/mounts").read_text(), "rules": without_counters}


@pytest.fixture(scope="session")
def environment():
    """The environment's node, which has to be ready."""
    node_config = node.NodeConfig()
    status = node.status(node_config)
    assert status.ready, f"the environment is not up: {status}"
    return Cluster(node_config, node_config.kubeconfig.read_text())


@pytest.fixture(scope="module")
def before():
    return machine_state(userland.ensure(Silent()))


@pytest.fixture(scope="module")
def second_node(before, tmp_path_factory):
    """A second node beside the environment's, used by this file only."""
    node_config = node.NodeConfig(tmp_path_factory.mktemp("node"), **SECOND_PORTS)
    try:
        yield Cluster(node_config, node.start(node_config, Silent()))
    finally:
        node.stop(node_config)


def test_pods_resolve_the_names_of_services(environment):
    query = "python3 -c 'import socket; print(socket.gethostbyname(\"kubernetes.default\"))'"
    with environment.namespace("e2e-dns") as namespace:
        environment.pod(namespace, "client", query)
        assert environment.log(namespace, "client").strip() == "10.96.0.1"


def test_a_new_service_is_resolved_although_its_name_was_queried_before_it_existed(environment):
    query = "for n in $(seq 60); do getent hosts late && exit 0; sleep 0.5; done; exit 1"
    with environment.namespace("e2e-late") as namespace:
        environment.pod(namespace, "client", query)
        until(lambda: environment.phase(namespace, "client") == "Running", "the client runs")
        time.sleep(2)
        spec = {"selector": {"app": "client"}, "ports": [{"port": 80}]}
        environment.core.create_namespaced_service(namespace, {"metadata": {"name": "late"}, "spec": spec})
        assert "late" in environment.log(namespace, "client")


def test_two_pods_read_and_write_the_same_volume(environment):
    with environment.namespace("e2e-shared") as namespace:
        environment.claim(namespace, "shared")
        wait = "for n in $(seq 60); do [ -e /data/{other} ] && break; sleep 0.5; done; cat /data/{other}"
        for mine, other in (("first", "second"), ("second", "first")):
            environment.pod(namespace, mine, f"echo from {mine} > /data/{mine}; " + wait.format(other=other), claim="shared")
        assert environment.log(namespace, "first").strip() == "from second"
        assert environment.log(namespace, "second").strip() == "from first"
        folders = environment.config.root / "volumes"
        assert len(list(folders.glob(f"{namespace}-*"))) == 1
    until(lambda: not list(folders.glob(f"{namespace}-*")), "the data of a deleted claim is deleted")


@pytest.mark.parametrize(
    "security_context",
    [{"privileged": True}, {"runAsUser": 0, "runAsNonRoot": False}, {"capabilities": {"add": ["NET_ADMIN"]}}],
)
def test_a_restricted_namespace_refuses_privileged_pods(environment, security_context):
    container = {"name": "main", "image": environment.image(), "securityContext": security_context}
    with environment.namespace("e2e-restricted") as namespace:
        with pytest.raises(client.ApiException) as refused:
            environment.core.create_namespaced_pod(
                namespace, {"metadata": {"name": "privileged"}, "spec": {"containers": [container]}}
            )
        assert refused.value.status == 403
        assert "violates PodSecurity" in refused.value.body


def test_the_api_server_refuses_anonymous_clients(environment):
    anonymous = client.Configuration()
    anonymous.host, anonymous.verify_ssl = environment.api.configuration.host, True
    anonymous.ssl_ca_cert = environment.api.configuration.ssl_ca_cert
    with client.ApiClient(anonymous) as api, pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(api).list_namespace()
    assert refused.value.status == 401


def test_a_secret_is_encrypted_in_etcd(second_node):
    second_node.core.create_namespaced_secret(
        "default", {"metadata": {"name": "hidden"}, "stringData": {"word": "xylophone-in-etcd"}}
    )
    store = b"".join(path.read_bytes() for path in (second_node.config.root / "etcd").rglob("*") if path.is_file())
    assert b"hidden" in store
    assert b"xylophone-in-etcd" not in store


def test_the_metrics_api_reports_the_cpu_and_memory_use_of_a_pod(second_node):
    second_node.pod("default", "busy", "while :; do :; done")

    def usage():
        metrics = client.CustomObjectsApi(second_node.api)
        pods = metrics.list_namespaced_custom_object("metrics.k8s.io", "v1beta1", "default", "pods")["items"]
        return {pod["metadata"]["name"]: pod["containers"][0]["usage"] for pod in pods}.get("busy")

    used = until(lambda: (use := usage()) and int(use["cpu"].rstrip("n")) > 10_000_000 and use, "the CPU use is reported", 90)
    assert used["memory"].endswith("Ki")
    second_node.core.delete_namespaced_pod("busy", "default")


SERVE = "cd /tmp 2>/dev/null || cd /; exec python3 -m http.server 8000"


def http_status(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as response:
            return response.status
    except OSError:
        return None


def test_a_node_port_stays_reachable_while_each_service_is_killed_and_restarted(second_node):
    second_node.pod("default", "serves", SERVE, restart="Always")
    spec = {"type": "NodePort", "selector": {"app": "serves"}, "ports": [{"port": 80, "targetPort": 8000, "nodePort": 32001}]}
    second_node.core.create_namespaced_service("default", {"metadata": {"name": "serves"}, "spec": spec})
    until(lambda: http_status(32001) == 200, "the port answers")
    for name, pid in node.processes(second_node.config).items():
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        until(
            lambda name=name, pid=pid: node.processes(second_node.config).get(name) not in {None, pid}, f"{name} is restarted"
        )
        until(lambda: second_node.ready, f"the node is ready after {name} was killed")
        assert http_status(32001) == 200, f"pods have to run while {name} restarts"


def test_network_policies_filter_traffic_between_pods_and_not_node_ports(second_node):
    policies = client.NetworkingV1Api(second_node.api)
    request = (
        "python3 -c 'import urllib.request as r; r.urlopen(\"http://serves\", timeout=3)' 2>/dev/null && echo in || echo out"
    )
    spec = {"podSelector": {"matchLabels": {"app": "serves"}}, "policyTypes": ["Ingress"]}
    spec["ingress"] = [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8000}]}]
    policies.create_namespaced_network_policy("default", {"metadata": {"name": "friends"}, "spec": spec})
    # The firewall rules for a pod are written a moment after the pod has its address.
    for name in ("friend", "stranger"):
        second_node.pod("default", name, f"sleep 3; {request}")
    assert second_node.log("default", "friend").strip() == "in"
    assert second_node.log("default", "stranger").strip() == "out"
    assert http_status(32001) == 200, "requests from the machine itself are not filtered"
    policies.delete_namespaced_network_policy("friends", "default")
    second_node.pod("default", "allowed-again", f"sleep 3; {request}")
    assert second_node.log("default", "allowed-again").strip() == "in"


def processes_with(node_config, word):
    """Returns the ids of the processes outside of the namespaces whose command line contains `word`."""
    return [
        pid for pid in sorted(Cgroup(node_config.name).processes("outer")) if word in " ".join(psutil.Process(pid).cmdline())
    ]


def test_a_killed_supervisor_of_a_service_is_restarted(second_node):
    init = record.read_state(second_node.config.run).init
    runsv = next(child for child in psutil.Process(init.pid).children() if child.cmdline() == ["runsv", "etcd"])
    etcd = node.processes(second_node.config)["etcd"]
    runsv.kill()
    until(lambda: node.processes(second_node.config).get("etcd") not in {None, etcd}, "etcd is restarted")
    until(lambda: second_node.ready, "the node is ready")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_supervisor_of_the_node_or_its_killed_standby_is_replaced(second_node, victim):
    init = record.read_state(second_node.config.run).init
    pair = processes_with(second_node.config, "local.node.supervisor")
    assert len(pair) == 2
    os.kill(pair[victim], signal.SIGKILL)
    until(
        lambda: len(new := processes_with(second_node.config, "local.node.supervisor")) == 2 and pair[victim] not in new,
        "there are two again",
    )
    assert record.read_state(second_node.config.run).init == init, "the node itself is not restarted"
    assert second_node.ready


def test_start_replaces_a_supervisor_that_was_killed_together_with_its_standby(second_node):
    init = record.read_state(second_node.config.run).init
    for pid in processes_with(second_node.config, "local.node.supervisor"):
        os.kill(pid, signal.SIGSTOP)
    for pid in processes_with(second_node.config, "local.node.supervisor"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not node.status(second_node.config).supervised, "the supervisor has ended")
    node.start(second_node.config, Silent())
    assert node.status(second_node.config).supervised
    assert record.read_state(second_node.config.run).init == init, "the node itself is not restarted"


@pytest.mark.parametrize("name", ["relay", "uplink", "unshare", "init"])
def test_the_supervisor_restarts_killed_connections_and_namespaces(second_node, name):
    victim = getattr(record.read_state(second_node.config.run), name)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: getattr(record.read_state(second_node.config.run), name) not in {None, victim}, f"{name} is restarted")
    until(lambda: second_node.ready, "the node is ready")
    until(lambda: http_status(32001) == 200, "the pods respond")


def test_two_starts_at_the_same_time_start_one_node(second_node):
    state = record.read_state(second_node.config.run)
    command = [sys.executable, "-m", "local.node", "start", "--root", str(second_node.config.root), "--api-port", "17443"]
    command += ["--registry-port", "15500", "--node-ports", "32000-32007"]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in starts]
    assert [process.returncode for process in starts] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0], "both print the kubeconfig of the same node"
    assert record.read_state(second_node.config.run) == state, "a running node is not restarted"


def test_a_start_completes_after_earlier_starts_were_killed(second_node):
    node.stop(second_node.config)
    command = [sys.executable, "-m", "local.node", "start", "--root", str(second_node.config.root), "--api-port", "17443"]
    command += ["--registry-port", "15500", "--node-ports", "32000-32007"]
    for seconds in (0.3, 1, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    node.start(second_node.config, Silent())
    assert second_node.ready
    assert len(processes_with(second_node.config, "pasta")) == 1, "only one uplink runs"


def test_data_survives_a_restart_of_the_node(second_node):
    second_node.claim("default", "kept", "ReadWriteOnce")
    second_node.pod("default", "writes", "echo kept > /data/file", claim="kept")
    second_node.log("default", "writes")
    node.stop(second_node.config)
    assert http_status(32001) is None
    node.start(second_node.config, Silent())
    second_node.pod("default", "reads", "cat /data/file", claim="kept")
    assert second_node.log("default", "reads").strip() == "kept", "the volume, the claim and the image survive"
    until(lambda: http_status(32001) == 200, "pods that ran before run again")


def test_a_port_in_use_is_refused_before_any_process_is_started(second_node, tmp_path):
    with socket.create_server(("127.0.0.1", 17999)):
        other = node.NodeConfig(tmp_path, 17999, 15501, (32010, 32011))
        with pytest.raises(UserError, match=r"127\.0\.0\.1:17999") as refused:
            node.start(other, Silent())
    assert f"process {os.getpid()}" in str(refused.value)
    assert not Cgroup(other.name).exists()
    same_port = node.NodeConfig(tmp_path, 17443, 15501, (32010, 32011))
    with pytest.raises(UserError, match=r"local\.node\.relay"):
        node.start(same_port, Silent())


def test_stop_leaves_only_data_on_the_machine(second_node, before):
    group = Cgroup(second_node.config.name)
    pids = group.processes()
    assert pids
    node.stop(second_node.config)
    assert not group.exists()
    assert [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE] == []
    assert machine_state(userland.ensure(Silent())) == before
    assert not node.status(second_node.config).running
    with socket.create_server(("127.0.0.1", 17443)):
        pass
    node.stop(second_node.config)
