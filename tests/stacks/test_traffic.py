"""Who may talk to whom, by the network policies of a stack. Kubernetes wants both ends to allow it."""

from __future__ import annotations

import pytest

from tests.pods import pod_of
from tests.releases import run_released


@pytest.fixture(scope="module")
def declared():
    return run_released("dev")


def pod_labels(declared, kind, name):
    resource = declared.one(kind, name)
    spec = resource.inputs["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if kind == "CronJob" else spec["template"]
    assert pod_of(resource)
    return resource.inputs["metadata"]["namespace"], template["metadata"]["labels"]


def selects(selector, labels):
    """Whether a label selector finds something with these labels. An empty one finds everything."""
    found = selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", "these tests know no other operator"
        found = found and labels.get(expression["key"]) in expression["values"]
    return found


def peers(rule, side, home, namespace, labels):
    """Whether the peers of a rule include a pod. No peers: everyone."""
    if side not in rule:
        return True
    return any(
        selects(peer.get("podSelector", {}), labels)
        and (
            selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
            if "namespaceSelector" in peer
            else home == namespace
        )
        for peer in rule[side]
    )


def allowed(declared, source, target, port, name):
    """Whether both ends' policies let `source` open a connection to `port` (called `name`) of `target`."""

    def one_end(direction, side, end, other):
        namespace, labels = end
        rules = [
            rule
            for policy in declared.all("NetworkPolicy")
            if policy.inputs["metadata"]["namespace"] == namespace and selects(policy.inputs["spec"]["podSelector"], labels)
            for rule in policy.inputs["spec"].get(direction, [])
        ]
        return any(
            peers(rule, side, namespace, *other)
            and ("ports" not in rule or any(each["port"] in {port, name} for each in rule["ports"]))
            for rule in rules
        )

    return one_end("egress", "to", source, target) and one_end("ingress", "from", target, source)


def test_what_must_talk_may_talk(declared):
    tracking = pod_labels(declared, "Deployment", "tracking-server")
    postgres = pod_labels(declared, "StatefulSet", "postgres-server")
    training = pod_labels(declared, "CronJob", "training-markdown")
    router = pod_labels(declared, "Deployment", "markdown-router-deployment")
    variant = pod_labels(declared, "Deployment", "markdown-stable-deployment")
    assert allowed(declared, tracking, postgres, 5432, "postgres")
    assert allowed(declared, training, tracking, 5000, "http")
    assert allowed(declared, router, variant, 9000, "http")


def test_what_need_not_talk_may_not(declared):
    postgres = pod_labels(declared, "StatefulSet", "postgres-server")
    training = pod_labels(declared, "CronJob", "training-markdown")
    variant = pod_labels(declared, "Deployment", "markdown-stable-deployment")
    tracking = pod_labels(declared, "Deployment", "tracking-server")
    assert not allowed(declared, training, postgres, 5432, "postgres"), (
        "training code sees the database only through the server"
    )
    assert not allowed(declared, variant, tracking, 5000, "http"), "a model that answers customers has no way to the registry"
    assert not allowed(declared, training, variant, 9000, "http")


def test_nobody_in_the_cluster_may_read_what_a_variant_answered(declared):
    variant = pod_labels(declared, "Deployment", "markdown-stable-deployment")
    others = [
        pod_labels(declared, "Deployment", "markdown-router-deployment"),
        pod_labels(declared, "CronJob", "training-markdown"),
        ("kube-system", {"app": "anything"}),
        variant,
    ]
    assert not any(allowed(declared, other, variant, 6001, "recorded") for other in others)
    policy = declared.one("NetworkPolicy", "markdown-variant-traffic").inputs["spec"]
    (rule,) = [rule for rule in policy["ingress"] if rule["ports"] == [{"port": 6001}]]
    assert peers(rule, "from", "serving", "kube-system", {"app": "konnectivity-agent"}), "the API server's way in on AKS"
