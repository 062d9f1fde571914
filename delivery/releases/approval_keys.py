"""An approver's key: the secret half in a file of theirs, the public half in the workload's list, reviewed like code."""

from __future__ import annotations

import base64
import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from common import paths
from common.errors import UserError
from common.files import write_private
from infra.promotion import approval
from workloads.declaration import Approver, approvers_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.settings.releases import Release
    from workloads.declaration import Workload

APPROVERS: Final = "approvers.json"


def default_file() -> Path:
    """Where somebody's key is kept: `$XDG_CONFIG_HOME/modelstack/approver.json`, else below `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "modelstack" / "approver.json"


@dataclass(frozen=True)
class Key:
    """Somebody's key. `name` is their mail address."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> str:
        """The public half, in base64."""
        return base64.b64encode(self.private.public_key().public_bytes_raw()).decode()

    def approve(self, stack: str, workload: Workload, release: Release) -> dict[str, str]:
        """The approval of a release for a stack, as the stack file holds it.

        Raises:
            UserError: it would not count: not listed, revoked, or the trainer's own.
        """
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = {"by": self.name, "at": at, "signature": approval.sign(self.private, stack, workload.name, release)}
        signed = type(release).model_validate({**release.model_dump(by_alias=True, exclude={"approval"}), "approval": made})
        reason = approval.objection(stack, workload.name, signed, workload.approvers)
        if reason:
            raise UserError(
                f"Your approval of {workload.name} version {release.version} would not count.",
                found=reason,
                fix=f"let {workload.owner} add your key to workloads/{workload.name}/{APPROVERS}, or ask somebody listed there",
            )
        return made


def make(name: str, file: Path) -> Key:
    """Makes a key and writes it to a file that only its owner reads.

    Raises:
        UserError: there is a file of that name.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if file.exists():
        fix = "use that key, or name another file with --key"
        raise UserError("There is a key already; a lost key cannot approve again.", where=str(file), fix=fix)
    key = Key(name, Ed25519PrivateKey.generate())
    Approver(name=name, key=key.public)
    secret = base64.b64encode(key.private.private_bytes_raw()).decode()
    write_private(file, json.dumps({"name": name, "secret": secret}, indent=2) + "\n")
    return key


def read(file: Path) -> Key:
    """Somebody's key.

    Raises:
        UserError: there is none, it is no key, or others can read it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        content = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
        key = Key(str(content["name"]), Ed25519PrivateKey.from_private_bytes(base64.b64decode(content["secret"])))
    except FileNotFoundError:
        raise UserError(
            "You have no key to approve with.", where=str(file), fix="modelstack key --name YOU@YOUR.HOST"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            "This is no approver's key.", where=str(file), found=error, fix="name another file with --key"
        ) from None
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(
            "Others can read your key.", where=str(file), fix=f"chmod 600 {file}; if it has leaked, have it revoked"
        )
    return key


def list_for(workload: str, key: Key) -> Path:
    """Adds the public half to a workload's list, and gives the file. Does nothing where it is there already."""
    folder = paths.CHECKOUT / "workloads" / workload
    listed = approvers_of(folder)
    file = folder / APPROVERS
    entry = Approver(name=key.name, key=key.public)
    if any((known.name, known.key) == (entry.name, entry.key) for known in listed):
        return file
    entries = [known.model_dump(exclude_none=True) for known in (*listed, entry)]
    file.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return file
