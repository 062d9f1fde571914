"""Login to the API server, and requests to pods through its proxy."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clients import kubernetes
from clients.kubernetes import ApiError, KubernetesClient
from common.answers import Absent, Found, Unknown
from common.errors import UserError

POD = "/api/v1/namespaces/serving/pods/"

RESPONSES = {
    f"{POD}one:6000/proxy/metrics": (200, b"metrics"),
    f"{POD}denied:6000/proxy/metrics": (403, b'{"kind": "Status", "reason": "Forbidden", "message": "no role"}'),
    f"{POD}ended:6000/proxy/metrics": (403, b"denied destination"),
    f"{POD}odd:6000/proxy/metrics": (403, b'["odd"]'),
    f"{POD}own:6000/proxy/metrics": (403, b'{"reason": "Forbidden", "message": "not you"}'),
    "/version": (200, b'{"major": "1"}'),
    "/absent": (404, b'{"kind": "Status", "reason": "NotFound", "message": "not found"}'),
    "/apis/none/v1": (404, b"404 page not found\n"),
    "/portal": (404, b"<html>Log in to this network</html>"),
    "/portal-200": (200, b"<html>Log in to this network</html>"),
    "/list": (200, b"[]"),
    "/login": (302, b""),
    "/401": (401, b'{"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}'),
    "/403": (403, b'{"kind": "Status", "reason": "Forbidden", "message": "jobs.batch is forbidden"}'),
    "/429": (429, b"slow down"),
    "/500": (500, b""),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "slow" in self.path:
            self.server.over.wait(10)
        self.server.authorization = self.headers.get("Authorization")
        status, body = RESPONSES.get(self.path, (503, b'{"message": "no route"}'))
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client has not waited
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.over = threading.Event()
    threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True).start()
    yield http_server
    http_server.over.set()
    http_server.shutdown()
    http_server.server_close()


def client_for(port, user=None):
    return KubernetesClient.from_kubeconfig(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": user or {}}],
        }
    )


@pytest.fixture
def cluster(server):
    client = client_for(server.server_port)
    yield client
    client.close()


def test_a_request_reaches_a_port_of_a_pod(cluster):
    assert cluster.get_from_pod("serving", "one", 6000, "/metrics") == "metrics"


def test_an_unreachable_pod_and_an_unreachable_cluster_are_different_errors(cluster):
    with pytest.raises(ApiError, match="no route") as refused:
        cluster.get_from_pod("serving", "gone", 6000, "/metrics")
    assert refused.value.status == 503
    with contextlib.closing(client_for(1)) as gone, pytest.raises(UserError, match="cluster does not answer"):
        gone.get_from_pod("serving", "one", 6000, "/metrics")


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        ("denied", "Forbidden", "no role"),
        ("ended", "", "denied destination"),
        ("odd", "", '["odd"]'),
        ("own", "", "not you"),
    ],
)
def test_only_a_refusal_by_the_api_server_has_a_reason(cluster, pod, reason, message):
    with pytest.raises(ApiError) as refused:
        cluster.get_from_pod("serving", pod, 6000, "/metrics")
    assert (refused.value.status, refused.value.reason, refused.value.message) == (403, reason, message)


def test_a_request_to_a_slow_pod_times_out(cluster, monkeypatch):
    monkeypatch.setattr(kubernetes, "_POD_SECONDS", 0.2)
    with pytest.raises(ApiError, match="slow does not answer within"):
        cluster.get_from_pod("serving", "slow", 6000, "/metrics")


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/version", Found({"major": "1"})), ("/absent", Absent()), ("/apis/none/v1", Absent())],
)
def test_a_lookup_finds_an_object_or_the_api_server_says_that_there_is_none(cluster, path, answer):
    assert cluster.find(path) == answer


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/portal", "404 <html>"),
        ("/portal-200", "<html>Log in"),
        ("/list", "\\[\\]"),
        ("/login", "302"),
        ("/401", "401 Unauthorized"),
        ("/403", "403 jobs.batch is forbidden"),
        ("/429", "429 slow down"),
        ("/500", "500"),
    ],
)
def test_whatever_else_happens_is_unknown_and_never_a_traceback(cluster, path, reason):
    answer = cluster.find(path)
    assert isinstance(answer, Unknown)
    assert answer.where.endswith(path)
    with pytest.raises(UserError, match=reason):
        raise answer.error("It cannot be asked.")
    with pytest.raises(UserError):
        cluster.get(path)
    with pytest.raises(UserError):
        cluster.exists("v1", "Pod", "a", "b") if path == "/500" else cluster.get(path)


def test_a_cluster_that_refuses_connections_is_unknown():
    with contextlib.closing(client_for(1)) as gone:
        answer = gone.find("/version")
        assert isinstance(answer, Unknown)
        assert "refused" in answer.reason
        assert list(gone.log("a", "b", follow=True)) == [], "the next request says why"


@pytest.mark.parametrize(("status", "advice"), [(401, "log in again"), (403, "ask for a role"), (500, "HTTP status 500")])
def test_a_refusal_of_the_api_server_is_one_clear_message(cluster, status, advice):
    with pytest.raises(ApiError, match=advice) as refused:
        cluster.get(f"/{status}")
    assert f"GET {cluster.server}/{status}" in refused.value.where
