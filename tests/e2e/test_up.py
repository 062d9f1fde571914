"""An environment that is up: nothing to do, no drift, and plain pulumi works on it."""

import json
import re
from datetime import UTC, datetime

import psutil

from common import paths
from delivery.stacks import lock
from local.node import record

SERVICE = "/api/v1/namespaces/tracking/services/tracking"


def test_up_again_has_nothing_to_do_and_says_so(user):
    file, resources = user.stack_file.read_text(), user.state()
    said = user.modelstack("up", "--stack", user.stack)
    assert "Nothing to do" in said
    assert "predicted" in said, "it ends with the prediction all the same"
    assert user.stack_file.read_text() == file
    assert user.state() == resources


def test_plain_pulumi_sees_no_change(user):
    user.pulumi("preview", "--expect-no-changes")


def test_plain_pulumi_sees_no_drift(user):
    user.pulumi("refresh", "--preview-only", "--expect-no-changes")


def test_a_change_by_hand_is_seen(user, cluster):
    labels = cluster.get(SERVICE)["metadata"]["labels"]
    cluster.patch(SERVICE, {"metadata": {"labels": {"app.kubernetes.io/part-of": "somebody"}}})
    try:
        user.pulumi("refresh", "--preview-only", "--expect-no-changes", code=None)
    finally:
        cluster.patch(SERVICE, {"metadata": {"labels": labels}})
    user.pulumi("refresh", "--preview-only", "--expect-no-changes")


def test_what_was_deleted_by_hand_is_seen_and_made_again(user, cluster):
    budgets = "/apis/policy/v1/namespaces/serving/poddisruptionbudgets"
    (budget,) = cluster.items(budgets, {"labelSelector": "modelstack.dev/workload=markdown,modelstack.dev/role=stable"})
    cluster.delete(f"{budgets}/{budget['metadata']['name']}")
    user.pulumi("refresh", "--preview-only", "--expect-no-changes", code=None)
    user.pulumi("up", "--refresh", "--yes", "--skip-preview")
    assert cluster.get(f"{budgets}/{budget['metadata']['name']}")["spec"] == budget["spec"]
    user.pulumi("preview", "--expect-no-changes")


def test_secrets_are_neither_shown_nor_stored_in_plain(user, outputs):
    password = outputs["tracking"]["password"]
    assert "[secret]" in user.pulumi("stack", "output")
    assert password not in user.pulumi("stack", "output")
    assert password not in json.dumps(user.state())


def test_a_second_up_at_the_same_time_is_told_about_the_first(user):
    with lock.exclusive("up --stack dev"):
        said = user.modelstack("up", "--stack", user.stack, code=1)
    assert re.search(r"Another command is changing this environment\..*process \d+", said, re.DOTALL)
    assert "Traceback" not in said


def test_every_container_is_named_by_digest(cluster):
    images = {
        container["image"]
        for namespace in ("tracking", "serving")
        for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods")
        for container in pod["spec"]["containers"]
    }
    assert images
    assert [image for image in images if "@sha256:" not in image] == []


def test_the_namespaces_are_restricted_and_no_pod_was_refused(cluster):
    for namespace in ("tracking", "training", "serving"):
        labels = cluster.get(f"/api/v1/namespaces/{namespace}")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_container_ended_since_the_node_started(cluster):
    """Neither crashed nor ended for a probe. What was killed with the node is found later, and has the reason `Unknown`."""
    node = psutil.Process(record.read_state(paths.NODE / "run").init.pid)
    started = datetime.fromtimestamp(node.create_time(), UTC)
    ends = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": ended
        for pod in cluster.items("/api/v1/pods")
        for status in pod["status"].get("containerStatuses", [])
        if (ended := status.get("lastState", {}).get("terminated"))
    }
    by_themselves = {
        pod: ended
        for pod, ended in ends.items()
        if datetime.fromisoformat(ended["finishedAt"]) > started and ended["reason"] != "Unknown"
    }
    assert by_themselves == {}
