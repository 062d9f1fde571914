"""The signature under a release: what is signed, by whom it counts, and how it is made.

Signed is everything a release says of itself, the workload, and the environment it is for: an approval of one release is none
of another, and one for stage is none for prod. The algorithm is Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.settings.releases import Release
    from workloads.declaration import Approver

_PURPOSE: Final = b"modelstack release approval 1\n"
"""A signature made for something else is none for this."""


def statement(stack: str, workload: str, release: Release) -> bytes:
    """What is signed, as the one way to write it: canonical JSON after a line that says what it is for.

    What a release does not say is not in it, so that a key that comes to be leaves the signatures of releases without it good.
    """
    said = release.model_dump(mode="json", exclude={"approval"}, exclude_none=True)
    content = {"stack": stack, "workload": workload, **said}
    return _PURPOSE + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest(stack: str, workload: str, release: Release) -> str:
    """Names what is signed, for people: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(statement(stack, workload, release)).hexdigest()}"


def sign(key: Ed25519PrivateKey, stack: str, workload: str, release: Release) -> str:
    """The signature, in base64."""
    return base64.b64encode(key.sign(statement(stack, workload, release))).decode()


def objection(stack: str, workload: str, release: Release, approvers: Iterable[Approver]) -> str:
    """Why the release's approval does not count; empty where it does."""
    approval = release.approval
    if approval is None:
        return "nobody has approved it"
    listed = [approver for approver in approvers if approver.name == approval.by]
    if not listed:
        return f"{approval.by} is not among the approvers of {workload}"
    if approval.by == release.trainer:
        return f"{approval.by} has trained it: somebody else has to approve"
    good = [approver for approver in listed if _holds(approver.key, approval.signature, statement(stack, workload, release))]
    if not good:
        return f"the signature is not {approval.by}'s under this release for {stack}: one of them was changed"
    revoked = [approver for approver in good if approver.revoked is not None]
    return f"the key of {approval.by} was revoked: {revoked[0].revoked}" if revoked else ""


def _holds(key: str, signature: str, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 most stack files are checked without a signature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 see above

    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(base64.b64decode(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
