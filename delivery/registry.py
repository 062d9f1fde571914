"""What a container registry holds, asked over its HTTP interface."""

from __future__ import annotations

import httpx

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
        response = httpx.head(url, headers={"Accept": _ACCEPT}, timeout=10.0, trust_env=scheme == "https")
    except httpx.HTTPError:
        return None
    return response.headers.get("Docker-Content-Digest") if response.is_success else None
