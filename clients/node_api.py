"""The few requests to the Kubernetes API server that are needed to start a node, without a Kubernetes client."""

from __future__ import annotations

import http.client
import json
import ssl
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_MANAGER: Final = "modelstack-node"


class NodeApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class NodeApi:
    """The client of the API server on this machine, with the administrator's certificate.

    Args:
        port: port of the API server on the loopback address.
        keys: folder with `ca.crt`, `admin.crt` and `admin.key`.
        timeout: seconds to wait for each response.
    """

    def __init__(self, port: int, keys: Path, *, timeout: float = 10) -> None:
        self.port = port
        self.keys = keys
        self.timeout = timeout

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The TLS settings. Reads the keys at the first request."""
        context = ssl.create_default_context(cafile=str(self.keys / "ca.crt"))
        context.load_cert_chain(self.keys / "admin.crt", self.keys / "admin.key")
        return context

    def get(self, path: str) -> dict[str, Any]:  # JSON of any kind
        """Reads an object.

        Raises:
            NodeApiError: the API server refuses the request.
            OSError: the API server does not answer.
        """
        return json.loads(self._request("GET", path))

    def healthy(self) -> bool:
        """Returns whether the API server reports that it is ready."""
        try:
            return self._request("GET", "/readyz") == b"ok"
        except (OSError, http.client.HTTPException, NodeApiError):
            return False

    def apply(self, path: str, manifest: dict[str, Any]) -> None:  # a Kubernetes object of any kind
        """Creates or changes an object by server-side apply.

        Raises:
            NodeApiError: the API server refuses the request.
            OSError: the API server does not answer.
        """
        query = f"?fieldManager={_MANAGER}&force=true"
        self._request("PATCH", path + query, json.dumps(manifest), "application/apply-patch+yaml")

    def _request(self, method: str, path: str, body: str | None = None, content_type: str = "application/json") -> bytes:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=self.timeout, context=self.context)
        try:
            connection.request(method, path, body, {"Content-Type": content_type} if body else {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise NodeApiError(response.status, content.decode(errors="replace")[:500])
        return content
