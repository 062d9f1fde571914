"""A SeldonDeployment on a real API server that knows the kind. The tests are the operator: they say what state it is in."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Self
from unittest import mock

import pulumi
import pytest

from components.serving import seldon
from components.serving.endpoint import CanaryVariant, EndpointArgs
from components.serving.variant import Capacity, ServedRelease
from local.plugins.kubernetes import api

IMAGE = "localhost:5000/markdown-serving@sha256:"
STABLE = ServedRelease(image=IMAGE + "9f" * 32, version=3, run="0f" * 16)
NEXT = ServedRelease(image=IMAGE + "8e" * 32, version=4, run="1e" * 16)
CAPACITY = Capacity(cpu="100m", memory="384Mi", cpu_limit="1", workers=1, min_replicas=1, max_replicas=2, target_cpu_percent=70)
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "seldondeployments.machinelearning.seldon.io"},
    "spec": {
        "group": "machinelearning.seldon.io",
        "scope": "Namespaced",
        "names": {"plural": "seldondeployments", "singular": "seldondeployment", "kind": "SeldonDeployment"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
AVAILABLE = {"state": "Available"}
CREATING = {"state": "Creating"}
FAILED = {"state": "Failed", "description": "Deployment is no longer progressing and not available."}


def endpoint(namespace, percent=None, seconds=60):
    args = EndpointArgs(
        namespace=namespace,
        router_image="unused",
        capacity=CAPACITY,
        stable=STABLE,
        canary=None if percent is None else CanaryVariant(served=NEXT, percent=percent),
        shadow=None if percent is None else NEXT,
    )
    with mock.patch.object(seldon, "TIMEOUT_SECONDS", seconds):
        pulumi.export("url", seldon.SeldonEndpoint("md", args).url)


class Operator(threading.Thread):
    """Gives the SeldonDeployment, as soon as it is there, the status that `status` says."""

    def __init__(self, cluster, obj, status) -> None:
        super().__init__(daemon=True)
        self._cluster, self._obj, self.status, self._done = cluster, obj, status, threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.join(10)

    def run(self):
        while not self._done.wait(0.1):
            with suppress(api.ApiServerError):
                say(self._cluster, self._obj, self.status)


def say(cluster, obj, status):
    cluster.api.json("PATCH", cluster.url(obj, "status"), {"status": status}, content_type=api.MERGE)


@pytest.fixture
def deployment(cluster, namespace, eventually):
    """What the endpoint's object is called, on a cluster that knows its kind."""
    cluster.apply(DEFINITION, "tests")
    obj = {"apiVersion": seldon.API_VERSION, "kind": seldon.KIND, "metadata": {"name": "md", "namespace": namespace}}

    def known():
        with suppress(api.NoSuchKind, api.ApiServerError):
            return cluster.list(seldon.API_VERSION, seldon.KIND, namespace) == []

    eventually(known)
    return obj


def test_the_endpoint_is_there_when_the_operator_says_it_is_available(
    kubernetes_stack, namespace, cluster, deployment, eventually
):
    with kubernetes_stack.under_way(endpoint, namespace=namespace) as up:
        eventually(lambda: cluster.find(deployment))
        say(cluster, deployment, CREATING)
        up.join(2)
        assert up.is_alive(), "it waits for the variants to be available"
        say(cluster, deployment, AVAILABLE)
    assert not up.outcome.failed, up.outcome.error
    assert kubernetes_stack.state("md-deployment")["outputs"]["status"] == AVAILABLE
    gateway = "http://istio-ingressgateway.istio-system.svc"
    assert up.outcome.outputs["url"] == f"{gateway}/seldon/{namespace}/md", "where the operator's route leads from"


def test_a_second_up_changes_nothing_whatever_the_operator_fills_in(kubernetes_stack, namespace, cluster, deployment):
    with Operator(cluster, deployment, AVAILABLE):
        assert not kubernetes_stack.up(endpoint, namespace=namespace, percent=10).failed
    filled = cluster.get(deployment)
    for predictor in filled["spec"]["predictors"]:
        predictor["graph"] |= {"implementation": "UNKNOWN_IMPLEMENTATION", "endpoint": {"httpPort": 9000, "grpcPort": 9500}}
        (container,) = predictor["componentSpecs"][0]["spec"]["containers"]
        container["volumeMounts"].append({"name": "seldon-podinfo", "mountPath": "/etc/podinfo"})
    cluster.merge(deployment, {"spec": filled["spec"]}, "seldon")
    again = kubernetes_stack.up(endpoint, namespace=namespace, percent=10)
    assert not again.failed, again.error
    assert again.operations["md-deployment"] == ["same"], again.differences


