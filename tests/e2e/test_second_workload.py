"""A second workload beside the first: trained, released, rolled out and taken out again, by the commands that a user types.

The committed stack file does not name it. What `markdown` has is looked at before and after: nobody may notice there.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

import httpx
import pytest

from delivery.releases import edits
from delivery.stacks import stack_file
from tests.e2e.conftest import PREDICTIONS

pytestmark = pytest.mark.timeout(600)

WORKLOAD = "tuna"
SERVING = "/api/v1/namespaces/serving"
FIRST = {"labelSelector": "modelstack.dev/workload=markdown"}
SECOND = {"labelSelector": f"modelstack.dev/workload={WORKLOAD}"}


@dataclass(frozen=True)
class Second:
    """The workload once it answers, and how everything was before its release was written and rolled out."""

    release: dict
    url: str
    registered: int
    """The version that its training gave."""
    stack_file: str
    resources: dict[str, tuple]
    pods: set[str]
    rollouts: dict[str, str]


def resources(user):
    """What was asked for of every resource in the stack's state, and which object that is. Secrets are shown."""
    exported = json.loads(user.pulumi("stack", "export", "--show-secrets"))["deployment"]["resources"]
    return {found["urn"]: (found.get("inputs"), found.get("id")) for found in exported}


def pods(cluster, labels):
    return {pod["metadata"]["uid"] for pod in cluster.items(f"{SERVING}/pods", labels)}


def rollouts(cluster, labels):
    """How often each Deployment's pods were replaced. An autoscaler that is at work does not count."""
    found = cluster.items("/apis/apps/v1/namespaces/serving/deployments", labels)
    return {each["metadata"]["name"]: each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for each in found}


def reached(url, seconds=30.0):
    """Waits until an endpoint's node port leads somewhere: kube-proxy learns of a new one a moment after the engine is done."""
    until = time.monotonic() + seconds
    while True:
        try:
            return httpx.get(f"{url}/healthz", timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < until, f"{url} does not answer within {seconds} s"
            time.sleep(0.2)


def name_of(urn):
    return urn.rpartition("::")[2]


@pytest.fixture(scope="module")
def second(user):
    """Trained, released and rolled out; its release and its endpoint are gone afterwards."""
    before, cluster = user.stack_file.read_text(), user.cluster()
    try:
        said = user.modelstack("train", WORKLOAD, "--stack", user.stack)
        registered = int(re.search(rf"Registered version (\d+) of {WORKLOAD}", said)[1])
        was = {
            "stack_file": before,
            "resources": resources(user),
            "pods": pods(cluster, FIRST),
            "rollouts": rollouts(cluster, FIRST),
        }
        user.modelstack("release", WORKLOAD, "--stack", user.stack)
        user.pulumi("up", "--yes", "--skip-preview")
        block = stack_file.releases(user.stack_file.read_text())[WORKLOAD]
        release, url = edits.versions(block)[block["stable"]], user.outputs()["endpoints"][WORKLOAD]["url"]
        reached(url)
        yield Second(release=release, url=url, registered=registered, **was)
    finally:
        if user.stack_file.read_text() != before:
            stack_file.write(user.stack_file, before)
            user.pulumi("up", "--yes", "--skip-preview")
        cluster.close()


def test_it_is_trained_though_no_stack_file_names_it(second):
    assert WORKLOAD not in second.stack_file
    assert second.release["version"] == second.registered
    assert second.release["evidence"]["metrics"]["weeks"] == 52


def test_its_evidence_comes_out_again_from_the_model_that_was_registered(user, second):
    said = user.modelstack("backtest", WORKLOAD, "--version", str(second.registered), "--stack", user.stack, "--json")
    told = json.loads(said.splitlines()[-1])
    assert (told["outcome"], told["version"], told["run"]) == ("confirmed", second.registered, second.release["run"])
    assert told["report"] == second.release["evidence"]["report"], "what the release was made with"
    assert all(finding["passed"] for finding in told["gate"])


def test_its_first_release_adds_its_lines_and_a_node_port_to_the_stack_file(user, second):
    added = stack_file.diff("f", second.stack_file, user.stack_file.read_text())
    assert re.search(r"^\+    tuna:\n\+      nodePort: 3\d{4}$", added, re.MULTILINE), added
    assert [line for line in added.splitlines() if line.startswith("-") and line != "--- a/f"] == [], "lines of others stay"


def test_its_endpoint_answers_as_the_version_that_was_released(second):
    with httpx.Client(base_url=second.url, timeout=30, trust_env=False) as client:
        refused = client.post(PREDICTIONS, json={"jsonData": {"brand": 1}})
        assert refused.status_code == 400
        right = refused.json()["error"]["example"]
        answer = client.post(PREDICTIONS, json=right).raise_for_status().json()
    tags = answer["meta"]["tags"]
    assert (tags["workload"], int(tags["version"]), tags["run"]) == (WORKLOAD, second.release["version"], second.release["run"])
    assert answer["data"]["names"] == ["units", "usual_units"]


def test_its_held_out_week_is_predicted_beside_what_was_sold(user, second):
    said = user.modelstack("predict", WORKLOAD, "--stack", user.stack)
    assert "cans of tuna sold by the whole chain" in said
    assert f"answered by workload {WORKLOAD}, version {second.release['version']}" in said
    assert int(re.search(r"error of the week: (\d+)%", said)[1]) < 50, "predicting zero has an error of 100 %"


def test_no_resource_of_another_workload_has_changed(user, cluster, second):
    now = resources(user)
    changed = [name_of(urn) for urn, found in second.resources.items() if now.get(urn) != found]
    assert changed == ["releases-copy"], "the record of all releases, which no pod reads"
    assert [name_of(urn) for urn in now.keys() - second.resources.keys() if not name_of(urn).startswith(WORKLOAD)] == []
    assert rollouts(cluster, FIRST) == second.rollouts
    assert pods(cluster, FIRST) & second.pods, "pods of before still answer"


def test_the_first_workload_answers_as_before(user, endpoint, held_out, second):
    tags = endpoint.post(PREDICTIONS, json=held_out["request"]).raise_for_status().json()["meta"]["tags"]
    assert (tags["workload"], int(tags["version"])) == ("markdown", user.release()["version"])


def test_status_tells_of_both(user, second):
    (status,) = json.loads(user.modelstack("status", "--stack", user.stack, "--json"))
    stable = {variant["workload"]: variant for variant in status["variants"] if variant["role"] == "stable"}
    assert stable.keys() == {"markdown", WORKLOAD}
    assert stable[WORKLOAD]["gate"] == "passed"
    assert status["pending"] == []


def test_without_its_release_its_endpoint_is_gone_and_all_else_as_it_was(user, cluster, second):
    stack_file.write(user.stack_file, second.stack_file)
    user.pulumi("up", "--yes", "--skip-preview")
    assert resources(user) == second.resources, "what was added for it is gone, and nothing else has changed"
    assert WORKLOAD not in user.outputs()["endpoints"]
    assert rollouts(cluster, SECOND) == {}
    user.pulumi("preview", "--expect-no-changes")
