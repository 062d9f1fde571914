"""Looks up image digests in container registries, and copies images from one container registry to another.

The executable `container-registry` sends the requests: see `local/toolchain/registry`. It uses the credentials that `docker
login`, `podman login`, `buildah login` or a credential helper have stored on this machine.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final, NamedTuple, cast

from common import bounded_process, paths
from common.answers import Absent, Answer, Found, Unknown
from common.errors import UserError

EXECUTABLE: Final = "container-registry"
"""The name of the executable in `paths.BIN`. `modelstack tools` builds it."""
_LOOKUP_SECONDS: Final = 60
"""Longer than the executable's own limit, which does not cover credential helpers."""


class Account(NamedTuple):
    """An account that is used instead of the credentials stored on this machine."""

    username: str
    password: str


def digest_of(registry: str, repository: str, reference: str) -> Answer[str]:
    """Returns the digest of an image.

    Args:
        registry: address of the container registry, as in image names.
        repository: repository of the image.
        reference: tag or digest of the image.
    """
    separator = "@" if reference.startswith("sha256:") else ":"
    return digest(f"{registry}/{repository}{separator}{reference}")


def digest(image: str, account: Account | None = None) -> Answer[str]:
    """Returns the digest (`sha256:...`) of an image, or of an index of images.

    The image is absent only if the container registry itself says so. HTTPS is used, except for container registries on this
    machine that speak plain HTTP.

    Args:
        image: `server/name:tag` or `server/name@digest`.
        account: the account for a container registry that requires one.
    """
    login = [] if account is None else ["--account"]
    text = None if account is None else json.dumps(account._asdict())
    return _run([*login, "digest", image], image, text, _LOOKUP_SECONDS)


def copy_image(source: str, target: str, repository: str, digest: str) -> None:
    """Copies an image, or an index with all its images, byte for byte, so that the copy has the same digest.

    Args:
        source: address of the container registry that has the image.
        target: address of the container registry that receives the copy.
        repository: repository of the image, the same in both container registries.
        digest: digest of the image.

    Raises:
        UserError: a container registry does not answer, the source does not have the image, or the target refuses it.
    """
    images = [f"{registry}/{repository}@{digest}" for registry in (source, target)]
    answer = _run(["copy", *images], images[1])
    if not isinstance(answer, Found):
        unknown = answer if isinstance(answer, Unknown) else Unknown(where=images[0], reason="no such image")
        raise UserError(
            "An image could not be copied from one container registry to another.",
            where=f"{images[0]} to {images[1]}",
            found=f"{unknown.where}: {unknown.reason}",
            fix=unknown.fix or "check that both container registries answer, and log in to them with `docker login`",
        )


def _run(arguments: list[str], where: str, text: str | None = None, seconds: float | None = None) -> Answer[str]:
    # The executable ends when this process ends, even by `kill -9`.
    command = ["setpriv", "--pdeathsig", "TERM", str(paths.BIN / EXECUTABLE), *arguments]
    if not (paths.BIN / EXECUTABLE).exists():
        reason = "this checkout has no client of container registries yet"
        return Unknown(where=where, reason=reason, fix="run `modelstack tools`")
    try:
        done = bounded_process.run(command, seconds, text=text)
        payload = cast("dict[str, Any]", json.loads(done.stdout))  # JSON of the executable
    except subprocess.TimeoutExpired:
        return Unknown(where=where, reason=f"no answer within {seconds:g} s")
    except (OSError, ValueError) as error:
        return Unknown(where=where, reason=f"{EXECUTABLE} failed: {error}")
    match payload:
        case {"answer": "found", "digest": str(found)}:
            return Found(found)
        case {"answer": "absent"}:
            return Absent()
        case _:
            fix = next((fix for applies, fix in _FIXES if applies(str(payload.get("reason")))), "")
            return Unknown(where=str(payload.get("where") or where), reason=str(payload.get("reason")), fix=fix)


def _refused(reason: str) -> bool:
    return reason.startswith(("401", "403"))


def _untrusted(reason: str) -> bool:
    return "failed to verify certificate" in reason


_FIXES: Final = (
    (_refused, "log in to the container registry with `docker login`"),
    (
        _untrusted,
        "let this machine trust the certificate authority, and check whether a proxy answers for the container registry",
    ),
)
"""What to do about a reason."""
