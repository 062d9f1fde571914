"""Objects on their way: created, left alone, changed, replaced, deleted."""

from __future__ import annotations

import pulumi_kubernetes as k8s


def config_map(namespace, name="settings", **data):
    def program():
        k8s.core.v1.ConfigMap("settings", metadata={"name": name, "namespace": namespace}, data=data)

    return program


def test_an_object_is_created_left_alone_changed_and_deleted(kubernetes_stack, namespace, cluster):
    def program(label):
        def run():
            k8s.core.v1.ServiceAccount("robot", metadata={"name": "robot", "namespace": namespace, "labels": {"a": label}})

        return run

    identity = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": namespace}}
    assert kubernetes_stack.up(program("1")).operations == {"robot": ["create"]}
    assert cluster.get(identity)["metadata"]["labels"] == {"a": "1"}, "it has to be on the cluster"
    assert kubernetes_stack.state("robot")["id"] == f"{namespace}/robot"
    assert kubernetes_stack.up(program("1")).operations == {"robot": ["same"]}, "nothing changed, so nothing is to do"
    changed = kubernetes_stack.up(program("2"))
    assert changed.operations == {"robot": ["update"]}
    assert changed.differences == {"robot": {"metadata.labels.a": "update"}}, "the difference names the path, and only that"
    assert not kubernetes_stack.destroy().failed
    assert cluster.find(identity) is None, "deletion is awaited"
