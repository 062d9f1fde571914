"""A node of the tests' second_node, beside the environment's: it may be ill-treated."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from kubernetes import client

from common.errors import UserError
from local import userland
from local.node import record
from local.node.cgroups import Cgroup
from local.node.config import NodeConfig
from local.node.lifecycle.start import start
from local.node.lifecycle.status import processes, status
from local.node.lifecycle.stop import stop
from tests.e2e.nodes import Cluster, Silent, until

SECOND_PORTS = {"api_port": 17443, "registry_port": 15500, "node_ports": (32000, 32007)}


def machine_state(root):
    """What `stop` has to leave as it was: interfaces, mounts, firewall."""

    def said(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    links = said("ip", "-o", "link")
    rules = [said(*userland.argv(root, [tool])) for tool in ("iptables-save", "iptables-legacy-save")]
    counted = [line for text in rules for line in text.splitlines() if not line.startswith(("#", ":"))]
    return {"links": links, "mounts": Path("/proc/self/mounts").read_text(), "rules": counted}


@pytest.fixture(scope="module")
def before():
    return machine_state(userland.ensure(Silent()))


@pytest.fixture(scope="module")
def second_node(before, tmp_path_factory):
    """A node beside it, for this file alone."""
    which = NodeConfig(tmp_path_factory.mktemp("node"), **SECOND_PORTS)
    try:
        yield Cluster(which, start(which, Silent()))
    finally:
        stop(which)


def test_a_secret_is_not_readable_in_the_store(second_node):
    second_node.core.create_namespaced_secret(
        "default", {"metadata": {"name": "hidden"}, "stringData": {"word": "xylophone-in-etcd"}}
    )
    store = b"".join(path.read_bytes() for path in (second_node.config.root / "etcd").rglob("*") if path.is_file())
    assert b"hidden" in store
    assert b"xylophone-in-etcd" not in store


def test_the_use_of_a_pod_is_measured(second_node):
    second_node.pod("default", "busy", "while :; do :; done")

    def usage():
        found = client.CustomObjectsApi(second_node.api).list_namespaced_custom_object(
            "metrics.k8s.io", "v1beta1", "default", "pods"
        )
        return {item["metadata"]["name"]: item["containers"][0]["usage"] for item in found["items"]}.get("busy")

    used = until(lambda: (seen := usage()) and int(seen["cpu"].rstrip("n")) > 10_000_000 and seen, "CPU use is seen", 90)
    assert used["memory"].endswith("Ki")
    second_node.core.delete_namespaced_pod("busy", "default")


SERVE = "cd /tmp 2>/dev/null || cd /; exec python3 -m http.server 8000"


def fetched(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return answer.status
    except OSError:
        return None


def test_a_node_port_is_reachable_on_the_machine_through_the_death_of_everything(second_node):
    second_node.pod("default", "serves", SERVE, restart="Always")
    spec = {"type": "NodePort", "selector": {"app": "serves"}, "ports": [{"port": 80, "targetPort": 8000, "nodePort": 32001}]}
    second_node.core.create_namespaced_service("default", {"metadata": {"name": "serves"}, "spec": spec})
    until(lambda: fetched(32001) == 200, "the port answers")
    for name, pid in processes(second_node.config).items():
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        until(lambda name=name, pid=pid: processes(second_node.config).get(name) not in {None, pid}, f"another {name}")
        until(lambda: second_node.ready, f"the node after the end of {name}")
        assert fetched(32001) == 200, f"without {name} for a moment the pods go on"


def test_network_policies_hold_between_pods_and_leave_node_ports_alone(second_node):
    policies = client.NetworkingV1Api(second_node.api)
    ask = "python3 -c 'import urllib.request as r; r.urlopen(\"http://serves\", timeout=3)' 2>/dev/null && echo in || echo out"
    spec = {"podSelector": {"matchLabels": {"app": "serves"}}, "policyTypes": ["Ingress"]}
    spec["ingress"] = [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8000}]}]
    policies.create_namespaced_network_policy("default", {"metadata": {"name": "friends"}, "spec": spec})
    # The rules follow the addresses of pods, which a pod has a moment before the rules know it.
    for name in ("friend", "stranger"):
        second_node.pod("default", name, f"sleep 3; {ask}")
    assert second_node.ended("default", "friend").strip() == "in"
    assert second_node.ended("default", "stranger").strip() == "out"
    assert fetched(32001) == 200, "what comes from the machine itself is not a pod's traffic"
    policies.delete_namespaced_network_policy("friends", "default")
    second_node.pod("default", "forgiven", f"sleep 3; {ask}")
    assert second_node.ended("default", "forgiven").strip() == "in"


def named(which, word):
    """Processes outside the namespaces whose command line has `word`."""
    return [pid for pid in sorted(Cgroup(which.name).processes("outer")) if word in " ".join(psutil.Process(pid).cmdline())]


def test_the_supervisor_of_a_service_may_die(second_node):
    init = record.read_state(second_node.config.run).init
    keeper = next(child for child in psutil.Process(init.pid).children() if child.cmdline() == ["runsv", "etcd"])
    etcd = processes(second_node.config)["etcd"]
    keeper.kill()
    until(lambda: processes(second_node.config).get("etcd") not in {None, etcd}, "another etcd")
    until(lambda: second_node.ready, "the node")


@pytest.mark.parametrize("which", [0, 1])
def test_the_outer_supervisor_or_its_heir_may_die(second_node, which):
    init = record.read_state(second_node.config.run).init
    pair = named(second_node.config, "local.node.supervisor")
    assert len(pair) == 2
    os.kill(pair[which], signal.SIGKILL)
    until(lambda: len(new := named(second_node.config, "local.node.supervisor")) == 2 and pair[which] not in new, "a new pair")
    assert record.read_state(second_node.config.run).init == init, "the node itself does not notice"
    assert second_node.ready


def test_start_replaces_a_supervisor_that_died_with_its_heir(second_node):
    init = record.read_state(second_node.config.run).init
    for pid in named(second_node.config, "local.node.supervisor"):
        os.kill(pid, signal.SIGSTOP)
    for pid in named(second_node.config, "local.node.supervisor"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not status(second_node.config).supervised, "nobody watches")
    start(second_node.config, Silent())
    assert status(second_node.config).supervised
    assert record.read_state(second_node.config.run).init == init, "the node itself does not notice"


@pytest.mark.parametrize("what", ["relay", "uplink", "unshare", "init"])
def test_the_connections_and_the_namespaces_may_die(second_node, what):
    victim = getattr(record.read_state(second_node.config.run), what)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: getattr(record.read_state(second_node.config.run), what) not in {None, victim}, f"another {what}")
    until(lambda: second_node.ready, "the node")
    until(lambda: fetched(32001) == 200, "the pods")


def test_two_starts_at_once_make_one_node(second_node):
    state = record.read_state(second_node.config.run)
    command = [sys.executable, "-m", "local.node", "start", "--root", str(second_node.config.root), "--api-port", "17443"]
    command += ["--registry-port", "15500", "--node-ports", "32000-32007"]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in starts]
    assert [process.returncode for process in starts] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0], "both tell how to reach the same node"
    assert record.read_state(second_node.config.run) == state, "what runs is left alone"


def test_a_start_that_was_killed_is_finished_by_the_next(second_node):
    stop(second_node.config)
    command = [sys.executable, "-m", "local.node", "start", "--root", str(second_node.config.root), "--api-port", "17443"]
    command += ["--registry-port", "15500", "--node-ports", "32000-32007"]
    for seconds in (0.3, 1, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    start(second_node.config, Silent())
    assert second_node.ready
    assert len(named(second_node.config, "pasta")) == 1, "one of each"


def test_a_restart_of_the_whole_node_keeps_data(second_node):
    second_node.claim("default", "kept", "ReadWriteOnce")
    second_node.pod("default", "writes", "echo kept > /data/file", claim="kept")
    second_node.ended("default", "writes")
    stop(second_node.config)
    assert fetched(32001) is None
    start(second_node.config, Silent())
    second_node.pod("default", "reads", "cat /data/file", claim="kept")
    assert second_node.ended("default", "reads").strip() == "kept", "volume, claim and image survive"
    until(lambda: fetched(32001) == 200, "pods that ran before run again")


def test_a_taken_port_is_named_before_anything_is_started(second_node, tmp_path):
    with socket.create_server(("127.0.0.1", 17999)):
        other = NodeConfig(tmp_path, 17999, 15501, (32010, 32011))
        with pytest.raises(UserError, match=r"127\.0\.0\.1:17999") as refused:
            start(other, Silent())
    assert f"process {os.getpid()}" in str(refused.value)
    assert not Cgroup(other.name).exists()
    own_port = NodeConfig(tmp_path, 17443, 15501, (32010, 32011))
    with pytest.raises(UserError, match=r"local\.node\.relay"):
        start(own_port, Silent())


def test_stop_leaves_nothing_on_the_machine_but_data(second_node, before):
    group = Cgroup(second_node.config.name)
    pids = group.processes()
    assert pids
    stop(second_node.config)
    assert not group.exists()
    assert [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE] == []
    assert machine_state(userland.ensure(Silent())) == before
    assert not status(second_node.config).running
    with socket.create_server(("127.0.0.1", 17443)):
        pass
    stop(second_node.config)
