from __future__ import annotations

import pulumi

from components.namespace import Namespace, NamespaceArgs
from tests.harness import run


def program():
    pulumi.export("name", Namespace("serving", NamespaceArgs(name="serving")).name)


def test_pods_in_a_namespace_must_be_restricted():
    labels = run(program).one("Namespace", "serving-namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted", "the API server refuses what a review overlooks"


def test_no_traffic_flows_that_nobody_asked_for():
    policy = run(program).one("NetworkPolicy").inputs["spec"]
    assert policy["podSelector"] == {}, "it is for every pod"
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = {(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {(53, "UDP"), (53, "TCP")}, "without names nothing works"


def test_whoever_uses_the_name_waits_for_the_namespace():
    assert run(program).outputs["name"] == "serving"
