from __future__ import annotations

import pulumi
import pytest

from components.serving.endpoint import CanaryVariant, Endpoint, EndpointArgs, routes
from components.serving.router_config import config
from components.serving.variant import Capacity, ServedRelease
from tests.harness import run

IMAGE = "localhost:5000/markdown-serving@sha256:"
STABLE = ServedRelease(image=IMAGE + "9f" * 32, version=3, run="0f" * 16)
NEXT = ServedRelease(image=IMAGE + "8e" * 32, version=4, run="1e" * 16)
CAPACITY = Capacity(cpu="100m", memory="384Mi", workers=1, min_replicas=1, max_replicas=2, target_cpu_percent=70)
ARGS = {
    "namespace": "serving",
    "router_image": "localhost:5000/router@sha256:" + "7d" * 32,
    "capacity": CAPACITY,
    "stable": STABLE,
    "host": "localhost",
    "node_port": 30001,
}


def declare(**changes):
    def program():
        endpoint = Endpoint("markdown", EndpointArgs(**(ARGS | changes)))
        pulumi.export("url", endpoint.url)

    return run(program)


def config_of(declared):
    return declared.one("ConfigMap").inputs["data"]["nginx.conf"]


def names(declared, kind):
    return sorted(resource.inputs["metadata"]["name"] for resource in declared.all(kind))


def test_the_url_is_the_node_port_or_the_service_of_the_workload():
    assert declare().outputs["url"] == "http://localhost:30001"
    assert declare(host="", node_port=None).outputs["url"] == "http://markdown.serving.svc"


def test_without_canary_and_shadow_there_is_one_variant_and_the_router():
    declared = declare()
    assert names(declared, "Deployment") == ["markdown-router", "markdown-stable"]
    assert names(declared, "Service") == ["markdown", "markdown-stable"]


def test_each_variant_has_its_own_objects():
    declared = declare(canary=CanaryVariant(served=NEXT, percent=10), shadow=NEXT)
    variants = ["markdown-canary", "markdown-shadow", "markdown-stable"]
    assert names(declared, "HorizontalPodAutoscaler") == variants
    assert names(declared, "PodDisruptionBudget") == sorted([*variants, "markdown-router"])
    assert names(declared, "Service") == sorted(["markdown", *variants])


def test_the_router_sends_a_share_to_the_canary_and_copies_to_the_shadow():
    text = config_of(declare(canary=CanaryVariant(served=NEXT, percent=10), shadow=NEXT))
    assert "10% canary; * stable;" in text
    assert "mirror /shadow;" in text
    assert "server markdown-canary:9000" in text


def test_the_router_starts_after_every_variant_is_ready():
    declared = declare(canary=CanaryVariant(served=NEXT, percent=10))
    ready = {"markdown-stable-service", "markdown-canary-service"}
    assert ready <= declared.one("Deployment", "markdown-router-deployment").dependencies, (
        "requests to a canary that is not ready would fail"
    )


def test_another_share_gets_another_config_map_so_the_pods_restart():
    before, after = (declare(canary=CanaryVariant(served=NEXT, percent=percent)) for percent in (10, 20))
    assert names(before, "ConfigMap") != names(after, "ConfigMap")
    assert [each.name for each in before.all("ConfigMap")] == [each.name for each in after.all("ConfigMap")], (
        "the engine replaces the resource: it creates the new config map before it deletes the old one"
    )


def test_another_release_does_not_change_the_router():
    before, after = declare(), declare(stable=NEXT)
    router = [each.one("Deployment", "markdown-router-deployment").inputs for each in (before, after)]
    assert router[0] == router[1], "a restart of the router is not necessary"


def test_only_the_router_may_send_requests_to_variants_and_they_may_send_none():
    policy = declare().one("NetworkPolicy", "markdown-variant-traffic").inputs["spec"]
    predictions = next(rule for rule in policy["ingress"] if rule["ports"] == [{"port": 9000}])
    assert predictions["from"] == [
        {"podSelector": {"matchLabels": {"modelstack.dev/workload": "markdown", "modelstack.dev/role": "router"}}}
    ]
    assert policy.get("egress", []) == [], "a model needs nothing but the request"
    assert "Egress" in policy["policyTypes"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canary": CanaryVariant(served=NEXT, percent=101)}, "canary_percent is 101"),
        ({"host": ""}, "host and node_port must be set together"),
        ({"node_port": None}, "host and node_port must be set together"),
    ],
)
def test_invalid_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        declare(**changes)


def test_the_router_of_a_stable_variant_alone_knows_no_other_variant():
    text = config(routes("markdown", EndpointArgs(**ARGS)))
    assert "canary" not in text
    assert "shadow" not in text
