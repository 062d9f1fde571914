"""The few requests to the API server that starting a node needs, without a Kubernetes client."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_MANAGER: Final = "modelstack-node"


class NodeApiError(Exception):
    """The server answered, with a refusal."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class NodeApi:
    """The API server on this machine, as its administrator.

    Args:
        port: where it listens on the loopback address.
        keys: folder with `ca.crt`, `admin.crt` and `admin.key`.
        timeout: seconds that one answer may take.
    """

    def __init__(self, port: int, keys: Path, *, timeout: float = 10) -> None:
        self.port = port
        self.timeout = timeout
        self.context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        self.context.load_cert_chain(keys / "admin.crt", keys / "admin.key")

    def get(self, path: str) -> dict[str, Any]:  # JSON of any kind
        """An object.

        Raises:
            NodeApiError: refused.
            OSError: no answer.
        """
        return json.loads(self._request("GET", path))

    def healthy(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self._request("GET", "/readyz") == b"ok"
        except (OSError, http.client.HTTPException, NodeApiError):
            return False

    def apply(self, path: str, manifest: dict[str, Any]) -> None:  # a Kubernetes object of any kind
        """Server-side apply.

        Raises:
            NodeApiError: refused.
            OSError: no answer.
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
