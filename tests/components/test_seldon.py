from __future__ import annotations

import pulumi
import pytest

from components.serving.endpoint import CanaryVariant, EndpointArgs, Gateway
from components.serving.seldon import SeldonEndpoint
from components.serving.variant import Capacity, ServedRelease
from tests.harness import run
from tests.pods import pods

IMAGE = "localhost:5000/markdown-serving@sha256:"
STABLE = ServedRelease(image=IMAGE + "9f" * 32, version=3, run="0f" * 16)
NEXT = ServedRelease(image=IMAGE + "8e" * 32, version=4, run="1e" * 16)
CAPACITY = Capacity(cpu="100m", memory="384Mi", workers=1, min_replicas=1, max_replicas=2, target_cpu_percent=70)
ARGS = {
    "namespace": "serving",
    "router_image": "localhost:5000/router@sha256:" + "7d" * 32,
    "capacity": CAPACITY,
    "stable": STABLE,
}


def declare(**changes):
    def program():
        endpoint = SeldonEndpoint("markdown", EndpointArgs(**(ARGS | changes)))
        pulumi.export("url", endpoint.url)

    return run(program)


def test_the_url_leads_to_the_gateway_because_only_the_gateway_splits_requests():
    assert declare().outputs["url"] == "http://istio-ingressgateway.istio-system.svc/seldon/serving/markdown"
    elsewhere = declare(gateway=Gateway(service="inside", namespace="aks-istio-ingress"))
    assert elsewhere.outputs["url"] == "http://inside.aks-istio-ingress.svc/seldon/serving/markdown"
    outside = declare(host="models.example.com", node_port=30080)
    assert outside.outputs["url"] == "http://models.example.com:30080/seldon/serving/markdown"


def test_an_endpoint_is_a_seldon_deployment_and_a_network_policy():
    declared = declare(canary=CanaryVariant(served=NEXT, percent=10), shadow=NEXT)
    assert sorted(resource.type.rpartition(":")[2] for resource in declared.resources) == [
        "NetworkPolicy",
        "SeldonDeployment",
        "SeldonEndpoint",
    ], "the operator creates Deployments, Services and routes"
    assert {resource.parent for resource in declared.resources if resource.custom} == {"markdown"}


def test_the_engine_waits_until_all_variants_are_available():
    deployment = declare().one("SeldonDeployment")
    assert deployment.inputs["apiVersion"] == "machinelearning.seldon.io/v1"
    metadata = deployment.inputs["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("markdown", "serving")
    assert metadata["labels"]["modelstack.dev/workload"] == "markdown"
    assert metadata["annotations"]["pulumi.com/waitFor"] == "jsonpath={.status.state}=Available"
    assert int(metadata["annotations"]["pulumi.com/timeoutSeconds"]) > 600, (
        "a Deployment fails after 600 s, and the operator must report that before the timeout"
    )


def test_the_spec_reaches_the_engine_completely():
    first, second = declare(canary=CanaryVariant(served=NEXT, percent=10)).one("SeldonDeployment").inputs["spec"]["predictors"]
    assert (first["name"], first["traffic"], second["name"], second["traffic"]) == ("stable", 90, "canary", 10)
    (container,) = second["componentSpecs"][0]["spec"]["containers"]
    assert container["image"] == NEXT.image
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


def test_policies_over_all_pods_apply_to_the_pods_of_each_variant():
    declared = declare(canary=CanaryVariant(served=NEXT, percent=10))
    images = [container["image"] for _, pod in pods(declared) for container in pod["containers"]]
    assert images == [STABLE.image, NEXT.image], "the operator's pods must meet the policies, too"


def test_only_the_gateway_may_send_requests_to_variants_and_they_may_send_none():
    policy = declare(gateway=Gateway(namespace="mesh")).one("NetworkPolicy").inputs["spec"]
    predictions = next(rule for rule in policy["ingress"] if rule["ports"] == [{"port": 9000}])
    assert predictions["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mesh"}}}]
    assert policy.get("egress", []) == [], "a model needs nothing but the request"
    selected = policy["podSelector"]
    for predictor in declare(shadow=NEXT).one("SeldonDeployment").inputs["spec"]["predictors"]:
        labels = predictor["labels"]
        assert selected["matchLabels"].items() <= labels.items(), "pods have the labels of their predictor"
        assert labels["modelstack.dev/role"] in selected["matchExpressions"][0]["values"]


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_spec_that_seldon_would_refuse_is_refused_before_anything_is_declared(percent):
    with pytest.raises(ValueError, match=f"found: traffic {percent} of predictor canary\n  right: 0 to 100"):
        declare(canary=CanaryVariant(served=NEXT, percent=percent))
