"""The node of the environment, as workloads see it."""

from __future__ import annotations

import time

import pytest
from kubernetes import client

from local.node.config import NodeConfig
from local.node.lifecycle.status import status
from tests.e2e.nodes import Cluster, until


@pytest.fixture(scope="session")
def environment():
    """The environment's own node, which has to be up."""
    which = NodeConfig()
    seen = status(which)
    assert seen.ready, f"the environment is not up: {seen}"
    return Cluster(which, which.kubeconfig.read_text())


def test_names_of_services_are_known_in_pods(environment):
    ask = "python3 -c 'import socket; print(socket.gethostbyname(\"kubernetes.default\"))'"
    with environment.namespace("e2e-dns") as namespace:
        environment.pod(namespace, "asks", ask)
        assert environment.ended(namespace, "asks").strip() == "10.96.0.1"


def test_a_service_made_a_moment_ago_is_known_though_it_was_asked_for_before(environment):
    ask = "for n in $(seq 60); do getent hosts late && exit 0; sleep 0.5; done; exit 1"
    with environment.namespace("e2e-late") as namespace:
        environment.pod(namespace, "asks", ask)
        until(lambda: environment.phase(namespace, "asks") == "Running", "it asks")
        time.sleep(2)
        spec = {"selector": {"app": "asks"}, "ports": [{"port": 80}]}
        environment.core.create_namespaced_service(namespace, {"metadata": {"name": "late"}, "spec": spec})
        assert "late" in environment.ended(namespace, "asks")


def test_two_pods_share_a_volume_that_both_write(environment):
    with environment.namespace("e2e-shared") as namespace:
        environment.claim(namespace, "shared")
        wait = "for n in $(seq 60); do [ -e /data/{other} ] && break; sleep 0.5; done; cat /data/{other}"
        for mine, other in (("first", "second"), ("second", "first")):
            environment.pod(namespace, mine, f"echo from {mine} > /data/{mine}; " + wait.format(other=other), claim="shared")
        assert environment.ended(namespace, "first").strip() == "from second"
        assert environment.ended(namespace, "second").strip() == "from first"
        folders = environment.config.root / "volumes"
        assert len(list(folders.glob(f"{namespace}-*"))) == 1
    until(lambda: not list(folders.glob(f"{namespace}-*")), "the data of a deleted claim is deleted")


@pytest.mark.parametrize(
    "asked", [{"privileged": True}, {"runAsUser": 0, "runAsNonRoot": False}, {"capabilities": {"add": ["NET_ADMIN"]}}]
)
def test_a_restricted_namespace_refuses_what_is_too_much(environment, asked):
    container = {"name": "main", "image": environment.image(), "securityContext": asked}
    with environment.namespace("e2e-restricted") as namespace:
        with pytest.raises(client.ApiException) as refused:
            environment.core.create_namespaced_pod(
                namespace, {"metadata": {"name": "asks"}, "spec": {"containers": [container]}}
            )
        assert refused.value.status == 403
        assert "violates PodSecurity" in refused.value.body


def test_nothing_is_told_to_who_has_no_name(environment):
    bare = client.Configuration()
    bare.host, bare.verify_ssl = environment.api.configuration.host, True
    bare.ssl_ca_cert = environment.api.configuration.ssl_ca_cert
    with client.ApiClient(bare) as nameless, pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(nameless).list_namespace()
    assert refused.value.status == 401
