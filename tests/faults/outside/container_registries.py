"""A container registry in this process, with as much of the OCI distribution specification 1.1 as copies of images need."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field

from tests.faults.injector import Request, Response, plain_refusal

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS", 500: "UNKNOWN"}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Repository:
    manifests: dict[str, bytes] = field(default_factory=dict)
    """By digest."""
    tags: dict[str, str] = field(default_factory=dict)
    """Digests by tag."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    def add_image(self, name: str, tag: str = "") -> str:
        """Adds an image with one layer, whose content is its name. Returns its digest."""
        layer, config = name.encode() * 50, json.dumps({"architecture": "amd64", "os": "linux", "comment": name}).encode()
        for blob in (layer, config):
            self.blobs[digest_of(blob)] = blob
        parts = {"config": (config, _CONFIG), "layer": (layer, _LAYER)}
        described = {
            part: {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}
            for part, (blob, media_type) in parts.items()
        }
        content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described["config"], "layers": [described["layer"]]}
        return self.put_manifest(tag, json.dumps(content).encode())

    def put_manifest(self, reference: str, manifest: bytes) -> str:
        digest = digest_of(manifest)
        self.manifests[digest] = manifest
        if reference and not reference.startswith("sha256:"):
            self.tags[reference] = digest
        return digest


def image_digest(name: str) -> str:
    """Returns the digest of the image that `add_image` makes."""
    return Repository().add_image(name)


class FakeContainerRegistry:
    """A container registry whose repositories are in `repositories`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}

    def repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    @staticmethod
    def refusal(status: int) -> Response:
        """What a container registry answers with this status. A 404 comes from a gateway: the image is not what is missing."""
        if status not in _CODES:
            return plain_refusal(status)
        challenge = {"WWW-Authenticate": 'Basic realm="registry"'} if status == 401 else {}
        later = {"Retry-After": "1"} if status == 429 else {}
        errors = {"errors": [{"code": _CODES[status], "message": f"injected {status}"}]}
        return Response(errors, status, {"Content-Type": "application/json", **_VERSION, **challenge, **later})

    def __call__(self, request: Request) -> Response:  # noqa: PLR0911 one for each kind of path
        parts = request.path.removeprefix("/v2/").split("/")
        if request.path == "/v2/":
            return Response({}, 200, _VERSION)
        if len(parts) < 3:
            return _missing("NAME_UNKNOWN")
        if "uploads" in parts:
            at = parts.index("blobs")
            return self._upload(request, "/".join(parts[:at]), parts[at + 2] if len(parts) > at + 2 else "")
        *name, kind, reference = parts
        repository = self.repositories.get("/".join(name))
        if request.method == "PUT" and kind == "manifests":
            digest = self.repository("/".join(name)).put_manifest(reference, request.body)
            return Response(b"", 201, {**_VERSION, "Docker-Content-Digest": digest})
        if repository is None:
            return _missing("NAME_UNKNOWN")
        if kind == "blobs":
            blob = repository.blobs.get(reference)
            return _missing("BLOB_UNKNOWN") if blob is None else _content(reference, blob, "application/octet-stream")
        digest = repository.tags.get(reference, reference)
        manifest = repository.manifests.get(digest)
        return _missing("MANIFEST_UNKNOWN") if manifest is None else _content(digest, manifest, MANIFEST)

    def _upload(self, request: Request, name: str, upload: str) -> Response:
        repository = self.repository(name)
        if request.method == "POST":
            upload = uuid.uuid4().hex
            repository.uploads[upload] = b""
            location = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Docker-Upload-UUID": upload, "Range": "0-0"}
            return Response(b"", 202, {**_VERSION, **location})
        if upload not in repository.uploads:
            return _missing("BLOB_UPLOAD_UNKNOWN")
        repository.uploads[upload] += request.body
        if request.method == "PATCH":
            end = max(len(repository.uploads[upload]) - 1, 0)
            return Response(b"", 202, {**_VERSION, "Location": request.path, "Range": f"0-{end}"})
        blob = repository.uploads.pop(upload)
        if digest_of(blob) != request.query["digest"]:
            return Response(
                {"errors": [{"code": "DIGEST_INVALID", "message": "the content has another digest"}]}, 400, _VERSION
            )
        repository.blobs[digest_of(blob)] = blob
        return Response(b"", 201, {**_VERSION, "Docker-Content-Digest": digest_of(blob), "Location": request.path})


def _content(digest: str, content: bytes, media_type: str) -> Response:
    length = {"Content-Length": str(len(content))}
    return Response(content, 200, {**_VERSION, **length, "Content-Type": media_type, "Docker-Content-Digest": digest})


def _missing(code: str) -> Response:
    errors = {"errors": [{"code": code, "message": "not found"}]}
    return Response(errors, 404, {**_VERSION, "Content-Type": "application/json"})
