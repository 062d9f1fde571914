"""The client of the model registry when the server fails."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clients.model_registry import ModelRegistry, ModelVersion
from common.errors import UserError
from delivery.environments.outputs import TrackingOutput

RUN = "0f3cb14f6d2d4a0c9c1f6f6a1c2b3d4e"


@contextmanager
def server(respond):
    """A tracking server that reports that it is healthy. `respond` returns status and body for every other path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            status, body = (200, "OK") if path == "/health" else respond(path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield TrackingOutput(url=f"http://127.0.0.1:{http_server.server_port}", username="u", password="p")
        finally:
            http_server.shutdown()


@pytest.fixture(autouse=True)
def mlflow_variables(monkeypatch):
    """Removes MLflow's variables after each test, and the waiting time between MLflow's retries."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    for name in ("TRACKING_URI", "REGISTRY_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_{name}", "")
    for name in ("MAX_RETRIES", "TIMEOUT", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "1")


def connect(tracking):
    return ModelRegistry.connect(tracking.url, tracking.username, tracking.password)


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.newest("markdown"),
        lambda registry: registry.version("markdown", 3),
        lambda registry: registry.report(ModelVersion(name="markdown", version=3, run=RUN)),
    ],
    ids=["newest", "version", "report"],
)
@pytest.mark.parametrize(
    "response",
    [
        (503, "the database is gone"),
        (500, '{"error_code": "INTERNAL_ERROR"}'),
        (500, ""),
        (401, "You are not authenticated."),
        (403, '{"error_code": "PERMISSION_DENIED"}'),
        (404, "<html>Log in to this network</html>"),
        (404, '{"error_code": "ENDPOINT_NOT_FOUND"}'),
        (429, "slow down"),
        (200, "<html>"),
        (200, '{"model_versions": [{"na'),
        (200, "[]"),
        (302, ""),
    ],
)
def test_a_server_that_fails_after_the_health_check_is_a_user_error(call, response):
    with server(lambda _path: response) as tracking:
        registry = connect(tracking)
        with pytest.raises(UserError) as failure:
            call(registry)
    assert tracking.url in str(failure.value), "the message names the server"
    assert "modelstack status" in str(failure.value), "the message says what to do"


@pytest.mark.parametrize(
    "call", [lambda registry: registry.newest("markdown"), lambda registry: registry.version("markdown", 3)]
)
def test_only_a_server_that_says_so_has_no_version(call):
    with server(lambda _path: (200, "{}")) as tracking:
        assert call(connect(tracking)) is None, "MLflow omits an empty list"


@pytest.mark.parametrize(
    "call", [lambda registry: registry.newest("markdown"), lambda registry: registry.artifact(RUN, "held_out.json")]
)
def test_a_server_that_stops_after_the_health_check_is_a_user_error_and_no_missing_version(call):
    with server(lambda _path: (200, "{}")) as tracking:
        registry = connect(tracking)
    with pytest.raises(UserError, match="refused") as failure:
        call(registry)
    assert "lacks" not in str(failure.value)


def test_a_page_of_another_server_is_not_taken_for_mlflow(monkeypatch):
    with server(lambda _path: (200, "")) as tracking, pytest.raises(UserError, match="is not MLflow"):
        connect(TrackingOutput(url=f"{tracking.url}/login?", username="u", password="p"))


def test_a_server_that_is_down_is_a_user_error():
    with server(lambda _path: (200, "{}")) as tracking:
        pass
    with pytest.raises(UserError, match="MLflow does not answer"):
        connect(tracking)


def test_the_error_names_the_permanently_deleted_run_of_a_version():
    versions = {"model_versions": [{"name": "markdown", "version": "3", "run_id": RUN}]}
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run '{RUN}' not found"}
    responses = {"/api/2.0/mlflow/model-versions/search": (200, json.dumps(versions))}
    with server(lambda path: responses.get(path, (404, json.dumps(missing)))) as tracking:
        registry = connect(tracking)
        with pytest.raises(UserError, match=f"Run '{RUN}' not found"):
            registry.version("markdown", 3)
