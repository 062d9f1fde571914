"""Puts the first images into the embedded node's container registry, with the standard library alone.

`container_registry` is the client of all commands. A node starts without the executable of that client.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
"""The only media type of manifests that this client reads and writes."""
_TIMEOUT_SECONDS: Final = 300
"""Long, because writing a layer to a busy disk takes long."""


class NodeRegistryError(Exception):
    """The container registry refused an upload."""


class NodeRegistry:
    """The client of the container registry of a node on this machine. The container registry requires no login."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answers(self) -> bool:
        """Returns whether the container registry answers."""
        try:
            return self._request("GET", "/v2/")[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def has(self, repository: str, kind: str, reference: str) -> bool:
        """Returns whether a repository has a manifest (`kind` is `manifests`) or a blob (`kind` is `blobs`).

        Raises:
            NodeRegistryError: the container registry does not say whether it has it.
        """
        status, _ = self._request("HEAD", f"/v2/{repository}/{kind}/{reference}", headers={"Accept": MANIFEST})
        if status not in {http.client.OK, http.client.NOT_FOUND}:
            what = "the container registry does not say whether it has"
            raise NodeRegistryError(f"{what} {repository}/{reference}: HTTP status {status}")
        return status == http.client.OK

    def put_blob(self, repository: str, digest: str, content: Path | bytes) -> None:
        """Uploads a blob, unless the repository has it already.

        Raises:
            NodeRegistryError: the container registry refuses the upload.
        """
        if self.has(repository, "blobs", digest):
            return
        status, headers = self._request("POST", f"/v2/{repository}/blobs/uploads/")
        if status != http.client.ACCEPTED:
            raise NodeRegistryError(f"the container registry refuses an upload to {repository}: HTTP status {status}")
        location = headers["Location"]
        path = "/" + location.split("/", 3)[3] if "://" in location else location
        path += ("&" if "?" in path else "?") + f"digest={digest}"
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        upload = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        if isinstance(content, bytes):
            status, _ = self._request("PUT", path, content, upload)
        else:
            with content.open("rb") as file:
                status, _ = self._request("PUT", path, file, upload)
        if status != http.client.CREATED:
            raise NodeRegistryError(f"the container registry refuses the layer {digest} of {repository}: HTTP status {status}")

    def put_manifest(self, repository: str, tag: str, manifest: bytes) -> None:
        """Uploads a manifest under a tag.

        Raises:
            NodeRegistryError: the container registry refuses the upload.
        """
        status, _ = self._request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
        if status != http.client.CREATED:
            raise NodeRegistryError(f"the container registry refuses the manifest of {repository}:{tag}: HTTP status {status}")

    def _request(
        self, method: str, path: str, body: bytes | BinaryIO | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        return response.status, response.headers
