"""What a registry says about an image: its digest, or that it has none."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from typing import Final

TIMEOUT_SECONDS: Final = 10
_ACCEPT: Final = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.manifest.v1",
        "oci.image.index.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)
_REFERENCE: Final = re.compile(r"(?P<server>[^/]+)/(?P<name>[^@]+?)(?::(?P<tag>[^@/:]+))?(?:@(?P<digest>.+))?")


class UnreachableError(Exception):
    """The registry does not answer, or not this question."""


def digest(reference: str, account: tuple[str, str] | None = None) -> str | None:
    """The digest (`sha256:...`) of `server/name:tag` or `server/name@digest`; None: the registry has no such image.

    Plain HTTP is spoken with this machine only.

    Args:
        reference: the image.
        account: username and password, for a registry that asks for them.

    Raises:
        UnreachableError: the registry does not answer, or refuses the login.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise UnreachableError(f"{reference} does not name a registry")
    server = found["server"]
    scheme = "http" if server.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{server}/v2/{found['name']}/manifests/{found['digest'] or found['tag'] or 'latest'}"
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": _ACCEPT})  # noqa: S310 - http or https
    if account:
        encoded = base64.b64encode(":".join(account).encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - http or https
            return str(response.headers.get("Docker-Content-Digest") or found["digest"] or "") or None
    except urllib.error.HTTPError as error:
        if error.code == 404:  # noqa: PLR2004 - not found
            return None
        raise UnreachableError(f"{server}: {error}") from error
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{server}: {error}") from error
