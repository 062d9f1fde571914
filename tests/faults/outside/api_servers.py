"""A Kubernetes API server in this process: objects by path, lists with label selectors, logs, and the proxy to pods."""

from __future__ import annotations

from typing import Any

from tests.faults.injector import Request, Response, plain_refusal

_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests", 500: "InternalError"}
_RESOURCES = {
    "/api/v1": ["ConfigMap", "Event", "Namespace", "Pod", "Secret", "Service"],
    "/apis/apps/v1": ["Deployment", "StatefulSet"],
    "/apis/batch/v1": ["CronJob", "Job"],
}
Object = dict[str, Any]


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


class FakeApiServer:
    """An API server whose objects are in `objects`, by path. `logs` and `pods` answer for containers, by name of the pod."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.logs: dict[str, str] = {}
        self.pods: dict[str, bytes] = {}
        """Answers of pods by `<pod>:<port><path>`."""
        self.created = lambda _path, _object: None
        """Called with each object that a request creates."""

    @staticmethod
    def refusal(status: int) -> Response:
        """What an API server answers with this status. A 404 comes from a gateway: no object is what is missing."""
        return plain_refusal(status) if status == 404 else _status(status, f"injected {status}")

    def add(self, path: str, **fields: Any) -> None:
        kind = next(kind for kinds in _RESOURCES.values() for kind in kinds if f"/{plural(kind)}/" in path + "/")
        version = path.split("/")[2] if path.startswith("/api/") else "/".join(path.split("/")[2:4])
        metadata = {"name": path.rpartition("/")[2], "uid": f"uid-{path}", **fields.pop("metadata", {})}
        parts = path.split("/")
        if "namespaces" in parts[:-2]:
            metadata["namespace"] = parts[parts.index("namespaces") + 1]
        self.objects[path] = {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}

    def __call__(self, request: Request) -> Response:  # noqa: PLR0911 one for each kind of path
        path = request.path.rstrip("/")
        if path == "/version":
            return Response({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        if path in ("/api", "/apis"):
            return _discovery(path)
        if path in _RESOURCES:
            return _resources(path)
        if "/proxy/" in path:
            pod, _, rest = path.partition("/pods/")[2].partition("/proxy")
            return Response(self.pods[f"{pod}{rest}"], 200, {"Content-Type": "text/plain"})
        if path.endswith("/log"):
            return Response(self.logs[path.split("/")[-2]].encode(), 200, {"Content-Type": "text/plain"})
        match request.method:
            case "POST":
                return self._create(path, request.json)
            case "DELETE":
                return Response(self.objects.pop(path)) if path in self.objects else _status(404, f"{path} not found")
        if path in self.objects:
            return Response(self.objects[path])
        if any(path.endswith(f"/{plural(kind)}") for kinds in _RESOURCES.values() for kind in kinds):
            return self._list(path, request.query.get("labelSelector", ""))
        return _status(404, f"{path} not found")

    def _create(self, path: str, made: Object) -> Response:
        name = f"{path}/{made['metadata']['name']}"
        if name in self.objects:
            return _status(409, "already exists")
        made["metadata"].setdefault("uid", f"uid-{name}")
        self.objects[name] = made
        self.created(name, made)
        return Response(made, 201)

    def _list(self, path: str, selector: str) -> Response:
        found = [each for name, each in sorted(self.objects.items()) if name.rpartition("/")[0] == path]
        matching = [each for each in found if _selected(each["metadata"].get("labels", {}), selector)]
        return Response({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": matching})


def _selected(labels: dict[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def _discovery(path: str) -> Response:
    if path == "/api":
        return Response({"kind": "APIVersions", "versions": ["v1"]})
    groups = [name.removeprefix("/apis/").split("/") for name in _RESOURCES if name.startswith("/apis/")]
    versions = {group: {"groupVersion": f"{group}/{version}", "version": version} for group, version in groups}
    listed = [{"name": group, "versions": [each], "preferredVersion": each} for group, each in versions.items()]
    return Response({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})


def _resources(path: str) -> Response:
    version = path.removeprefix("/api/").removeprefix("/apis/")
    resources = [
        {
            "name": plural(kind),
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind != "Namespace",
            "verbs": ["get", "list", "create", "delete"],
        }
        for kind in _RESOURCES[path]
    ]
    return Response({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})


def _status(code: int, message: str) -> Response:
    content = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    later = {"Retry-After": "1"} if code == 429 else {}
    reason = _REASONS.get(code, "")
    return Response({**content, "reason": reason}, code, {"Content-Type": "application/json", **later})
