"""A server with the part of MLflow's REST API that reads a registered version: its run, its tags and its artifacts."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@contextmanager
def tracking_server(version: dict[str, Any], tags: Mapping[str, str], artifacts: Mapping[str, bytes]) -> Iterator[str]:
    """Serves one version of one model, whose run has these tags and artifacts; yields the URL of the server.

    Args:
        version: `name`, `version` and `run_id`.
        tags: of the run.
        artifacts: content by path below the run's artifact folder.
    """
    root = f"1/{version['run_id']}/artifacts"
    info = {"run_id": version["run_id"], "status": "FINISHED", "artifact_uri": f"mlflow-artifacts:/{root}"}
    run = {"info": info, "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            match address.path:
                case "/health":
                    self._answer(b"OK")
                case "/api/2.0/mlflow/model-versions/search":
                    asked = query["filter"] in {f"name='{version['name']}'", _filter(version)}
                    self._answer({"model_versions": [version] if asked else []})
                case "/api/2.0/mlflow/runs/get":
                    assert query["run_id"] == version["run_id"]
                    self._answer({"run": run})
                case "/api/2.0/mlflow-artifacts/artifacts":
                    self._answer({"files": []})
                case path if (name := path.removeprefix(f"{ARTIFACTS}/{root}/")) in artifacts:
                    self._answer(artifacts[name])
                case _:
                    self.send_error(404)

        def _answer(self, content: bytes | dict[str, Any]) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _filter(version: Mapping[str, Any]) -> str:
    return f"name='{version['name']}' and version_number = {version['version']}"
