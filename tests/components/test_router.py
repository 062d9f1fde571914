from __future__ import annotations

import pytest

from components.serving.router import Router, RouterArgs
from components.serving.router_config import Routes, Target
from tests.harness import run
from tests.pods import container_of, pod_of

ROUTES = Routes(workload="markdown", stable=Target(variant="stable", address="markdown-stable:9000"))
ARGS = {
    "namespace": "serving",
    "image": "localhost:5000/router@sha256:" + "7d" * 32,
    "routes": ROUTES,
    "cluster_ips": {"stable": "10.0.0.7"},
    "replicas": 1,
    "node_port": 30001,
}


def declare(**changes):
    return run(lambda: Router("markdown-router", RouterArgs(**(ARGS | changes))))


def test_the_service_has_the_name_of_the_workload_and_the_node_port():
    service = declare().one("Service").inputs
    assert service["metadata"]["name"] == "markdown"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30001}]


def test_without_a_node_port_only_clients_in_the_cluster_reach_the_router():
    assert "type" not in declare(node_port=None).one("Service").inputs["spec"]


def test_the_pod_mounts_the_config_map_with_this_configuration():
    declared = declare()
    volumes = {volume["name"]: volume for volume in pod_of(declared.one("Deployment"))["volumes"]}
    assert volumes["config"]["configMap"]["name"] == declared.one("ConfigMap").inputs["metadata"]["name"]
    assert declared.one("ConfigMap").inputs["immutable"] is True, (
        "a changed config map would reach only some of the running pods"
    )


def test_the_router_resolves_its_upstreams_without_dns():
    aliases = pod_of(declare().one("Deployment"))["hostAliases"]
    assert aliases == [{"ip": "10.0.0.7", "hostnames": ["markdown-stable"]}], (
        "NGINX exits if it cannot resolve a name when it starts"
    )


def test_two_services_with_the_same_address_share_one_alias():
    targets = {role: Target(variant=role, address=f"markdown-{role}:9000") for role in ("stable", "canary", "shadow")}
    routes = Routes(workload="markdown", **targets)
    addresses = {"stable": "10.0.0.7", "canary": "10.0.0.0", "shadow": "10.0.0.0"}
    aliases = pod_of(declare(routes=routes, cluster_ips=addresses).one("Deployment"))["hostAliases"]
    assert aliases == [
        {"ip": "10.0.0.7", "hostnames": ["markdown-stable"]},
        {"ip": "10.0.0.0", "hostnames": ["markdown-canary", "markdown-shadow"]},
    ], "the API server would reject a preview of a new canary and a new shadow: the list is keyed by address"


def test_a_recreated_service_restarts_the_pods():
    pods = [pod_of(declare(cluster_ips={"stable": address}).one("Deployment")) for address in ("10.0.0.7", "10.0.0.8")]
    assert pods[0] != pods[1], "NGINX resolves addresses only when it starts"


@pytest.mark.parametrize(("replicas", "spread"), [(1, False), (2, True)])
def test_several_replicas_are_spread_over_nodes(replicas, spread):
    pod = pod_of(declare(replicas=replicas).one("Deployment"))
    assert ("topologySpreadConstraints" in pod) == spread


def test_the_router_writes_only_to_its_scratch_folder():
    container = container_of(declare().one("Deployment"))
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]