def test_another_share_for_the_canary_is_one_change_in_place(kubernetes_stack, namespace, cluster, deployment):
    with Operator(cluster, deployment, AVAILABLE):
        assert not kubernetes_stack.up(endpoint, namespace=namespace, percent=10).failed
        uid = cluster.get(deployment)["metadata"]["uid"]
        shown = kubernetes_stack.preview(endpoint, namespace=namespace, percent=25)
        done = kubernetes_stack.up(endpoint, namespace=namespace, percent=25)
    assert not done.failed, done.error
    traffic = {"spec.predictors[0].traffic": "update", "spec.predictors[1].traffic": "update"}
    assert shown.differences["md-deployment"] == traffic, "a reviewer sees the share, and nothing else"
    assert done.operations["md-deployment"] == ["update"], "a replacement would be an outage"
    live = cluster.get(deployment)
    assert live["metadata"]["uid"] == uid
    assert [(one["name"], one["traffic"]) for one in live["spec"]["predictors"]] == [
        ("stable", 75),
        ("canary", 25),
        ("shadow", 100),
    ]


def test_a_canary_comes_and_goes_without_touching_stable(kubernetes_stack, namespace, cluster, deployment):
    with Operator(cluster, deployment, AVAILABLE):
        assert not kubernetes_stack.up(endpoint, namespace=namespace).failed
        stable = cluster.get(deployment)["spec"]["predictors"][0]
        assert not kubernetes_stack.up(endpoint, namespace=namespace, percent=0).failed
        assert cluster.get(deployment)["spec"]["predictors"][0] == stable, "not a pod of it is to be restarted"
        assert not kubernetes_stack.up(endpoint, namespace=namespace).failed
    assert cluster.get(deployment)["spec"]["predictors"] == [stable]


def test_a_failed_endpoint_tells_the_reason_and_goes_on_with_the_next_update(kubernetes_stack, namespace, cluster, deployment):
    with Operator(cluster, deployment, FAILED):
        failed = kubernetes_stack.up(endpoint, namespace=namespace, seconds=3)
    assert failed.failed
    assert "is not ready: timed out after 3 s" in failed.error
    assert "Failed: Deployment is no longer progressing and not available." in failed.error, "why, as the operator has it"
    assert kubernetes_stack.state("md-deployment")["initErrors"], "it is there, and it is known not to work"
    with Operator(cluster, deployment, AVAILABLE):
        again = kubernetes_stack.up(endpoint, namespace=namespace, seconds=3)
    assert not again.failed, again.error
    assert again.operations["md-deployment"] == ["update"], "an object with errors is looked at again although nothing changed"


def test_its_pods_are_real_and_meet_the_restricted_standard_as_the_operator_makes_them(
    kubernetes_stack, namespace, cluster, deployment
):
    with Operator(cluster, deployment, AVAILABLE):
        assert not kubernetes_stack.up(endpoint, namespace=namespace, percent=10).failed
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, label, "tests")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    cluster.apply(account, "tests", force=True)
    for predictor in cluster.get(deployment)["spec"]["predictors"]:
        (component,) = predictor["componentSpecs"]
        metadata = {"name": predictor["name"], "namespace": namespace, "labels": predictor["labels"]}
        replica = component["spec"] | {"securityContext": {"runAsUser": 8888}}  # the operator's, in the place of ours
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": replica}
        url = cluster.url({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace}})
        made = cluster.api.json("POST", url, pod, fieldValidation="Strict", dryRun="All")
        assert made["spec"]["containers"][0]["securityContext"]["runAsUser"] == 10001
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": namespace, "name": predictor["name"]},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": predictor["name"]},
                "minReplicas": component["hpaSpec"]["minReplicas"],
                "maxReplicas": component["hpaSpec"]["maxReplicas"],
                "metrics": component["hpaSpec"]["metricsv2"],
            },
        }
        url = cluster.url({**scaler, "metadata": {"namespace": namespace}})
        cluster.api.json("POST", url, scaler, fieldValidation="Strict", dryRun="All")
