"""What a container registry holds, asked over its HTTP interface, and images brought from one to another."""

from __future__ import annotations

from typing import Any, Final, Self, cast

import httpx

from clients.container_registry_login import Login
from common.errors import UserError

_COPY_SECONDS: Final = 300.0
_DOCKER = "docker.distribution.manifest"
_KINDS = ("oci.image.manifest.v1", "oci.image.index.v1", f"{_DOCKER}.v2", f"{_DOCKER}.list.v2")
_ACCEPT = ", ".join(f"application/vnd.{kind}+json" for kind in _KINDS)


def digest_of(registry: str, repository: str, reference: str) -> str | None:
    """The digest of an image; None where the registry has none, or does not tell us.

    Args:
        registry: its address, as in image names.
        repository: of the image.
        reference: tag or digest.
    """
    host, _, path = registry.partition("/")
    scheme = "http" if host.split(":")[0] in {"localhost", "127.0.0.1"} else "https"
    name = f"{path}/{repository}" if path else repository
    url = f"{scheme}://{host}/v2/{name}/manifests/{reference}"
    try:
        response = httpx.head(
            url, headers={"Accept": _ACCEPT}, timeout=10.0, trust_env=scheme == "https", auth=Login(registry, name)
        )
    except httpx.HTTPError:
        return None
    return response.headers.get("Docker-Content-Digest") if response.is_success else None


def copy_image(source: str, target: str, repository: str, digest: str) -> None:
    """Brings an image from one registry into another, byte for byte, so that it keeps its digest.

    Args:
        source: address of the registry that has it.
        target: address of the registry that gets it.
        repository: of the image, the same in both.
        digest: of the image.

    Raises:
        UserError: a registry does not answer, does not have it, or does not take it.
    """
    with Repository(source, repository) as there, Repository(target, repository) as here:
        try:
            manifest = there.get(f"manifests/{digest}")
            content = cast("dict[str, Any]", manifest.json())
            for blob in (content["config"], *content["layers"]):
                here.copy_blob_from(there, str(blob["digest"]), int(blob["size"]))
            here.put_manifest(digest, manifest.content, manifest.headers["Content-Type"])
        except (httpx.HTTPError, httpx.StreamError, KeyError, ValueError) as error:
            raise UserError(
                "An image could not be brought from one registry to another.",
                where=f"{there.name}@{digest} to {here.name}",
                found=error,
                fix=f"see that both answer and let you in, or bring it yourself: skopeo copy --preserve-digests "
                f"docker://{there.name}@{digest} docker://{here.name}",
            ) from None


class Repository:
    """One repository of a registry, over its HTTP interface (OCI distribution specification 1.1)."""

    def __init__(self, registry: str, repository: str) -> None:
        host, _, path = registry.partition("/")
        local = host.split(":")[0] in {"localhost", "127.0.0.1"}
        self.name = f"{registry}/{repository}"
        self._url = f"{'http' if local else 'https'}://{host}/v2/{f'{path}/' if path else ''}{repository}"
        login = Login(registry, f"{path}/{repository}" if path else repository)
        self._http = httpx.Client(timeout=_COPY_SECONDS, trust_env=not local, follow_redirects=True, auth=login)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def get(self, what: str) -> httpx.Response:
        """Part of the repository, whole."""
        return self._http.get(f"{self._url}/{what}", headers={"Accept": _ACCEPT}).raise_for_status()

    def copy_blob_from(self, other: Repository, digest: str, size: int) -> None:
        """A blob of another repository, unless it is here."""
        if self._http.head(f"{self._url}/blobs/{digest}").is_success:
            return
        begun = self._http.post(f"{self._url}/blobs/uploads/").raise_for_status()
        location = httpx.URL(begun.url).join(begun.headers["Location"]).copy_merge_params({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with other._http.stream("GET", f"{other._url}/blobs/{digest}") as blob:
            blob.raise_for_status()
            # The registry makes the digest anew and refuses what has another.
            self._http.put(location, content=blob.iter_raw(), headers=headers).raise_for_status()

    def put_manifest(self, digest: str, content: bytes, kind: str) -> None:
        """The manifest, under its digest."""
        self._http.put(f"{self._url}/manifests/{digest}", content=content, headers={"Content-Type": kind}).raise_for_status()
