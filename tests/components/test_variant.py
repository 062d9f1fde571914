from __future__ import annotations

from dataclasses import replace

import pulumi
import pytest

from components.serving.variant import Capacity, ServedRelease, Variant, VariantArgs
from tests.harness import run
from tests.pods import container_of, pod_of

IMAGE = "localhost:5000/markdown-serving@sha256:" + "9f" * 32
CAPACITY = Capacity(cpu="100m", memory="384Mi", cpu_limit="1", workers=2, min_replicas=2, max_replicas=4, target_cpu_percent=70)
SERVED = ServedRelease(image=IMAGE, version=3, run="0f" * 16)


def declare(capacity=CAPACITY, served=SERVED, world=None):
    def program():
        args = VariantArgs(namespace="serving", workload="markdown", role="stable", served=served, capacity=capacity)
        variant = Variant("markdown-stable", args)
        pulumi.export("address", variant.address)
        pulumi.export("cluster_ip", variant.cluster_ip)

    return run(program, world=world)


def test_with_an_autoscaler_the_deployment_has_no_number_of_replicas():
    declared = declare()
    assert "replicas" not in declared.one("Deployment").inputs["spec"], "each `pulumi up` would reset the number"
    scaler = declared.one("HorizontalPodAutoscaler").inputs["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)
    assert scaler["scaleTargetRef"]["name"] == "markdown-stable"


def test_a_fixed_number_of_replicas_has_no_autoscaler():
    declared = declare(replace(CAPACITY, max_replicas=2))
    assert declared.one("Deployment").inputs["spec"]["replicas"] == 2
    assert declared.all("HorizontalPodAutoscaler") == []


def test_a_new_version_replaces_the_old_one_without_a_gap():
    deployment = declare().one("Deployment").inputs["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    container = container_of(declare().one("Deployment"))
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/status", "a ready pod can predict"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/ping", "a slow prediction must not kill the pod"


def test_a_pod_has_time_to_drain_and_to_finish_its_requests():
    pod = pod_of(declare().one("Deployment"))
    drain_seconds = int(container_of(declare().one("Deployment"))["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > drain_seconds + 30, "gunicorn's graceful timeout is 30 s"


def test_the_node_of_a_single_replica_can_be_drained():
    assert declare().one("PodDisruptionBudget").inputs["spec"]["maxUnavailable"] == 1


def test_labels_and_annotations_identify_the_release():
    metadata = declare().one("Deployment").inputs["metadata"]
    assert metadata["labels"]["modelstack.dev/workload"] == "markdown"
    assert metadata["labels"]["modelstack.dev/version"] == "3"
    assert metadata["annotations"]["modelstack.dev/run"] == SERVED.run
    assert pod_of(declare().one("Deployment"))["containers"][0]["image"] == IMAGE


def test_a_new_version_does_not_change_the_selector():
    later = declare(served=replace(SERVED, version=4)).one("Deployment").inputs["spec"]["selector"]
    assert later == declare().one("Deployment").inputs["spec"]["selector"], "selectors are immutable"


def test_replicas_of_one_variant_are_spread_and_a_single_one_is_not():
    assert "topologySpreadConstraints" in pod_of(declare().one("Deployment"))
    alone = declare(replace(CAPACITY, min_replicas=1, max_replicas=1))
    assert "topologySpreadConstraints" not in pod_of(alone.one("Deployment"))


def test_the_outputs_are_the_address_and_the_cluster_ip_of_the_service():
    world = {"kubernetes:core/v1:Service": {"spec": {"clusterIP": "10.0.0.7"}}}
    outputs = declare(world=world).outputs
    assert outputs == {"address": "markdown-stable:9000", "cluster_ip": "10.0.0.7"}


@pytest.mark.parametrize("image", ["localhost:5000/markdown-serving:v3", "localhost:5000/markdown-serving@sha256:12", ""])
def test_an_image_without_a_digest_is_refused(image):
    with pytest.raises(ValueError, match="has no digest; a valid example is"):
        ServedRelease(image=image, version=3, run="0f")


@pytest.mark.parametrize(("least", "most"), [(0, 1), (3, 2)])
def test_an_invalid_range_of_replicas_is_refused(least, most):
    with pytest.raises(ValueError, match=f"replicas from {least} to {most} are not a valid range; an example is"):
        replace(CAPACITY, min_replicas=least, max_replicas=most)
