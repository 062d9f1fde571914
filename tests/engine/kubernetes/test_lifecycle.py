"""Objects on their way: created, left alone, changed, replaced, deleted, changed behind our back, imported, found again."""

from __future__ import annotations

import psutil
import pulumi
import pulumi_kubernetes as k8s


def robot(namespace, label="1", **opts):
    metadata = {"name": "robot", "namespace": namespace, "labels": {"a": label}}
    k8s.core.v1.ServiceAccount("robot", metadata=metadata, opts=pulumi.ResourceOptions(**opts))


def identity(namespace, kind="ServiceAccount", name="robot"):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}


def test_an_object_is_created_left_alone_changed_and_deleted(kubernetes_stack, namespace, cluster):
    assert kubernetes_stack.up(robot, namespace=namespace).operations == {"robot": ["create"]}
    assert cluster.get(identity(namespace))["metadata"]["labels"] == {"a": "1"}, "it has to be on the cluster"
    assert kubernetes_stack.state("robot")["id"] == f"{namespace}/robot"
    assert kubernetes_stack.up(robot, namespace=namespace).operations == {"robot": ["same"]}, (
        "nothing changed, so nothing is to do"
    )
    changed = kubernetes_stack.up(robot, namespace=namespace, label="2")
    assert changed.operations == {"robot": ["update"]}
    assert changed.differences == {"robot": {"metadata.labels.a": "update"}}, "the difference names the path, and only that"
    assert not kubernetes_stack.destroy().failed
    assert cluster.find(identity(namespace)) is None, "deletion is awaited"


def config_map(namespace, value):
    k8s.core.v1.ConfigMap("settings", metadata={"name": "settings", "namespace": namespace}, data={"a": value})


def test_a_config_map_whose_data_changed_is_deleted_and_made_anew(kubernetes_stack, namespace, cluster):
    kubernetes_stack.up(config_map, namespace=namespace, value="1")
    first = cluster.get(identity(namespace, "ConfigMap", "settings"))
    replaced = kubernetes_stack.up(config_map, namespace=namespace, value="2")
    assert replaced.operations == {"settings": ["delete-replaced", "replace", "create-replacement"]}, (
        "its name leaves no other order"
    )
    assert replaced.replaced_by == {"settings": ["data.a"]}
    second = cluster.get(identity(namespace, "ConfigMap", "settings"))
    assert second["data"] == {"a": "2"}
    assert second["metadata"]["uid"] != first["metadata"]["uid"], "pods that read it have to see a new one"


def test_drift_is_seen_by_refresh_and_mended_by_up(kubernetes_stack, namespace, cluster):
    kubernetes_stack.up(robot, namespace=namespace)
    cluster.merge(identity(namespace), {"metadata": {"labels": {"a": "hand", "b": "other"}}}, "kubectl-edit")
    seen = kubernetes_stack.refresh()
    assert seen.differences == {"robot": {"metadata.labels.a": "update"}}, "a label that others added is no drift"
    assert kubernetes_stack.up(robot, namespace=namespace).differences == {"robot": {"metadata.labels.a": "update"}}
    assert cluster.get(identity(namespace))["metadata"]["labels"] == {"a": "1", "b": "other"}


def test_a_field_that_a_controller_took_is_a_conflict_that_names_it(kubernetes_stack, namespace, cluster):
    kubernetes_stack.up(robot, namespace=namespace)
    cluster.apply(
        {**identity(namespace), "metadata": {"name": "robot", "namespace": namespace, "labels": {"a": "x"}}},
        "rival",
        force=True,
    )
    refused = kubernetes_stack.up(robot, namespace=namespace, label="2")
    assert refused.failed
    assert 'conflict with "rival"' in refused.error
    assert "another field manager owns fields" in refused.error
    assert cluster.get(identity(namespace))["metadata"]["labels"]["a"] == "x", "nothing is taken by force"


def test_an_object_deleted_by_hand_is_made_again_after_a_refresh(kubernetes_stack, namespace, cluster):
    kubernetes_stack.up(robot, namespace=namespace)
    cluster.delete(identity(namespace), "Background")
    assert kubernetes_stack.refresh().operations == {"robot": ["refresh", "delete"]}
    assert kubernetes_stack.up(robot, namespace=namespace).operations == {"robot": ["create"]}
    assert cluster.find(identity(namespace)) is not None


def test_an_object_that_somebody_else_made_is_not_taken_over_but_can_be_imported(kubernetes_stack, namespace, cluster):
    cluster.apply(
        {**identity(namespace), "metadata": {"name": "robot", "namespace": namespace, "labels": {"a": "1"}}}, "somebody"
    )
    refused = kubernetes_stack.up(robot, namespace=namespace)
    assert refused.failed
    assert 'serviceaccounts "robot" already exists' in refused.error
    assert "pulumi import" in refused.error, "the message says what to do"
    imported = kubernetes_stack.up(robot, namespace=namespace, import_=f"{namespace}/robot")
    assert not imported.failed, imported.error
    assert imported.operations == {"robot": ["import"]}
    assert kubernetes_stack.state("robot")["inputs"]["metadata"]["labels"] == {"a": "1"}
    assert kubernetes_stack.up(robot, namespace=namespace).operations == {"robot": ["same"]}, (
        "what was imported is known from then on"
    )


def job(namespace):
    k8s.batch.v1.Job(
        "train",
        metadata={"name": "train", "namespace": namespace, "annotations": {"pulumi.com/timeoutSeconds": "30"}},
        spec={"template": {"spec": {"restart_policy": "Never", "containers": [{"name": "c", "image": "none"}]}}},
    )


def test_a_creation_that_was_killed_goes_on_without_a_duplicate(kubernetes_stack, namespace, cluster, kubelet, eventually):
    obj = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train", "namespace": namespace}}
    with kubernetes_stack.under_way(job, namespace=namespace) as up:
        first = eventually(lambda: cluster.find(obj))
        engine = up.engine()
        plugins = engine.children(recursive=True)
        for process in [*plugins, engine]:
            process.kill()
        psutil.wait_procs(plugins, 10)
    assert up.outcome.failed
    kubernetes_stack.pulumi("cancel", "--yes")
    with kubelet({"phase": "Succeeded", "containerStatuses": []}):
        again = kubernetes_stack.up(job, namespace=namespace)
    assert not again.failed, f"the object of the interrupted creation is ours: {again.error}"
    assert cluster.get(obj)["metadata"]["uid"] == first["metadata"]["uid"], "it is the same one"
    assert kubernetes_stack.state("train")["id"] == f"{namespace}/train"
