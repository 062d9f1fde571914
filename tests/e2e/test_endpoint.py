"""The endpoint: answers that say where they come from, and refusals that say what is wrong."""

import copy
import json
import threading

import pytest

PREDICTIONS = "/api/v1.0/predictions"


def test_an_answer_carries_workload_version_and_run(endpoint, held_out, user):
    answer = endpoint.post(PREDICTIONS, json=held_out["request"]).raise_for_status().json()
    release = user.release()
    tags = answer["meta"]["tags"]
    assert tags["workload"] == "markdown"
    assert (int(tags["version"]), tags["run"]) == (release["version"], release["run"])


def test_the_held_out_week_is_predicted_better_than_by_guessing_nothing(endpoint, held_out):
    rows = endpoint.post(PREDICTIONS, json=held_out["request"]).raise_for_status().json()["data"]["ndarray"]
    error = sum(abs(row[0] - sold) for row, sold in zip(rows, held_out["actual"], strict=True)) / sum(held_out["actual"])
    assert error < 0.9, "predicting zero has an error of 1"


def without_a_column(request):
    request["data"]["names"].pop()
    request["data"]["ndarray"] = [row[:-1] for row in request["data"]["ndarray"]]
    return json.dumps(request)


def with_a_text_for_a_number(request):
    row = request["data"]["ndarray"][0]
    row[next(index for index, value in enumerate(row) if isinstance(value, float))] = "cheap"
    return json.dumps(request)


def with_nan(request):
    row = request["data"]["ndarray"][0]
    row[next(index for index, value in enumerate(row) if isinstance(value, float))] = float("nan")
    return json.dumps(request)


def without_rows(request):
    request["data"]["ndarray"] = []
    return json.dumps(request)


def with_ten_megabytes(request):
    rows = request["data"]["ndarray"]
    size = len(json.dumps(rows[0]))
    request["data"]["ndarray"] = [rows[0]] * (10_000_000 // size)
    return json.dumps(request)


@pytest.mark.parametrize(
    ("bad", "status", "words"),
    [
        (without_a_column, 400, ["column"]),
        (with_a_text_for_a_number, 400, ["cheap"]),
        (with_nan, 400, ["NaN"]),
        (without_rows, 400, ["no rows"]),
        (lambda _request: "", 400, ["empty"]),
        (lambda _request: "{", 400, ["JSON"]),
        (lambda _request: "[]", 400, ["object"]),
        (with_ten_megabytes, 413, ["large"]),
    ],
)
def test_a_bad_request_is_refused_in_one_clear_message(endpoint, held_out, bad, status, words):
    body = bad(copy.deepcopy(held_out["request"]))
    response = endpoint.post(PREDICTIONS, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].startswith("application/json")
    assert isinstance(response.json(), dict)
    assert [word for word in words if word.lower() not in response.text.lower()] == [], response.text
    assert "Traceback" not in response.text
    assert endpoint.post(PREDICTIONS, json=held_out["request"]).is_success, "and the next one is answered"


def test_a_rollout_loses_no_request(endpoint, held_out, cluster):
    """Replaces every replica, as a new release does, while somebody asks without pause."""
    path = "/apis/apps/v1/namespaces/serving/deployments"
    (stable,) = cluster.items(path, {"labelSelector": "modelstack.dev/workload=markdown,modelstack.dev/role=stable"})
    name = stable["metadata"]["name"]
    failures, asked, done = [], [], threading.Event()

    def ask():
        while not done.is_set():
            response = endpoint.post(PREDICTIONS, json=held_out["request"])
            asked.append(response.status_code)
            if response.is_error:
                failures.append(response.text)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        restarted = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
        cluster.patch(f"{path}/{name}", restarted)
        cluster.await_rollout("serving", name)
        cluster.patch(
            f"{path}/{name}", {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": None}}}}}
        )
        cluster.await_rollout("serving", name)
    finally:
        done.set()
        asking.join()
    assert failures == []
    assert len(asked) > 20
