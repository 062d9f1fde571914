"""Requests to the API server over HTTPS, through one pool of persistent connections for all threads."""

from __future__ import annotations

import json
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from clients.kubeconfig import Access
    from local.plugins.protocol.values import Object, Value

APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"

_CONNECTIONS: Final = 64
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=60)
_RETRIED: Final = frozenset({429, 503, 504})
"""HTTP status codes after which a request is sent again."""
_RETRY_SECONDS: Final = 30
"""Seconds during which requests are repeated, while the API server is busy or restarts."""
_FIRST_PAUSE: Final = 0.2
_LAST_PAUSE: Final = 3.0
_UNAUTHORIZED: Final = 401
_NOT_FOUND, _CONFLICT, _INVALID, _FORBIDDEN, _ERROR = 404, 409, 422, 403, 400


class Unreachable(Failed):
    """The API server does not respond. The message names the server and the reason."""


class ApiServerError(Failed):
    """The API server refused a request. The message is the one of the server."""

    def __init__(self, code: int, status: Object) -> None:
        self.code, self.status = code, status
        super().__init__(objects.text(status, "message") or f"the API server answered with HTTP status {code}")

    @property
    def reason(self) -> str:
        return objects.text(self.status, "reason")

    @property
    def not_found(self) -> bool:
        return self.code == _NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether another field manager owns a field that the request sets, or the object has a newer version."""
        return self.code == _CONFLICT and self.reason == "Conflict"

    @property
    def invalid(self) -> bool:
        return self.code == _INVALID

    @property
    def forbidden(self) -> bool:
        return self.code == _FORBIDDEN

    @property
    def missing_namespace(self) -> bool:
        return self.not_found and objects.text(self.status, "details", "kind") == "namespaces"


class NoSuchKind(Failed):
    """The API server does not know the kind: its definition does not exist, or does not exist yet."""


@dataclass(frozen=True)
class Endpoint:
    """The path of a kind in the API."""

    prefix: str
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    plural: str
    namespaced: bool

    def url(self, namespace: str, name: str = "", sub: str = "") -> str:
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")


class Api:
    """The API of a cluster. May be used by several threads."""

    def __init__(self, access: Access) -> None:
        self.access = access
        if access.context is not None and access.context.verify_mode == ssl.CERT_NONE:
            # The kubeconfig says so. A warning with each request would fill the engine's output.
            urllib3.disable_warnings(InsecureRequestWarning)
        options: dict[str, Any] = {"proxy_url": access.proxy} if access.proxy else {}  # arguments of urllib3
        self._pool = (urllib3.ProxyManager if access.proxy else urllib3.PoolManager)(
            num_pools=1,
            maxsize=_CONNECTIONS,
            ssl_context=access.context,
            retries=False,
            headers={"Accept": "application/json", "User-Agent": "modelstack-kubernetes-plugin"},
            **({"server_hostname": access.server_name} if access.server_name else {}),
            **options,
        )
        self._kinds: dict[str, dict[str, Endpoint]] = {}
        self._lock = threading.Lock()
        self._has_responded = False

    def request(
        self, method: str, path: str, body: Value = None, *, content_type: str = "application/json", **query: str
    ) -> str:
        """Sends a request and returns the body of the response. Repeats it for a while if the server is busy or restarts.

        Raises:
            ApiServerError: the server refused the request.
            Unreachable: the server does not respond.
        """
        url = self.access.server + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._pool.headers, "Content-Type": content_type}
        renewed = False
        started, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            may_retry = time.monotonic() - started < _RETRY_SECONDS
            try:
                response = self._pool.request(
                    method, url, body=data, headers={**headers, **self.access.headers}, timeout=_TIMEOUT
                )
            except (HTTPError, OSError) as error:
                # A server that has responded before may be restarting. Repeating a request is harmless, except for a POST,
                # which creates an object.
                if not may_retry or not self._has_responded or method == "POST":
                    raise Unreachable(self._unreachable_message(error)) from error
            else:
                self._has_responded = True
                if response.status == _UNAUTHORIZED and not renewed and self._renew():
                    renewed = True
                    continue
                if response.status not in _RETRIED or not may_retry:
                    return _text(response.status, response.data)
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _renew(self) -> bool:
        """Replaces credentials that have expired. Returns whether there are new ones."""
        with self._lock:
            return self.access.renew()

    def json(
        self, method: str, path: str, body: Value = None, *, content_type: str = "application/json", **query: str
    ) -> Object:
        """Sends a request and returns the JSON object in the response. Raises the same errors as `request`."""
        return cast("Object", json.loads(self.request(method, path, body, content_type=content_type, **query)))

    def endpoint(self, api_version: str, kind: str) -> Endpoint:
        """Returns the path of a kind. Asks the server once for each API version, and again if the kind is unknown.

        Raises:
            NoSuchKind: the server does not know the kind.
        """
        cached = self._kinds.get(api_version, {}).get(kind)
        if cached is not None:
            return cached
        with self._lock:
            kinds = self._kinds.get(api_version, {})
            if kind not in kinds:
                kinds = self._kinds[api_version] = self._discover(api_version)
        if kind not in kinds:
            raise NoSuchKind(
                f"the cluster has no kind {kind} in {api_version}. If a CustomResourceDefinition defines the kind, create the "
                "definition first (`depends_on`)"
            )
        return kinds[kind]

    def _discover(self, api_version: str) -> dict[str, Endpoint]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            listed = objects.items(self.json("GET", prefix), "resources")
        except ApiServerError as error:
            if error.not_found:
                return {}
            raise
        return {
            str(entry["kind"]): Endpoint(prefix, str(entry["name"]), bool(entry.get("namespaced")))
            for entry in listed
            if "/" not in str(entry["name"])
        }

    def _unreachable_message(self, error: Exception) -> str:
        cause: BaseException = error
        while (inner := getattr(cause, "reason", None)) is not None and isinstance(inner, BaseException):
            cause = inner
        reason = str(cause).rsplit(": ", 1)[-1] if "NewConnectionError" in repr(cause) else str(cause)
        address = urlsplit(self.access.server).netloc or self.access.server
        return f"the Kubernetes API server at {address} cannot be reached: {reason}"


def _text(status: int, data: bytes) -> str:
    text = data.decode(errors="replace")
    if status >= _ERROR:
        raise ApiServerError(status, _status(text))
    return text


def _status(text: str) -> Object:
    try:
        loaded: Value = json.loads(text)
    except ValueError:
        return {"message": text.strip()[:500]}
    return cast("Object", loaded) if isinstance(loaded, dict) else {"message": str(loaded)}
