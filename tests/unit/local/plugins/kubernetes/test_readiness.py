"""When an object counts as ready, and what is told if it does not become so."""

from __future__ import annotations

import pytest

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.readiness import rules
from local.plugins.protocol.messages import Failed


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
