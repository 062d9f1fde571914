from __future__ import annotations

import pulumi

from components.namespace import Namespace, NamespaceArgs
from tests.harness import run


def program():
    pulumi.export("name", Namespace("serving", NamespaceArgs(name="serving")).name)


def test_pods_in_a_namespace_must_be_restricted():
    labels = run(program).one("Namespace", "serving-namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted", (
        "the API server must reject pods that a review overlooks"
    )


def test_the_default_policy_allows_dns_only():
    policy = run(program).one("NetworkPolicy").inputs["spec"]
    assert policy["podSelector"] == {}, "the policy applies to all pods"
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = {(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {(53, "UDP"), (53, "TCP")}, "all pods need DNS"


def test_the_output_is_the_name_of_the_namespace():
    assert run(program).outputs["name"] == "serving"
