from __future__ import annotations

import json
import re

import pulumi
import pytest
from pulumi_kubernetes import core

from components import cluster
from tests.harness import Secret, revealed, run

EMBEDDED = cluster.EmbeddedClusterArgs(api_port=6443, registry_port=5000, node_ports="30000-30031")
KIND = cluster.KindClusterArgs(cluster_name="modelstack", node_ports=range(30000, 30003))
EXISTING = cluster.ExistingClusterArgs(context="prod", kubeconfig=None)

ALL = {
    "embedded": lambda: cluster.EmbeddedCluster("cluster", EMBEDDED),
    "kind": lambda: cluster.KindCluster("cluster", KIND),
    "existing": lambda: cluster.ExistingCluster("cluster", EXISTING),
}


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_every_kind_gives_a_provider_that_a_new_kubeconfig_does_not_replace(make):
    provider = run(make).one("kubernetes")
    assert provider.parent == "cluster"
    assert provider.inputs["clusterIdentifier"], "without it, a renewed certificate plans everything in the cluster anew"


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_objects_of_components_reach_the_cluster_they_are_given(make):
    def program():
        options = pulumi.ResourceOptions(providers=[make().provider])
        component = pulumi.ComponentResource("modelstack:test:Part", "part", None, options)
        core.v1.ConfigMap("map", data={}, opts=pulumi.ResourceOptions(parent=component))

    assert run(program).one("ConfigMap").provider == "cluster-provider"


@pytest.mark.parametrize("kind", ["embedded", "kind"])
def test_the_kubeconfig_of_a_cluster_of_our_own_is_a_secret(kind):
    declared = run(lambda: pulumi.export("kubeconfig", ALL[kind]().kubeconfig))
    assert declared.outputs["kubeconfig"] == Secret("stdout of cluster-node")
    assert isinstance(declared.one("kubernetes").inputs["kubeconfig"], Secret), "it holds the administrator's key"
    assert declared.one("Command").inputs["logging"] == "stderr", "stdout is the kubeconfig and must not reach a log"


def test_the_embedded_node_starts_with_the_stack_and_goes_with_it():
    command = run(ALL["embedded"]).one("Command").inputs
    ports = "--api-port 6443 --registry-port 5000 --node-ports 30000-30031"
    assert command["create"] == f"modelstack node start {ports}"
    assert command["delete"] == f"modelstack node stop {ports} --remove-data", "destroy leaves nothing"


def test_a_changed_port_restarts_the_embedded_node_and_keeps_its_data():
    command = run(ALL["embedded"]).one("Command").inputs
    assert "triggers" not in command, "a trigger would replace the node, and with it every model that was registered"


@pytest.mark.parametrize("kind", ["embedded", "kind"])
def test_nothing_of_this_machine_is_in_the_declaration(kind):
    inputs = json.dumps(revealed(run(ALL[kind]).one("Command").inputs))
    assert not re.search(r"/(home|root|work|tmp|usr)\b", inputs), "another checkout would see a change where there is none"


def test_a_kind_cluster_is_made_once_and_publishes_its_node_ports_on_the_loopback_address():
    command = run(ALL["kind"]).one("Command").inputs
    assert command["create"].startswith("kind get clusters | grep -qx modelstack ||"), "an interrupted run is repeated"
    ports = json.loads(command["stdin"])["nodes"][0]["extraPortMappings"]
    assert [port["hostPort"] for port in ports] == [30000, 30001, 30002]
    assert {port["listenAddress"] for port in ports} == {"127.0.0.1"}, "others on the network have no business here"


def test_an_existing_cluster_is_reached_by_its_context_and_never_by_the_current_one():
    provider = run(ALL["existing"]).one("kubernetes").inputs
    assert provider["context"] == "prod"
    assert "kubeconfig" not in provider, "it is the user's own, and an empty one would be another"
    assert not run(ALL["existing"]).all("Command"), "a cluster of others is neither started nor stopped"
