"""What a preview knows, what it must not show, and what it refuses."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
import yaml


def secrets(namespace):
    password = pulumi.Output.secret("hunter2")
    metadata = {"name": "login", "namespace": namespace}
    login = k8s.core.v1.Secret("login", metadata=metadata, string_data={"password": password})
    k8s.core.v1.ConfigMap("plain", metadata={**metadata, "name": "plain"}, data={"url": password, "open": "visible"})
    pulumi.export("data", login.data)


def test_secrets_are_encrypted_in_the_state_and_never_printed(kubernetes_stack, namespace, cluster):
    made = kubernetes_stack.up(secrets, namespace=namespace)
    assert not made.failed, made.error
    live = cluster.get({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": namespace}})
    assert live["data"] == {"password": "aHVudGVyMg=="}, "the cluster has the value"
    state = kubernetes_stack.state_text()
    assert "hunter2" not in state
    assert "aHVudGVyMg" not in state, "base64 hides nothing"
    assert "visible" in state, "only what is secret is hidden"
    assert kubernetes_stack.up(secrets, namespace=namespace).operations == {"login": ["same"], "plain": ["same"]}


def chain(namespace):
    first = k8s.core.v1.ConfigMap("first", metadata={"namespace": namespace}, data={"a": "1"})
    name, uid = first.metadata.apply(lambda m: m.name), first.metadata.apply(lambda m: m.uid)
    metadata = {"name": "second", "namespace": namespace}
    second = k8s.core.v1.ConfigMap("second", metadata=metadata, data={"name": name, "uid": uid})
    pulumi.export("data", second.data)


def test_what_depends_on_an_unknown_is_previewed_as_unknown(kubernetes_stack, namespace):
    previewed = kubernetes_stack.preview(chain, namespace=namespace)
    assert not previewed.failed, previewed.error
    assert previewed.operations == {"first": ["create"], "second": ["create"]}
    made = kubernetes_stack.up(chain, namespace=namespace)
    assert not made.failed, made.error
    assert made.outputs["data"]["name"].startswith("first-"), "a name is made up from the logical name"
    assert kubernetes_stack.preview(chain, namespace=namespace).operations == {"first": ["same"], "second": ["same"]}


def wrong_port(namespace):
    container = {"name": "c", "image": "none", "ports": [{"container_port": 99999}]}
    k8s.apps.v1.Deployment(
        "web",
        metadata={"name": "web", "namespace": namespace},
        spec={
            "selector": {"match_labels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    )


def test_what_the_server_refuses_fails_the_preview_already(kubernetes_stack, namespace):
    refused = kubernetes_stack.preview(wrong_port, namespace=namespace)
    assert refused.failed
    assert "containerPort: Invalid value: 99999: must be between 1 and 65535" in refused.error


def elsewhere(kubeconfig):
    provider = k8s.Provider("there", kubeconfig=kubeconfig)
    k8s.core.v1.ConfigMap("a", metadata={"name": "a"}, data={"a": "1"}, opts=pulumi.ResourceOptions(provider=provider))


def test_a_cluster_that_cannot_be_reached_is_one_clear_message(stack):
    nowhere = yaml.safe_dump(
        {
            "contexts": [{"name": "a", "context": {"cluster": "one"}}],
            "clusters": [{"name": "one", "cluster": {"server": "http://127.0.0.1:1"}}],
            "current-context": "a",
        }
    )
    previewed = stack.preview(elsewhere, kubeconfig=nowhere)
    assert not previewed.failed, "a preview does without: the cluster may be made by then"
    assert any("127.0.0.1:1 cannot be reached" in warning for warning in previewed.warnings), "but it says so"
    failed = stack.up(elsewhere, kubeconfig=nowhere)
    assert failed.failed
    assert "the cluster does not answer: the Kubernetes API server at 127.0.0.1:1 cannot be reached" in failed.error
    assert "Traceback" not in failed.error


def cluster_and_what_is_in_it(kubeconfig, namespace):
    ready = k8s.Provider("first", kubeconfig=kubeconfig)
    made = k8s.core.v1.ConfigMap(
        "cluster", metadata={"namespace": namespace}, data={"a": "1"}, opts=pulumi.ResourceOptions(provider=ready)
    )
    known_later = pulumi.Output.secret(made.metadata.apply(lambda m: kubeconfig if m.uid else ""))
    later = k8s.Provider("later", kubeconfig=known_later, cluster_identifier="tests")
    metadata = {"name": "inside", "namespace": namespace}
    k8s.core.v1.ConfigMap("inside", metadata=metadata, data={"a": "1"}, opts=pulumi.ResourceOptions(provider=later))


def test_a_cluster_that_is_not_made_yet_can_be_previewed(stack, namespace, api_server):
    previewed = stack.preview(cluster_and_what_is_in_it, kubeconfig=api_server, namespace=namespace)
    assert not previewed.failed, previewed.error
    assert previewed.operations["inside"] == ["create"]
    made = stack.up(cluster_and_what_is_in_it, kubeconfig=api_server, namespace=namespace)
    assert not made.failed, made.error
    later = stack.state("later")
    assert "certificate-authority" not in str(later), "a secret kubeconfig stays secret"
