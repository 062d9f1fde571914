"""From one model version to the next and back."""

import json
import re
import signal
import time

import pytest

from delivery.stacks import stack_file

PREDICTIONS = "/api/v1.0/predictions"


def jobs(cluster):
    return {job["metadata"]["name"] for job in cluster.items("/apis/batch/v1/namespaces/training/jobs")}


def test_release_twice_is_release_once(user):
    before = user.stack_file.read_text()
    said = user.modelstack("release", "markdown", "--stack", user.stack, "--version", str(user.release()["version"]))
    assert "already released" in said
    assert user.stack_file.read_text() == before


def test_a_version_that_is_not_registered_cannot_be_released(user):
    before = user.stack_file.read_text()
    said = user.modelstack("release", "markdown", "--stack", user.stack, "--version", "999", code=1)
    assert "no version 999" in said
    assert "Traceback" not in said
    assert user.stack_file.read_text() == before


@pytest.mark.parametrize("edit", ["unknown key", "wrong type", "release of nothing"])
def test_a_bad_stack_file_is_refused_before_anything_runs(user, edit):
    good = user.stack_file.read_text()
    bad = {
        "unknown key": good.replace("modelstack:cluster:", "modelstack:clutser: {}\n  modelstack:cluster:"),
        "wrong type": good.replace(
            "modelstack:tracking:", "modelstack:training: {keepRunsSeconds: soon}\n  modelstack:tracking:"
        ),
        "release of nothing": stack_file.with_releases(good, "markdwon", user.releases()),
    }[edit]
    words = {"unknown key": "clutser", "wrong type": "keepRunsSeconds", "release of nothing": "markdwon"}[edit]
    stack_file.write(user.stack_file, bad)
    try:
        said = user.modelstack("up", "--stack", user.stack, code=1)
        by_pulumi = user.pulumi("preview", code=None)
    finally:
        stack_file.write(user.stack_file, good)
    for message in (said, by_pulumi):
        assert words in message
        assert "Traceback" not in message
    assert "1 errored" in by_pulumi


def test_the_pod_runs_the_very_image_that_was_released(user, cluster):
    (pod, *_) = cluster.items(
        "/api/v1/namespaces/serving/pods", {"labelSelector": "modelstack.dev/workload=markdown,modelstack.dev/role=stable"}
    )
    assert pod["spec"]["containers"][0]["image"].endswith(user.release()["image"])


def test_status_tells_what_runs_and_where_it_comes_from(user):
    (status,) = json.loads(user.modelstack("status", "--stack", user.stack, "--json"))
    release = user.release()
    (stable,) = [variant for variant in status["variants"] if variant["role"] == "stable"]
    assert status["state"] == "up"
    assert status["pending"] == []
    for key in ("version", "run", "data", "image"):
        assert stable[key] == release[key]
    assert stable["ready"] >= 1
    assert stable["since"]
    table = user.modelstack("status")
    assert release["run"][:12] in table


@pytest.mark.timeout(1200)
def test_another_version_is_trained_released_rolled_out_and_rolled_back(user, cluster, endpoint, held_out):
    """Whoever stops watching the training finds it again: it is one run, and one version."""
    first, before = user.release(), jobs(cluster)
    watching = user.start(str(user.variables["PATH"].split(":")[1] + "/modelstack"), "train", "markdown", "--stack", user.stack)
    for line in watching.stdout:
        if "source" in line:
            break
    watching.send_signal(signal.SIGINT)
    said = watching.communicate(timeout=60)[0]
    assert watching.returncode == 130
    assert "goes on in the cluster" in said
    (started,) = jobs(cluster) - before

    said = user.modelstack("train", "markdown", "--stack", user.stack)
    assert f"following {started}" in said
    second = int(re.search(r"Registered version (\d+)", said)[1])
    assert second > first["version"]
    assert jobs(cluster) - before == {started}, "no second run was started"

    assert f"stable: {second}" in user.modelstack("release", "markdown", "--stack", user.stack)
    (status,) = json.loads(user.modelstack("status", "--stack", user.stack, "--json"))
    assert status["pending"] == [f"markdown version {second}"], "written, not rolled out yet"
    try:
        user.modelstack("up", "--stack", user.stack)
        await_version(endpoint, held_out, second)
    finally:
        user.modelstack("release", "markdown", "--stack", user.stack, "--version", str(first["version"]))
        user.modelstack("up", "--stack", user.stack)
    assert user.release() == first, "going back is a release as well, of the same image"
    await_version(endpoint, held_out, first["version"])


def await_version(endpoint, held_out, version):
    """Waits until a version answers. A pod of the one before may answer for a moment, as long as it takes to leave."""
    deadline = time.monotonic() + 30
    while True:
        answer = endpoint.post(PREDICTIONS, json=held_out["request"]).raise_for_status().json()
        if int(answer["meta"]["tags"]["version"]) == version:
            return
        assert time.monotonic() < deadline, f"version {answer['meta']['tags']['version']} still answers"
        time.sleep(0.1)


def test_nothing_to_cancel_is_said(user):
    assert "No run is under way" in user.modelstack("train", "markdown", "--stack", user.stack, "--cancel")
