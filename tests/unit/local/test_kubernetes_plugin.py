"""The Kubernetes plugin's pure parts: values, quantities, names, differences, replacement rules, provider configuration."""

from __future__ import annotations

import base64

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from local.plugins.kubernetes import access, changes, checkpoint, kinds, settings
from local.plugins.kubernetes.manifests import difference, immutable, naming, objects
from local.plugins.kubernetes.manifests.quantity import canonical
from local.plugins.kubernetes.readiness import rules
from local.plugins.protocol.messages import Failed, Kind
from local.plugins.protocol.values import UNKNOWN, Secret, from_struct, has_secret, has_unknown, reveal, same_secrets, to_struct

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_values_come_back_from_the_protocol_as_they_were(value):
    assert from_struct(to_struct(value)) == value


def test_secrets_and_unknowns_survive_the_protocol_at_any_depth():
    value = {"a": [Secret({"b": "hunter2"})], "c": {"d": UNKNOWN}}
    back = from_struct(to_struct(value))
    assert back == value
    assert has_secret(back), "a secret inside a list is still one"
    assert has_unknown(back), "an unknown is not a string"
    assert reveal(back)["a"] == [{"b": "hunter2"}]
    assert "hunter2" not in repr(back), "a secret's text is not what a log shows"


def test_a_list_with_a_secret_that_changes_its_length_is_hidden_as_a_whole():
    assert same_secrets(["a"], ["a", Secret("b")]) == Secret(["a"]), "nobody knows which of them it was"


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("1024Mi", "1Gi"),
        ("0.5", "500m"),
        (1, "1"),
        ("1000m", "1"),
        ("1.5Gi", "1536Mi"),
        ("100k", "100k"),
        ("1000k", "1M"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("0Gi", "0"),
        ("12e6", "12e6"),
        (0.1, "100m"),
    ],
)
def test_quantities_are_spelled_as_the_server_spells_them(written, means):
    assert canonical(written) == means


@pytest.mark.parametrize("text", ["", "big", "1 Gi", "Gi", "1GB"])
def test_what_is_no_quantity_is_left_to_the_server_to_refuse(text):
    assert canonical(text) is None


@given(st.integers(0, 2**50), st.sampled_from(["", "Ki", "Mi", "Gi", "m", "k", "M"]))
def test_a_canonical_quantity_is_its_own_canonical_spelling(number, suffix):
    once = canonical(f"{number}{suffix}")
    assert once is not None
    assert canonical(once) == once


def test_resources_are_normalised_and_data_of_a_config_map_is_not():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"containers": [{"resources": {"limits": {"memory": "1024Mi", "cpu": 1}}}]},
    }
    assert objects.normalized(pod)["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi", "cpu": "1"}
    settings_map = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"limits": "1024Mi", "size": "0.5"}}
    assert objects.normalized(settings_map) == settings_map, "its values are the user's text"
    custom = {"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"limits": {"a": "1024Mi"}}}
    assert objects.normalized(custom) == custom, "nothing is known of the fields of a custom resource"


def test_string_data_becomes_data_as_on_the_server():
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA==", "b": "eA=="}, "stringData": {"b": "y"}}
    assert objects.normalized(secret)["data"] == {"a": "eA==", "b": base64.b64encode(b"y").decode()}
    assert "stringData" not in objects.normalized(secret)


def test_unknown_string_data_stays_unknown():
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"b": UNKNOWN}}
    assert objects.normalized(secret) == secret


def test_data_of_a_secret_is_secret_whoever_wrote_it():
    marked = objects.mark_secrets({"kind": "Secret", "data": {"a": "eA=="}, "type": "Opaque"}, {})
    assert marked["data"] == Secret({"a": "eA=="})
    assert marked["type"] == "Opaque", "the rest is no secret"


def test_only_the_secret_part_of_an_object_is_hidden():
    env = [{"name": "A", "value": "1"}]
    out = {"spec": {"replicas": 1, "env": env}}
    marked = objects.mark_secrets(out, {"spec": {"replicas": 1, "env": [{"name": "A", "value": Secret("1")}]}})
    assert marked == {"spec": {"replicas": 1, "env": Secret(env)}}


