"""The tracking server: closed to whoever has no password, and complete for whoever has."""

import hashlib

import httpx
import pytest


@pytest.fixture
def tracking(outputs):
    return outputs["tracking"]


@pytest.mark.parametrize("auth", [None, ("admin", "password"), ("admin", "")])
@pytest.mark.parametrize("path", ["/api/2.0/mlflow/experiments/search?max_results=1", "/get-artifact?path=x&run_uuid=y", "/"])
def test_nobody_gets_in_without_the_password(tracking, auth, path):
    assert httpx.get(tracking["url"] + path, auth=auth, trust_env=False).status_code == 401


def test_a_request_under_a_strange_host_name_is_refused(tracking):
    url = f"{tracking['url']}/api/2.0/mlflow/experiments/search?max_results=1"
    response = httpx.get(
        url, headers={"Host": "evil.example"}, auth=(tracking["username"], tracking["password"]), trust_env=False
    )
    assert response.status_code == 403, "a web page must not reach it through a name of its own"


def test_the_released_run_tells_where_the_model_comes_from(tracking, user):
    release = user.release()
    auth = (tracking["username"], tracking["password"])
    url = f"{tracking['url']}/api/2.0/mlflow/runs/get?run_id={release['run']}"
    run = httpx.get(url, auth=auth, trust_env=False).raise_for_status().json()["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["modelstack.workload"] == "markdown"
    assert (tags["modelstack.data"], tags["modelstack.revision"]) == (release["data"], release["revision"])
    report = httpx.get(
        f"{tracking['url']}/get-artifact?run_uuid={release['run']}&path=backtest/report.json", auth=auth, trust_env=False
    )
    digest = f"sha256:{hashlib.sha256(report.raise_for_status().content).hexdigest()}"
    assert digest == tags["modelstack.report"] == release["evidence"]["report"]


def test_the_database_is_reachable_for_the_tracking_server_alone(cluster):
    policies = cluster.items("/apis/networking.k8s.io/v1/namespaces/tracking/networkpolicies")
    assert policies, "who may talk to whom is declared"
    services = cluster.items("/api/v1/namespaces/tracking/services")
    outside = [service["metadata"]["name"] for service in services if service["spec"]["type"] != "ClusterIP"]
    assert outside == ["tracking"], "the database has no door to the outside"
