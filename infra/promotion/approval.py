"""The signature of an approval: the signed content, how it is signed, and how it is verified.

The signature covers all fields of the release, the workload and the environment. So an approval is valid for one release only,
and an approval for stage is not valid for prod. The algorithm is Ed25519 (RFC 8032).
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
"""The first line of the signed content. A signature that the same key made for another purpose is not valid as an approval."""


def statement(stack: str, workload: str, release: Release) -> bytes:
    """Returns the signed content: a line that names the purpose, followed by canonical JSON.

    Absent fields are omitted, so adding an optional field does not invalidate existing signatures.
    """
    fields = release.model_dump(mode="json", exclude={"approval"}, exclude_none=True)
    content = {"stack": stack, "workload": workload, **fields}
    return _PURPOSE + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest(stack: str, workload: str, release: Release) -> str:
    """Returns the digest of the signed content, for people to compare: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(statement(stack, workload, release)).hexdigest()}"


def sign(key: Ed25519PrivateKey, stack: str, workload: str, release: Release) -> str:
    """Returns the signature in base64."""
    return base64.b64encode(key.sign(statement(stack, workload, release))).decode()


def objection(stack: str, workload: str, release: Release, approvers: Iterable[Approver]) -> str:
    """Returns the reason why the release's approval is not valid, or an empty string if it is valid."""
    approval = release.approval
    if approval is None:
        return "nobody has approved it"
    listed = [approver for approver in approvers if approver.name == approval.by]
    if not listed:
        return f"{approval.by} is not among the approvers of {workload}"
    if approval.by == release.trainer:
        return f"{approval.by} trained this version: a different person must approve it"
    message = statement(stack, workload, release)
    signers = [approver for approver in listed if _verifies(approver.key, approval.signature, message)]
    if not signers:
        return f"the signature does not match {approval.by}, this release and {stack}: one of them was changed"
    revoked = [approver for approver in signers if approver.revoked is not None]
    return f"the key of {approval.by} was revoked: {revoked[0].revoked}" if revoked else ""


def _verifies(key: str, signature: str, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 most stack files have no signature to verify
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 see above

    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(base64.b64decode(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
