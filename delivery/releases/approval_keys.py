"""Keys of approvers.

The private key is in a file of the approver. The public key is in the list of approvers of a workload, reviewed like code.
"""

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
from infra.promotion import approval, approvers
from infra.settings import tour
from workloads.declaration import Approver, read_approvers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.settings.releases import Release
    from workloads.declaration import Workload

APPROVERS: Final = "approvers.json"
TOUR_NAME: Final = "colleague@example.com"
"""The approver of the tour, who stands for a colleague: whoever trained a version cannot approve it."""


def tour_file() -> Path:
    """Returns the key file of the tour's approver. `modelstack down` deletes it."""
    return paths.TOUR / "approver.json"


def default_file(stack: str = "") -> Path:
    """Returns the key file of the user: `modelstack/approver.json` in `$XDG_CONFIG_HOME`, or in `~/.config` if that is not set.

    For a stack of the tour, it is the key file of the tour's approver, unless only the user has one.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    own = Path(base) / "modelstack" / "approver.json"
    return tour_file() if stack in tour.STACKS and (tour_file().is_file() or not own.is_file()) else own


@dataclass(frozen=True)
class Key:
    """The key pair of an approver. `name` is the approver's mail address."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> str:
        """The public key, in base64."""
        return base64.b64encode(self.private.public_key().public_bytes_raw()).decode()

    def approve(self, stack: str, workload: Workload, release: Release) -> dict[str, str]:
        """Signs a release for an environment. Returns the approval in the form that the stack file holds.

        Raises:
            UserError: the approval would not be valid: the key is not listed or revoked, or the approver trained the version.
        """
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"by": self.name, "at": at, "signature": approval.sign(self.private, stack, workload.name, release)}
        signed = type(release).model_validate({**release.model_dump(by_alias=True, exclude={"approval"}), "approval": entry})
        reason = approval.objection(stack, workload.name, signed, workload.approvers)
        if reason:
            raise UserError(
                f"Your approval of {workload.name} version {release.version} would not be valid.",
                found=reason,
                fix=f"ask {workload.owner} to add your key to workloads/{workload.name}/{APPROVERS}, or ask a listed approver",
            )
        return entry


def create(name: str, file: Path) -> Key:
    """Creates a key pair and writes it to a file that only its owner can read. Returns the key pair.

    Raises:
        UserError: the file exists already.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if file.exists():
        fix = "use the existing key, or choose another file with --key"
        what = "The key file exists already. It is not overwritten, because an overwritten key is lost."
        raise UserError(what, where=str(file), fix=fix)
    key = Key(name, Ed25519PrivateKey.generate())
    Approver(name=name, key=key.public)
    secret = base64.b64encode(key.private.private_bytes_raw()).decode()
    write_private(file, json.dumps({"name": name, "secret": secret}, indent=2) + "\n")
    return key


def read(file: Path) -> Key:
    """Reads an approver's key pair from a file.

    Raises:
        UserError: the file does not exist, does not contain a key, or can be read by other users.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        content = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
        key = Key(str(content["name"]), Ed25519PrivateKey.from_private_bytes(base64.b64decode(content["secret"])))
    except FileNotFoundError:
        fix = "modelstack key --tour --workload NAME" if file == tour_file() else "modelstack key --name YOU@YOUR.HOST"
        raise UserError("You do not have an approver key.", where=str(file), fix=fix) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            "This file does not contain an approver key.", where=str(file), found=error, fix="choose another file with --key"
        ) from None
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(
            "Other users can read your key file.",
            where=str(file),
            fix=f"chmod 600 {file}; if the key has leaked, have the key revoked",
        )
    return key


def add_to_approvers(workload: str, key: Key, *, for_tour: bool = False) -> Path:
    """Adds the public key to the workload's list of approvers, unless the list contains it already. Returns the file.

    With `for_tour`, the list is the one of this machine that only the stacks of the tour accept.
    """
    folder = approvers.tour_folder(workload) if for_tour else paths.CHECKOUT / "workloads" / workload
    listed = read_approvers(folder)
    file = folder / APPROVERS
    entry = Approver(name=key.name, key=key.public)
    if any((approver.name, approver.key) == (entry.name, entry.key) for approver in listed):
        return file
    entries = [approver.model_dump(exclude_none=True) for approver in (*listed, entry)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return file
