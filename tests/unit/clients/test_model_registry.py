"""The model registry, when its server is not well."""

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
def server(answers):
    """A tracking server that says it is healthy; `answers` gives status and body of everything else, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            status, body = (200, "OK") if path == "/health" else answers(path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield TrackingOutput(url=f"http://127.0.0.1:{made.server_port}", username="u", password="p")
        finally:
            made.shutdown()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The variables that MLflow is told of are gone afterwards, and nobody waits between attempts."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    for name in ("TRACKING_URI", "REGISTRY_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_{name}", "")
    for name in ("MAX_RETRIES", "TIMEOUT", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "1")


def connect(tracking):
    return ModelRegistry.connect(tracking.url, tracking.username, tracking.password)


@pytest.mark.parametrize(
    "ask",
    [
        lambda models: models.newest("markdown"),
        lambda models: models.version("markdown", 3),
        lambda models: models.report(ModelVersion(name="markdown", version=3, run=RUN)),
    ],
    ids=["newest", "version", "report"],
)
@pytest.mark.parametrize("answer", [(503, "the database is gone"), (500, '{"error_code": "INTERNAL_ERROR"}'), (200, "<html>")])
def test_a_server_that_fails_half_way_is_one_message(ask, answer):
    with server(lambda _path: answer) as tracking:
        models = connect(tracking)
        with pytest.raises(UserError) as refusal:
            ask(models)
    assert tracking.url in str(refusal.value), "which server"
    assert "modelstack status" in str(refusal.value), "and what to do"


def test_a_server_that_is_down_is_one_message():
    with server(lambda _path: (200, "{}")) as tracking:
        pass
    with pytest.raises(UserError, match="MLflow does not answer"):
        connect(tracking)


def test_a_version_whose_run_was_deleted_for_good_says_so():
    found = {"model_versions": [{"name": "markdown", "version": "3", "run_id": RUN}]}
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run '{RUN}' not found"}
    answers = {"/api/2.0/mlflow/model-versions/search": (200, json.dumps(found))}
    with server(lambda path: answers.get(path, (404, json.dumps(missing)))) as tracking:
        models = connect(tracking)
        with pytest.raises(UserError, match=f"Run '{RUN}' not found"):
            models.version("markdown", 3)
