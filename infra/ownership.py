"""The owner of an environment: the one stack that may change it.

The owner is a random id. It is a resource of the stack, so it is in the stack's state, and a ConfigMap in the cluster has a
copy. Whoever uses the same backend has the same state: colleagues and CI are the same owner, from whichever checkout. A stack
of the same name in another backend has another state. Without this check, the first update of that stack would give the
environment new passwords.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never

from common.answers import Absent, Found, Unknown
from common.errors import UserError
from common.naming import OWNER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.live_cluster import LiveCluster

_PASSWORD: Final = "random:index/randomPassword:RandomPassword::postgres-password"  # noqa: S105 a part of a URN


@dataclass(frozen=True, kw_only=True)
class StackOwnership:
    """What a stack's own state says."""

    id: str = ""
    """The id that the state has as the environment's owner. Empty if the state has none."""
    password: bool = False
    """Whether the state has the database's password: an update of this stack has created the environment, or began to."""

    @classmethod
    def from_resources(cls, resources: Mapping[str, Mapping[str, Any]]) -> StackOwnership:  # Any: outputs of any resource
        """Returns what the resources of a state say. Expects the outputs of each resource by its URN."""
        ids = [str(outputs.get("result") or "") for urn, outputs in resources.items() if urn.endswith(f"::{OWNER_ID}")]
        return cls(id=ids[0] if ids else "", password=any(urn.endswith(_PASSWORD) for urn in resources))


class Ownership(Enum):
    """Why a stack may change an environment."""

    NEW = "new"
    """The environment does not exist yet."""
    OWNED = "owned"
    """State and cluster have the same id."""
    ADOPTED = "adopted"
    """The stack has created the environment with a release that wrote no owner. This update writes one."""
    LOST = "lost"
    """The state has an id, and the cluster has lost its copy."""


class NotOwnerError(UserError):
    """The environment belongs to another stack. `modelstack up --adopt` takes it over."""


def decide(stack: str, backend: str, live: LiveCluster, own: StackOwnership) -> Ownership:
    """Returns why the stack may change the environment.

    Args:
        stack: the name of the stack.
        backend: the backend that has the stack's state, for error messages.
        live: what the cluster says about the environment.
        own: what the stack's state says.

    Raises:
        NotOwnerError: the environment belongs to another stack.
        UserError: the cluster cannot be asked.
    """
    match live.owner:
        case Found(value=owner):
            if owner == own.id:
                return Ownership.OWNED
            raise _refusal(stack, backend, live.owned_by or f"the owner with the id {owner}", own)
        case Unknown() as unknown:
            raise unknown.error(f"It is not known who owns the environment of stack {stack}: its cluster cannot be asked.")
        case Absent():
            return _without_owner(stack, backend, live, own)
        case _:
            assert_never(live.owner)


def _without_owner(stack: str, backend: str, live: LiveCluster, own: StackOwnership) -> Ownership:
    """Returns why the stack may change an environment in whose cluster no owner is written."""
    if isinstance(live.database, Unknown):
        raise live.database.error(f"It is not known whether the environment of stack {stack} exists.")
    exists = isinstance(live.database, Found)
    if own.id:
        return Ownership.LOST if exists else Ownership.NEW
    if not exists:
        return Ownership.NEW
    if own.password:
        return Ownership.ADOPTED
    raise _refusal(
        stack, backend, "a stack whose state is elsewhere; it was last updated by a release that wrote no owner", own
    )


def _refusal(stack: str, backend: str, owner: str, own: StackOwnership) -> NotOwnerError:
    state = f"the state of stack {stack} has the id {own.id}" if own.id else f"the state of stack {stack} has no id of an owner"
    return NotOwnerError(
        f"The environment of stack {stack} belongs to another owner. Nothing is changed.",
        where=f"backend {backend}",
        found=f"the owner is {owner}; {state}",
        fix=(
            "use the owner's backend (PULUMI_BACKEND_URL); or, if this backend is to own the environment from now on, "
            f"run `modelstack up --adopt --stack {stack}`, which keeps its passwords"
        ),
    )


def note(ownership: Ownership, stack: str) -> str:
    """Returns what a user should know about the ownership; empty if there is nothing to say."""
    match ownership:
        case Ownership.NEW | Ownership.OWNED:
            return ""
        case Ownership.ADOPTED:
            return f"Stack {stack} is from now on the owner of its environment, which a release without owners has created."
        case Ownership.LOST:
            return (
                f"The cluster has lost the owner of the environment: its ConfigMap is missing. `modelstack up --stack {stack}` "
                f"and `pulumi up --refresh --stack {stack}` write it again."
            )
        case _:
            assert_never(ownership)


def backend_url() -> str:
    """Returns the URL of the backend that the engine of this process uses, without credentials.

    For a folder, the name of this machine is added. Returns `unknown` if neither `PULUMI_BACKEND_URL` is set nor `pulumi login`
    was run.
    """
    return described(os.environ.get("PULUMI_BACKEND_URL") or _logged_in(), socket.gethostname())


def described(url: str, host: str) -> str:
    """Returns a backend's URL as people may see it: without user, password and query, and with `host` if it is a folder."""
    if not url:
        return "unknown"
    scheme, separator, rest = url.partition("://")
    if scheme == "file":
        return f"{url} on {host}"
    authority, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def _logged_in() -> str:
    home = os.environ.get("PULUMI_HOME")
    file = (Path(home) if home else Path.home() / ".pulumi") / "credentials.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8")).get("current") or "")
    except (OSError, ValueError):
        return ""
