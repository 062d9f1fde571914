"""The two images every node has in its registry: `base:bookworm`, and `pause:1` that keeps a pod's namespaces.

Both are one layer, the base image of the userland, written straight into the registry. The same tar gives the same digests
on every machine and at every start.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import platform
import shutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from local.node.config import NodeConfig

_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_PATIENCE: Final = 300
"""Seconds for one answer: a busy disk takes long to take a layer."""
_EPOCH: Final = "1970-01-01T00:00:00Z"
IMAGES: Final = (("base", "bookworm", ["bash"]), ("pause", "1", ["sleep", "infinity"]))
"""Repository, tag and command."""


class RegistryError(Exception):
    """The registry refused something."""


class Registry:
    """The node's registry, over its HTTP interface."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answers(self) -> bool:
        try:
            return self._request("GET", "/v2/")[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def has(self, repository: str, kind: str, reference: str) -> bool:
        """Whether there is a manifest or a blob."""
        headers = {"Accept": _MANIFEST}
        return self._request("HEAD", f"/v2/{repository}/{kind}/{reference}", headers=headers)[0] == http.client.OK

    def put_blob(self, repository: str, digest: str, content: Path | bytes) -> None:
        if self.has(repository, "blobs", digest):
            return
        status, headers = self._request("POST", f"/v2/{repository}/blobs/uploads/")
        if status != http.client.ACCEPTED:
            raise RegistryError(f"it takes no upload to {repository}: {status}")
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
            raise RegistryError(f"it refused the layer {digest} of {repository}: {status}")

    def put_manifest(self, repository: str, tag: str, manifest: bytes) -> None:
        status, _ = self._request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": _MANIFEST})
        if status != http.client.CREATED:
            raise RegistryError(f"it refused the manifest of {repository}:{tag}: {status}")

    def _request(
        self, method: str, path: str, body: bytes | BinaryIO | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        return response.status, response.headers


def ensure(config: NodeConfig, base: Path) -> None:
    """Puts the images that are missing into the registry.

    Args:
        config: the node.
        base: tar of the base image.

    Raises:
        RegistryError: refused.
        OSError: no answer.
    """
    registry = Registry(config.registry_port)
    layer, description = _compressed(base)
    for repository, tag, command in IMAGES:
        image, manifest = documents(description, command)
        digest = _digest(manifest)
        if registry.has(repository, "manifests", tag) and registry.has(repository, "manifests", digest):
            continue
        registry.put_blob(repository, description["digest"], layer)
        registry.put_blob(repository, _digest(image), image)
        registry.put_manifest(repository, tag, manifest)


def documents(layer: dict[str, Any], command: list[str]) -> tuple[bytes, bytes]:
    """Configuration and manifest of an image of one layer, as bytes, because their digests count.

    Args:
        layer: `digest` and `size` of the compressed layer, `diff` digest of the tar in it.
        command: what it runs.
    """
    image = {
        "architecture": architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [layer["diff"]]},
        "history": [{"created": _EPOCH, "created_by": "debootstrap"}],
    }
    content = json.dumps(image, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(content), "size": len(content)},
        "layers": [{"mediaType": _LAYER, "digest": layer["digest"], "size": layer["size"]}],
    }
    return content, json.dumps(manifest, sort_keys=True).encode()


def architecture() -> str:
    """Of this machine, in the words of images."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _compressed(base: Path) -> tuple[Path, dict[str, Any]]:
    """The layer and its description, kept beside the tar once made."""
    layer, description = base.with_suffix(".tar.gz"), base.with_suffix(".json")
    if layer.exists() and description.exists():
        return layer, json.loads(description.read_text())
    path = base.with_suffix(".tar.gz.part")
    # Neither name nor time in the header: the digest is that of the content alone.
    with base.open("rb") as source, path.open("wb") as part, gzip.GzipFile("", "wb", 5, part, mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    known = {"digest": _file_digest(path), "size": path.stat().st_size, "diff": _file_digest(base)}
    path.rename(layer)
    text = description.with_suffix(".json.part")
    text.write_text(json.dumps(known))
    text.rename(description)
    return layer, known
