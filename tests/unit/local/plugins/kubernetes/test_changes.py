"""What differs between two states of an object, what forces a replacement, and what is sent."""

from __future__ import annotations

import threading

import pytest

from local.plugins.kubernetes import changes, checkpoint
from local.plugins.kubernetes.manifests import difference, immutable, objects
from local.plugins.kubernetes.settings import Settings
from local.plugins.protocol.messages import Kind
from local.plugins.protocol.values import UNKNOWN, Secret


def found(live, old, new, *rules):
    return difference.differences(live, old, new, rules)


def test_differences_name_paths_and_kinds():
    live = {"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"ports": [{"port": 1}, {"port": 2}]}}
    new = {"metadata": {"labels": {"a": "2", "c.d": "1"}}, "spec": {"ports": [{"port": 1, "name": "x"}]}}
    assert found(live, live, new) == {
        "metadata.labels.a": Kind.UPDATE,
        "metadata.labels.b": Kind.DELETE,
        'metadata.labels["c.d"]': Kind.ADD,
        "spec.ports[0].name": Kind.ADD,
        "spec.ports[1]": Kind.DELETE,
    }


def test_an_unknown_value_is_a_change_that_may_be():
    assert found({"a": "1"}, {"a": "1"}, {"a": UNKNOWN}) == {"a": Kind.UPDATE}
    assert found({}, {}, {"a": UNKNOWN}) == {"a": Kind.ADD}


def test_what_the_server_drops_is_no_difference_until_the_program_changes_it():
    assert found({}, {"a": {}}, {"a": {}}) == {}
    assert found({}, {"a": {}}, {"a": {"b": 1}}) == {"a": Kind.ADD}


def test_what_is_empty_and_dropped_by_the_server_is_no_drift():
    inputs = {"spec": {"env": [], "name": "a", "paused": False, "ports": [{"port": 1, "labels": {}}]}}
    live = {"spec": {"name": "a", "ports": [{"port": 1}]}}
    assert objects.with_dropped_empties(objects.pruned(live, inputs), inputs) == inputs
    gone = objects.with_dropped_empties(objects.pruned({"spec": {}}, inputs), inputs)
    assert "name" not in gone["spec"], "what had a value and has gone is drift"


def test_an_empty_list_is_as_good_as_none():
    assert found({}, {}, {"env": []}) == {}


def test_true_is_not_one():
    assert found({"a": 1}, {"a": 1}, {"a": True}) == {"a": Kind.UPDATE}


@pytest.mark.parametrize(
    ("flag", "annotation", "forced"), [(False, "false", False), (True, "false", True), (False, "true", True)]
)
def test_fields_of_others_are_taken_over_if_the_provider_or_the_object_says_so(flag, annotation, forced):
    settings = Settings.from_inputs({"enablePatchForce": flag})
    change = changes.Change(
        None, settings, "manager", preview=False, patch=False, cancelled=threading.Event(), show_status=print
    )
    inputs = {"metadata": {"annotations": {objects.PATCH_FORCE: annotation}}}
    assert changes.force(inputs, change) is forced


def test_immutable_fields_force_a_replacement_at_below_and_above_their_path():
    rules = immutable.rules({"apiVersion": "apps/v1", "kind": "Deployment"}, immutable.Mutable())
    assert immutable.forces_replacement(("spec", "selector", "matchLabels", "app"), "x", rules)
    assert immutable.forces_replacement(("spec",), {"selector": {}}, rules), "a new spec holds a new selector"
    assert not immutable.forces_replacement(("spec", "replicas"), 2, rules)
    pod = immutable.rules({"apiVersion": "v1", "kind": "Pod"}, immutable.Mutable())
    assert immutable.forces_replacement(("spec", "containers", 0, "env", 0, "value"), "x", pod)
    assert not immutable.forces_replacement(("spec", "activeDeadlineSeconds"), 5, pod)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_data_is_immutable_unless_the_provider_says_otherwise(kind):
    obj = {"apiVersion": "v1", "kind": kind}
    lenient = immutable.Mutable(config_maps=True, secrets=True)
    assert immutable.forces_replacement(("data", "a"), "1", immutable.rules(obj, immutable.Mutable()))
    assert not immutable.forces_replacement(("data", "a"), "1", immutable.rules(obj, lenient))
    assert immutable.forces_replacement(("data", "a"), "1", immutable.rules({**obj, "immutable": True}, lenient))


def test_ignored_paths_take_what_is_below_them_along_and_nothing_beside_them():
    assert difference.is_ignored("spec.replicas", ["spec.replicas"])
    assert difference.is_ignored("spec.template.spec", ["spec.template"])
    assert difference.is_ignored("spec.ports[0].port", ["spec.ports"])
    assert not difference.is_ignored("spec.replicasMax", ["spec.replicas"])


def test_the_state_keeps_the_inputs_beside_the_object_and_not_who_manages_it():
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "managedFields": [{}]},
        "data": {"x-kubernetes-y": "1"},
    }
    state = checkpoint.write(live, {"apiVersion": "v1", "data": {"a": "1"}}, {"data": {"a": Secret("1")}}, "me")
    assert state["__inputs"] == {"apiVersion": "v1", "data": {"a": Secret("1")}}
    assert "managedFields" not in state["metadata"]
    assert checkpoint.read(state).live["data"] == {"x-kubernetes-y": "1"}, "dashes come back"


def test_a_merge_patch_holds_what_changed_and_nulls_what_went():
    assert changes.merge_patch({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 1, "c": 3}}) == {"a": {"c": 3}, "d": None}


def test_ignored_fields_that_a_controller_owns_are_left_to_it():
    managed = [{"manager": "hpa", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    live = {"metadata": {"managedFields": managed}, "spec": {"replicas": 7}}
    inputs = {"spec": {"replicas": 1, "paused": False}}
    assert changes._without_ignored(inputs, live, ["spec.replicas"], "me") == {"spec": {"paused": False}}
    live["metadata"]["managedFields"].append({"manager": "me", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    assert changes._without_ignored(inputs, live, ["spec.replicas"], "me")["spec"]["replicas"] == 7, "else it would be unset"
