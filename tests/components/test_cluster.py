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
def test_a_new_kubeconfig_does_not_replace_the_provider(make):
    provider = run(make).one("kubernetes")
    assert provider.parent == "cluster"
    assert provider.inputs["clusterIdentifier"], "without it, a renewed certificate would replace all resources in the cluster"


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_the_objects_of_a_component_are_created_in_the_cluster_of_its_provider(make):
    def program():
        options = pulumi.ResourceOptions(providers=[make().provider])
        component = pulumi.ComponentResource("modelstack:test:Part", "part", None, options)
        core.v1.ConfigMap("map", data={}, opts=pulumi.ResourceOptions(parent=component))

    assert run(program).one("ConfigMap").provider == "cluster-provider"


@pytest.mark.parametrize("kind", ["embedded", "kind"])
def test_the_kubeconfig_of_a_cluster_that_the_stack_creates_is_a_secret(kind):
    declared = run(lambda: pulumi.export("kubeconfig", ALL[kind]().kubeconfig))
    assert declared.outputs["kubeconfig"] == Secret("stdout of cluster-node")
    assert isinstance(declared.one("kubernetes").inputs["kubeconfig"], Secret), "it contains the administrator's key"
    assert declared.one("Command").inputs["logging"] == "stderr", "stdout is the kubeconfig and must not reach a log"


def test_the_stack_starts_and_deletes_the_embedded_node():
    command = run(ALL["embedded"]).one("Command").inputs
    ports = "--api-port 6443 --registry-port 5000 --node-ports 30000-30031"
    assert command["create"] == f"modelstack node start {ports}"
    assert command["delete"] == f"modelstack node stop {ports} --remove-data", "`pulumi destroy` deletes the data, too"


def test_a_changed_port_restarts_the_embedded_node_and_keeps_its_data():
    command = run(ALL["embedded"]).one("Command").inputs
    assert "triggers" not in command, "a trigger would replace the node and delete all registered models"


@pytest.mark.parametrize("kind", ["embedded", "kind"])
def test_the_declaration_contains_no_path_of_this_machine(kind):
    inputs = json.dumps(revealed(run(ALL[kind]).one("Command").inputs))
    assert not re.search(r"/(home|root|work|tmp|usr)\b", inputs), "a preview from another checkout would show a change"


def test_a_kind_cluster_is_created_once_and_publishes_its_node_ports_on_the_loopback_address():
    command = run(ALL["kind"]).one("Command").inputs
    assert command["create"] == "modelstack kind start --name modelstack --mark hex of cluster-mark"
    assert command["update"].startswith("modelstack kind adopt"), "an update must not ask for a mark that old clusters lack"
    assert command["delete"].startswith("modelstack kind delete --name modelstack --mark ")
    assert json.loads(command["stdin"])["nodes"][0]["labels"] == {"modelstack.dev/cluster": "hex of cluster-mark"}
    ports = json.loads(command["stdin"])["nodes"][0]["extraPortMappings"]
    assert [port["hostPort"] for port in ports] == [30000, 30001, 30002]
    assert {port["listenAddress"] for port in ports} == {"127.0.0.1"}, (
        "other machines on the network must not reach the cluster"
    )


def test_an_existing_cluster_has_an_explicit_context():
    provider = run(ALL["existing"]).one("kubernetes").inputs
    assert provider["context"] == "prod"
    assert "kubeconfig" not in provider, "the user's own is the default; an empty value would be a different kubeconfig"
    assert not run(ALL["existing"]).all("Command"), "the stack neither starts nor stops an existing cluster"
