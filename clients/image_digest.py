"""Looks up the digest of an image in a container registry, with the standard library alone."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from typing import Final

TIMEOUT_SECONDS: Final = 10
_ACCEPT: Final = ", ".join(
    f"application/vnd.{media_type}+json"
    for media_type in (
        "oci.image.manifest.v1",
        "oci.image.index.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)
_REFERENCE: Final = re.compile(r"(?P<server>[^/]+)/(?P<name>[^@]+?)(?::(?P<tag>[^@/:]+))?(?:@(?P<digest>.+))?")


class UnreachableError(Exception):
    """The container registry does not answer, or does not say whether it has the image."""


def digest(reference: str, account: tuple[str, str] | None = None) -> str | None:
    """Returns the digest (`sha256:...`) of an image, or None if the container registry does not have the image.

    Uses HTTPS, except for container registries on this machine, which use plain HTTP.

    Args:
        reference: the image: `server/name:tag` or `server/name@digest`.
        account: username and password, for a container registry that requires a login.

    Raises:
        UnreachableError: the container registry does not answer, or refuses the login.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise UnreachableError(f"{reference} does not name a container registry")
    server = parts["server"]
    scheme = "http" if server.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{server}/v2/{parts['name']}/manifests/{parts['digest'] or parts['tag'] or 'latest'}"
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": _ACCEPT})  # noqa: S310 - http or https
    if account:
        encoded = base64.b64encode(":".join(account).encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - http or https
            return str(response.headers.get("Docker-Content-Digest") or parts["digest"] or "") or None
    except urllib.error.HTTPError as error:
        if error.code == 404:  # noqa: PLR2004 - not found
            return None
        raise UnreachableError(f"{server}: {error}") from error
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{server}: {error}") from error
