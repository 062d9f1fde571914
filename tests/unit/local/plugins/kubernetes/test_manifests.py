"""Objects as the server would write them: quantities, data, names, namespaces."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.plugins.kubernetes import kinds
from local.plugins.kubernetes.manifests import naming, objects
from local.plugins.kubernetes.manifests.quantity import canonical
from local.plugins.protocol.messages import Failed
from local.plugins.protocol.values import UNKNOWN, Secret


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


@pytest.mark.parametrize(
    "token", ["kubernetes:helm.sh/v3:Release", "kubernetes:yaml/v2:ConfigFile", "kubernetes:core/v1:PodList"]
)
def test_what_is_no_object_of_the_api_is_refused_in_words(token):
    with pytest.raises(Failed):
        kinds.refuse_unsupported(token)


def test_manifests_are_taken_apart_and_get_the_default_namespace():
    listed = {"kind": "ConfigMapList", "items": [{"kind": "ConfigMap", "metadata": {"name": "a"}}]}
    own = {"kind": "ConfigMap", "metadata": {"name": "b", "namespace": "own"}}
    spaces = [objects.namespace(obj) for obj in kinds.with_default_namespace([listed, own], "team")]
    assert spaces == ["team", "own"]
