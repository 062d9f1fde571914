"""An MLflow tracking server in this process: runs, artifacts and registered versions, over the part of its REST API in use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.faults.injector import Request, Response, plain_refusal

API, ARTIFACTS = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts"
_CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "REQUEST_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR"}
_TAGS = re.compile(r"tags\.`([\w.]+)`\s*=\s*'([^']*)'")
JSON = dict[str, Any]


@dataclass
class TrackedRun:
    """A run with its artifacts, by path."""

    id: str
    tags: dict[str, str]
    artifacts: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    status: str = "FINISHED"

    def has(self, condition: str) -> bool:
        """Whether the run has all tags of a search. The runs of versions have the tags of their versions."""
        return all(self.tags.get(name) == value for name, value in _TAGS.findall(condition))

    def json(self) -> JSON:
        root = f"mlflow-artifacts:/1/{self.id}/artifacts"
        info = {
            "run_id": self.id,
            "run_name": "a run",
            "status": self.status,
            "artifact_uri": root,
            "lifecycle_stage": "active",
        }
        tags = [{"key": key, "value": value} for key, value in self.tags.items()]
        metrics = [{"key": key, "value": value, "timestamp": 1, "step": 0} for key, value in self.metrics.items()]
        times = {"start_time": 1000, "end_time": 5000, "experiment_id": "1"}
        return {"info": {**info, **times}, "data": {"tags": tags, "metrics": metrics, "params": []}}


class FakeTrackingServer:
    """A tracking server with one experiment, `markdown`, whose runs and versions are in `runs` and `versions`."""

    def __init__(self) -> None:
        self.runs: dict[str, TrackedRun] = {}
        self.versions: dict[tuple[str, int], str] = {}
        """Runs by model and version."""
        self.experiments: dict[str, str] = {}

    @staticmethod
    def refusal(status: int) -> Response:
        """What the server answers with this status. A 404 comes from a gateway: no run is what is missing."""
        if status not in _CODES:
            return plain_refusal(status)
        later = {"Retry-After": "1"} if status == 429 else {}
        content = {"error_code": _CODES[status], "message": f"injected {status}"}
        return Response(content, status, {"Content-Type": "application/json", **later})

    def __call__(self, request: Request) -> Response:
        if request.path == "/health":
            return Response(b"OK")
        if request.path.startswith(ARTIFACTS):
            return self._artifacts(request, request.path.removeprefix(ARTIFACTS).lstrip("/"))
        method = getattr(self, re.sub(r"\W", "_", request.path.removeprefix(API)), None)
        values = {**request.query, **(request.json if request.method != "GET" else {})}
        return _error(404, "ENDPOINT_NOT_FOUND", request.path) if method is None else Response(method(values))

    def _artifacts(self, request: Request, path: str) -> Response:
        if not path:
            return Response({"files": self._files(request.query.get("path", ""))})
        _, run, _, *rest = path.split("/")
        if request.method == "PUT":
            self.runs[run].artifacts["/".join(rest)] = request.body
            return Response({})
        content = self.runs[run].artifacts.get("/".join(rest))
        return _error(404, "RESOURCE_DOES_NOT_EXIST", "no such artifact") if content is None else Response(content)

    def _files(self, path: str) -> list[JSON]:
        parts = path.split("/")
        run, folder = self.runs[parts[1]], "/".join(parts[3:])
        found: dict[str, JSON] = {}
        for name, content in run.artifacts.items():
            if folder and not name.startswith(f"{folder}/"):
                continue
            first, deeper, _ = name.removeprefix(f"{folder}/" if folder else "").partition("/")
            found[first] = {"path": first, "is_dir": bool(deeper), **({} if deeper else {"file_size": len(content)})}
        return list(found.values())

    def model_versions_search(self, values: JSON) -> JSON:
        name = re.search(r"name='(\w+)'", values["filter"])
        number = re.search(r"version_number = (\d+)", values["filter"])
        assert name is not None
        found = [key for key in sorted(self.versions, reverse=True) if key[0] == name[1]]
        matching = [
            key
            for key in found
            if (number is None or key[1] == int(number[1])) and self.runs[self.versions[key]].has(values["filter"])
        ]
        return {"model_versions": [self._version(key) for key in matching[: int(values.get("max_results") or 100)]]}

    def model_versions_get_download_uri(self, values: JSON) -> JSON:
        run = self.versions[values["name"], int(values["version"])]
        return {"artifact_uri": f"mlflow-artifacts:/1/{run}/artifacts/model"}

    def model_versions_create(self, values: JSON) -> JSON:
        key = values["name"], 1 + max((version for name, version in self.versions if name == values["name"]), default=0)
        self.versions[key] = values["run_id"]
        return {"model_version": self._version(key)}

    def registered_models_search(self, values: JSON) -> JSON:
        del values
        return {"registered_models": [{"name": name} for name in {name for name, _ in self.versions}]}

    def registered_models_get(self, values: JSON) -> JSON:
        return {"registered_model": {"name": values["name"]}}

    def registered_models_create(self, values: JSON) -> JSON:
        return {"registered_model": {"name": values["name"]}}

    def runs_get(self, values: JSON) -> JSON:
        return {"run": self.runs[values["run_id"]].json()}

    def runs_search(self, values: JSON) -> JSON:
        assert _TAGS.search(values["filter"])
        found = [run for run in self.runs.values() if run.has(values["filter"])]
        return {"runs": [run.json() for run in found]}

    def runs_create(self, values: JSON) -> JSON:
        tags = {tag["key"]: tag["value"] for tag in values.get("tags", [])}
        run = TrackedRun(f"{len(self.runs) + 100:032x}", tags, status="RUNNING")
        self.runs[run.id] = run
        return {"run": run.json()}

    def runs_log_batch(self, values: JSON) -> JSON:
        self.runs[values["run_id"]].metrics |= {each["key"]: each["value"] for each in values.get("metrics", [])}
        return {}

    def runs_update(self, values: JSON) -> JSON:
        run = self.runs[values["run_id"]]
        run.status = values.get("status", run.status)
        return {"run_info": run.json()["info"]}

    def runs_delete(self, values: JSON) -> JSON:
        del self.runs[values["run_id"]]
        return {}

    def experiments_get_by_name(self, values: JSON) -> JSON:
        name = values["experiment_name"]
        return {"experiment": {"experiment_id": self.experiments.setdefault(name, "1"), "name": name}}

    def _version(self, key: tuple[str, int]) -> JSON:
        name, version = key
        return {"name": name, "version": str(version), "run_id": self.versions[key], "status": "READY"}


def _error(status: int, code: str, message: str) -> Response:
    return Response({"error_code": code, "message": message}, status, {"Content-Type": "application/json"})