def test_a_name_is_made_from_the_logical_name_and_is_the_same_for_the_same_seed():
    first = naming.with_name({"kind": "ConfigMap"}, {}, "web", b"seed")
    assert objects.name(first).startswith("web-")
    assert len(objects.name(first)) == len("web-") + 8
    assert objects.flagged(first, objects.AUTONAMED)
    assert naming.with_name({"kind": "ConfigMap"}, {}, "web", b"seed") == first, "a preview names what the update makes"
    assert naming.with_name({"kind": "ConfigMap"}, first, "web", b"other") == first, "a name once made up is kept"


def test_a_name_that_is_not_known_yet_is_not_replaced_by_one_made_up():
    inputs = {"metadata": {"name": UNKNOWN}}
    assert naming.with_name(inputs, {}, "web", b"seed") == inputs


def test_the_field_manager_tells_whose_object_it_is():
    manager = naming.field_manager("urn:a", {}, {})
    assert manager == naming.field_manager("urn:a", {}, {}), "an interrupted creation has to find its object again"
    assert manager != naming.field_manager("urn:b", {}, {})
    assert naming.field_manager("urn:a", {}, {"__fieldManager": "old"}) == "old", "the state's name goes first"
    live = {"metadata": {"managedFields": [{"manager": manager, "operation": "Apply"}]}}
    assert naming.is_applied_by(live, manager)
    assert not naming.is_applied_by(live, "someone")


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


