"""Readiness is awaited, and a failure tells its reason. The tests set what a kubelet or a controller would."""

from __future__ import annotations

import signal

import pulumi_kubernetes as k8s

from local.plugins.kubernetes import api

READY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
}


def waiting(reason, message):
    return {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False", "reason": "X", "message": "containers with unready status: [c]"}],
        "containerStatuses": [
            {
                "name": "c",
                "image": "none",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message}},
            }
        ],
    }


def web(namespace, image="none", seconds="30"):
    k8s.apps.v1.Deployment(
        "web",
        metadata={"name": "web", "namespace": namespace, "annotations": {"pulumi.com/timeoutSeconds": seconds}},
        spec={
            "selector": {"match_labels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    )


def test_a_deployment_is_awaited_until_its_pods_are_ready(kubernetes_stack, namespace, kubelet):
    with kubelet(READY):
        made = kubernetes_stack.up(web, namespace=namespace)
    assert not made.failed, made.error
    assert kubernetes_stack.state("web")["outputs"]["status"]["availableReplicas"] == 1, "the state is the one after readiness"
    with kubelet(READY):
        assert not kubernetes_stack.up(web, namespace=namespace, image="other").failed, "a rollout is awaited as well"


def service(namespace):
    annotations = {"pulumi.com/timeoutSeconds": "30"}
    metadata = {"name": "web", "namespace": namespace, "annotations": annotations}
    k8s.core.v1.Service("service", metadata=metadata, spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})


def test_a_service_is_awaited_until_it_has_endpoints(kubernetes_stack, namespace, cluster, eventually):
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.1.1"]}],
    }
    with kubernetes_stack.under_way(service, namespace=namespace) as up:
        eventually(lambda: cluster.find(obj))
        up.join(2)
        assert up.is_alive(), "nothing is behind it yet"
        cluster.apply(endpoints, "tests")
    assert not up.outcome.failed, up.outcome.error


def test_a_deployment_that_does_not_get_ready_tells_why_and_goes_on_with_the_next_update(kubernetes_stack, namespace, kubelet):
    with kubelet(waiting("ImagePullBackOff", 'Back-off pulling image "none"')):
        failed = kubernetes_stack.up(web, namespace=namespace, seconds="6")
    assert failed.failed
    assert "is not ready: timed out after 6 s" in failed.error
    assert "[MinimumReplicasUnavailable]" in failed.error
    assert '[ImagePullBackOff] Back-off pulling image "none"' in failed.error, "the reason is the pod's"
    assert kubernetes_stack.state("web")["initErrors"], "it is there, and it is known not to work"
    with kubelet(READY):
        again = kubernetes_stack.up(web, namespace=namespace, seconds="6")
    assert not again.failed, again.error
    assert again.operations["web"] == ["update"], "an object with errors is looked at again although nothing changed"
    assert "initErrors" not in kubernetes_stack.state("web")


def test_a_refusal_by_pod_security_is_told(kubernetes_stack, namespace, cluster):
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, label, "tests")
    failed = kubernetes_stack.up(web, namespace=namespace, seconds="3")
    assert failed.failed
    assert "violates PodSecurity" in failed.error, "there is no pod that could tell: the controller does"


DEFINITION = {
    "group": "example.com",
    "scope": "Namespaced",
    "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
    "versions": [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
    ],
}


def widget(namespace, **spec):
    k8s.apiextensions.v1.CustomResourceDefinition("widgets", metadata={"name": "widgets.example.com"}, spec=DEFINITION)
    annotations = {
        "pulumi.com/waitFor": "jsonpath={.status.state}=Available",
        "pulumi.com/timeoutSeconds": "30",
        # In the foreground, the deletion would wait for the garbage collector to learn of the kind, for up to half a minute.
        "pulumi.com/deletionPropagationPolicy": "background",
    }
    k8s.apiextensions.CustomResource(
        "w",
        api_version="example.com/v1",
        kind="Widget",
        metadata={"name": "w", "namespace": namespace, "annotations": annotations},
        spec=spec,
    )


def test_a_custom_resource_and_its_definition_in_one_update_are_awaited_by_annotation(
    kubernetes_stack, namespace, cluster, eventually
):
    obj = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": namespace}}

    def found():
        try:
            return cluster.find(obj)
        except api.NoSuchKind:
            return None

    with kubernetes_stack.under_way(widget, namespace=namespace, size=1) as up:
        eventually(found)
        up.join(2)
        assert up.is_alive(), "it waits for the state that the annotation names"
        cluster.api.json("PATCH", cluster.url(obj, "status"), {"status": {"state": "Available"}}, content_type=api.MERGE)
    assert not up.outcome.failed, up.outcome.error
    assert kubernetes_stack.state("w")["outputs"]["status"] == {"state": "Available"}
    assert not kubernetes_stack.destroy().failed


def test_an_interrupt_ends_the_waiting_and_keeps_the_object_in_the_state(kubernetes_stack, namespace, cluster, eventually):
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace}}
    with kubernetes_stack.under_way(web, namespace=namespace, seconds="300") as up:
        eventually(lambda: cluster.find(obj))
        up.engine().send_signal(signal.SIGINT)
    assert up.outcome.failed
    assert kubernetes_stack.state("web")["id"] == f"{namespace}/web", "what was made must not be forgotten"
    assert "cancelled" in "".join(kubernetes_stack.state("web")["initErrors"])
