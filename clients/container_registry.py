"""Looks up image digests in a container registry and copies images from one container registry to another, over HTTP."""

from __future__ import annotations

from typing import Any, Final, Self, cast

import httpx

from clients.container_registry_login import ContainerRegistryAuth
from common.errors import UserError

_COPY_SECONDS: Final = 300.0
_DOCKER = "docker.distribution.manifest"
_MEDIA_TYPES = ("oci.image.manifest.v1", "oci.image.index.v1", f"{_DOCKER}.v2", f"{_DOCKER}.list.v2")
_ACCEPT = ", ".join(f"application/vnd.{media_type}+json" for media_type in _MEDIA_TYPES)


def digest_of(registry: str, repository: str, reference: str) -> str | None:
    """Returns the digest of an image, or None if the container registry does not have the image or the request fails.

    Args:
        registry: address of the container registry, as in image names.
        repository: repository of the image.
        reference: tag or digest of the image.
    """
    host, _, path = registry.partition("/")
    scheme = "http" if host.split(":")[0] in {"localhost", "127.0.0.1"} else "https"
    name = f"{path}/{repository}" if path else repository
    url = f"{scheme}://{host}/v2/{name}/manifests/{reference}"
    try:
        response = httpx.head(
            url,
            headers={"Accept": _ACCEPT},
            timeout=10.0,
            trust_env=scheme == "https",
            auth=ContainerRegistryAuth(registry, name),
        )
    except httpx.HTTPError:
        return None
    return response.headers.get("Docker-Content-Digest") if response.is_success else None


def copy_image(source: str, target: str, repository: str, digest: str) -> None:
    """Copies an image from one container registry to another, byte for byte, so that the copy has the same digest.

    Args:
        source: address of the container registry that has the image.
        target: address of the container registry that receives the copy.
        repository: repository of the image, the same in both container registries.
        digest: digest of the image.

    Raises:
        UserError: a container registry does not answer, the source does not have the image, or the target refuses it.
    """
    with Repository(source, repository) as from_repository, Repository(target, repository) as to_repository:
        try:
            manifest = from_repository.get(f"manifests/{digest}")
            content = cast("dict[str, Any]", manifest.json())
            for blob in (content["config"], *content["layers"]):
                to_repository.copy_blob_from(from_repository, str(blob["digest"]), int(blob["size"]))
            to_repository.put_manifest(digest, manifest.content, manifest.headers["Content-Type"])
        except (httpx.HTTPError, httpx.StreamError, KeyError, ValueError) as error:
            raise UserError(
                "An image could not be copied from one container registry to another.",
                where=f"{from_repository.name}@{digest} to {to_repository.name}",
                found=error,
                fix=f"check that both container registries answer and accept your login, or copy the image yourself: "
                f"skopeo copy --preserve-digests docker://{from_repository.name}@{digest} docker://{to_repository.name}",
            ) from None


class Repository:
    """One repository of a container registry, over its HTTP interface (OCI distribution specification 1.1)."""

    def __init__(self, registry: str, repository: str) -> None:
        host, _, path = registry.partition("/")
        local = host.split(":")[0] in {"localhost", "127.0.0.1"}
        self.name = f"{registry}/{repository}"
        self._url = f"{'http' if local else 'https'}://{host}/v2/{f'{path}/' if path else ''}{repository}"
        auth = ContainerRegistryAuth(registry, f"{path}/{repository}" if path else repository)
        self._http = httpx.Client(timeout=_COPY_SECONDS, trust_env=not local, follow_redirects=True, auth=auth)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def get(self, path: str) -> httpx.Response:
        """Downloads a manifest or a blob. `path` is relative to the repository, for example `manifests/sha256:...`.

        Raises:
            httpx.HTTPError: the request fails or the container registry refuses it.
        """
        return self._http.get(f"{self._url}/{path}", headers={"Accept": _ACCEPT}).raise_for_status()

    def copy_blob_from(self, other: Repository, digest: str, size: int) -> None:
        """Copies a blob of `size` bytes from another repository, unless this repository has it already.

        Raises:
            httpx.HTTPError: a request fails or a container registry refuses it.
        """
        if self._http.head(f"{self._url}/blobs/{digest}").is_success:
            return
        upload = self._http.post(f"{self._url}/blobs/uploads/").raise_for_status()
        location = httpx.URL(upload.url).join(upload.headers["Location"]).copy_merge_params({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with other._http.stream("GET", f"{other._url}/blobs/{digest}") as blob:
            blob.raise_for_status()
            # The container registry computes the digest of the content and refuses content with a different digest.
            self._http.put(location, content=blob.iter_raw(), headers=headers).raise_for_status()

    def put_manifest(self, digest: str, content: bytes, media_type: str) -> None:
        """Uploads a manifest under its digest.

        Raises:
            httpx.HTTPError: the request fails or the container registry refuses it.
        """
        headers = {"Content-Type": media_type}
        self._http.put(f"{self._url}/manifests/{digest}", content=content, headers=headers).raise_for_status()