KUBECONFIG = {
    "contexts": [{"name": "a", "context": {"cluster": "one", "user": "u", "namespace": "team"}}],
    "clusters": [{"name": "one", "cluster": {"server": "http://one"}}, {"name": "two", "cluster": {"server": "http://two"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "current-context": "a",
}


def test_a_kubeconfig_gives_server_namespace_and_credentials(tmp_path):
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(KUBECONFIG))
    for given_as in (KUBECONFIG, yaml.safe_dump(KUBECONFIG), str(file)):
        found_access = access.connect(access.load(given_as))
        assert (found_access.server, found_access.namespace) == ("http://one", "team")
        assert found_access.headers == {"Authorization": "Bearer t"}
    assert "Bearer" not in repr(found_access), "a token is not what a traceback shows"


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [
        ("/nowhere/config", "neither a kubeconfig nor a file"),
        ("a: [", "neither a kubeconfig nor a file"),
        ("a: [\n", "not YAML"),
        ("- a\n- b\n", "not a mapping"),
        ({**KUBECONFIG, "current-context": "gone"}, "no context of this name"),
        ({**KUBECONFIG, "clusters": []}, "no cluster of this name"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(kubeconfig, says):
    with pytest.raises(UserError, match=says):
        access.connect(access.load(kubeconfig))


def changed(old, new):
    return {path: kind.name for path, kind in settings.difference(old, new).paths.items()}


def test_another_cluster_replaces_the_provider_and_other_credentials_do_not():
    one = yaml.safe_dump(KUBECONFIG)
    other_user = yaml.safe_dump({**KUBECONFIG, "users": [{"name": "u", "user": {"token": "new"}}]})
    moved = [{"name": "one", "cluster": {"server": "http://elsewhere"}}]
    assert changed({"kubeconfig": one}, {"kubeconfig": other_user}) == {"kubeconfig": "UPDATE"}
    assert changed({"kubeconfig": one}, {"kubeconfig": yaml.safe_dump({**KUBECONFIG, "clusters": moved})}) == {
        "kubeconfig": "UPDATE_REPLACE"
    }
    assert changed({"kubeconfig": one}, {"kubeconfig": UNKNOWN}) == {"kubeconfig": "UPDATE_REPLACE"}


def test_a_cluster_identifier_decides_alone():
    old = {"kubeconfig": yaml.safe_dump(KUBECONFIG), "clusterIdentifier": "x"}
    assert changed(old, {"kubeconfig": UNKNOWN, "clusterIdentifier": "x"}) == {"kubeconfig": "UPDATE"}
    assert changed(old, {**old, "clusterIdentifier": "y"}) == {"clusterIdentifier": "UPDATE_REPLACE"}


def test_flags_are_understood_as_text_and_from_the_environment(monkeypatch):
    assert settings.Settings.from_inputs({"enableServerSideApply": "false"}).server_side is False
    assert settings.Settings.from_inputs({"enableConfigMapMutable": True}).mutable.config_maps
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    assert settings.Settings.from_inputs({}).delete_unreachable
    assert settings.Settings.from_inputs({}).server_side, "the default is server-side apply"


def test_a_kubeconfig_is_not_what_a_log_of_the_settings_shows():
    assert "token" not in repr(settings.Settings.from_inputs({"kubeconfig": "token"}))


@pytest.mark.parametrize(
    "token", ["kubernetes:helm.sh/v3:Release", "kubernetes:yaml/v2:ConfigFile", "kubernetes:core/v1:PodList"]
)
def test_what_is_no_object_of_the_api_is_refused_in_words(token):
    with pytest.raises(Failed):
        kinds.refuse_unsupported(token)


def widget(**status):
    return {"apiVersion": "example.com/v1", "kind": "Widget", "status": status}


@pytest.mark.parametrize(
    ("expression", "status", "ready"),
    [
        ("jsonpath={.status.phase}=Ready", {"phase": "Ready"}, True),
        ("jsonpath={.status.phase}=Ready", {"phase": "Creating"}, False),
        ("jsonpath={.status.phase}", {"phase": "anything"}, True),
        ("jsonpath={.status.phase}", {}, False),
        (
            'jsonpath={.status.conditions[?(@.type=="Ready")].status}=True',
            {"conditions": [{"type": "Ready", "status": "True"}]},
            True,
        ),
        ("jsonpath={.status.ok}=true", {"ok": True}, True),
        ("condition=Synced", {"conditions": [{"type": "Synced", "status": "True"}]}, True),
        ("condition=Synced=False", {"conditions": [{"type": "Synced", "status": "True"}]}, False),
        ('["condition=A", "jsonpath={.status.b}=2"]', {"conditions": [{"type": "A", "status": "True"}], "b": 2}, True),
        ('["condition=A", "jsonpath={.status.b}=2"]', {"conditions": [{"type": "A", "status": "True"}], "b": 3}, False),
    ],
)
def test_wait_for_understands_what_kubectl_does(expression, status, ready):
    asked = objects.with_annotation(widget(), objects.WAIT_FOR, expression)
    check = rules.readiness_check(asked)
    assert check is not None
    assert check.evaluate(None, widget(**status)).ready is ready


def test_a_wait_for_that_is_not_met_tells_what_the_controller_says():
    check = rules.readiness_check(objects.with_annotation(widget(), objects.WAIT_FOR, "jsonpath={.status.state}=Available"))
    unmet = {"type": "PodsReady", "status": "False", "reason": "TooFew", "message": "1 of 2"}
    status = {"state": "Failed", "description": "no pod can be made", "conditions": [unmet, {"type": "A", "status": "True"}]}
    assert check.evaluate(None, widget(**status)).reasons == [
        "jsonpath={.status.state}=Available is not met",
        "its status is Failed: no pod can be made",
        "[TooFew] 1 of 2",
    ], "that it is not available is known already: why is the question"
    assert check.evaluate(None, widget()).reasons == ["jsonpath={.status.state}=Available is not met"]


@pytest.mark.parametrize("expression", ["phase=Ready", "jsonpath={.status[}=1", "condition="])
def test_a_wait_for_that_cannot_be_understood_is_refused(expression):
    with pytest.raises(Failed, match="waitFor"):
        rules.readiness_check(objects.with_annotation(widget(), objects.WAIT_FOR, expression))


def test_a_custom_resource_without_wait_for_is_ready_as_soon_as_it_is_there():
    assert rules.readiness_check(widget()) is None
    assert rules.readiness_check(objects.with_annotation(widget(), objects.SKIP_AWAIT, "true")) is None


def test_timeouts_go_from_the_option_to_the_annotation_to_the_default():
    annotated = objects.with_annotation(widget(), objects.TIMEOUT, "20")
    assert rules.seconds(annotated, 5, 600) == 5
    assert rules.seconds(annotated, 0, 600) == 20
    assert rules.seconds(widget(), 0, 600) == 600


def test_manifests_are_taken_apart_and_get_the_default_namespace():
    listed = {"kind": "ConfigMapList", "items": [{"kind": "ConfigMap", "metadata": {"name": "a"}}]}
    own = {"kind": "ConfigMap", "metadata": {"name": "b", "namespace": "own"}}
    spaces = [objects.namespace(obj) for obj in kinds.with_default_namespace([listed, own], "team")]
    assert spaces == ["team", "own"]
