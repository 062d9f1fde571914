"""Repairs the state after a run that was interrupted or killed: removes stale locks and resolves pending operations.

Before the engine creates a resource, it records a pending operation in the state. Afterwards it removes the record. If the
engine is killed in between, it cannot know whether the resource exists. For a Kubernetes object, the cluster knows: an object
that exists is imported into the state, so that it is neither created twice nor forgotten. All other resources of this project
can be created again without harm.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import psutil

from common.errors import UserError
from common.naming import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common.progress import Progress

State = dict[str, Any]  # JSON of the engine
_LOCK_WAIT_SECONDS = 180.0


class ObjectLookup(Protocol):
    """The part of the cluster's API that recovery uses."""

    def exists(self, api_version: str, kind: str, namespace: str, name: str) -> bool: ...


@dataclass(frozen=True)
class ResolvedState:
    """A state without pending operations.

    Args:
        state: the deployment.
        imported: URNs of the objects that exist in the cluster and were added to the state.
        cleared: URNs of the other pending operations, which were only removed.
    """

    state: State
    imported: list[str]
    cleared: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.imported or self.cleared)


def lock_folder(backend: Path, stack: str) -> Path:
    """Returns the folder in which the engine stores a stack's locks in a file backend."""
    return backend / ".pulumi" / "locks" / "organization" / PROJECT / stack


def has_node(state: State) -> bool:
    """Returns whether the state contains an embedded node that was started."""
    resources = cast("list[State]", state.get("resources") or [])
    return any("modelstack:cluster:EmbeddedCluster$command:local:Command" in str(resource["urn"]) for resource in resources)


def release_locks(folder: Path, progress: Progress, sleep: Callable[[float], None] = time.sleep) -> int:
    """Removes the locks of engines of this host that have ended. Returns the number of removed locks.

    Waits for a local engine that still writes its state. If one of the locks is another host's, none is removed: nobody here
    knows whether that engine still runs.

    Args:
        folder: the folder of the stack's locks in the file backend.
        progress: shows the wait.
        sleep: waits for a number of seconds; tests pass their own.

    Raises:
        UserError: another `pulumi` still works on the stack after three minutes, or a lock is not one of this host.
    """
    removed = 0
    locks = [(file, _owner(file)) for file in sorted(folder.glob("*.json"))]
    for file, owner in locks:
        if owner is None or owner.host != socket.gethostname():
            raise _foreign(file, owner)
    for file, owner in locks:
        if owner is not None and _is_engine(owner.pid):
            _await_end(owner.pid, file, progress, sleep)
        file.unlink(missing_ok=True)
        file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)  # the backend writes this file beside each lock
        removed += 1
    return removed


def resolve_pending(state: State, objects: ObjectLookup | None) -> ResolvedState:
    """Resolves the operations that an engine began and did not end.

    Args:
        state: a deployment as the engine exports it.
        objects: the cluster; None if there is no API server to ask. Pending creations are then cleared.
    """
    pending = cast("list[State]", state.get("pending_operations") or [])
    resources = cast("list[State]", state.get("resources") or [])
    known = {str(resource["urn"]) for resource in resources if not resource.get("delete")}
    imported: list[State] = []
    cleared: list[str] = []
    for operation in pending:
        resource = cast("State", operation["resource"])
        urn = str(resource["urn"])
        # A resource that was being updated or deleted is still in the state, unchanged: the next update repeats the operation.
        identity = _identity(resource) if operation["type"] == "creating" and urn not in known else None
        if identity is not None and objects is not None and objects.exists(*identity):
            _, _, namespace, name = identity
            outputs = cast("State", resource.get("outputs") or resource.get("inputs"))
            imported.append({**resource, "id": f"{namespace}/{name}" if namespace else name, "outputs": outputs})
        else:
            cleared.append(urn)
    if not pending:
        return ResolvedState(state, [], [])
    rest = {key: value for key, value in state.items() if key != "pending_operations"}
    imported_urns = [str(resource["urn"]) for resource in imported]
    return ResolvedState({**rest, "resources": [*resources, *imported]}, imported_urns, cleared)


def _identity(resource: State) -> tuple[str, str, str, str] | None:
    """Returns API version, kind, namespace and name of a Kubernetes object; None for any other resource."""
    if not str(resource.get("type", "")).startswith("kubernetes:"):
        return None
    inputs = cast("State", resource.get("inputs") or {})
    metadata = cast("State", inputs.get("metadata") or {})
    if not metadata.get("name"):
        return None
    return str(inputs.get("apiVersion")), str(inputs.get("kind")), str(metadata.get("namespace") or ""), str(metadata["name"])


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """The engine that holds a lock. `since` is a time of the engine's own format."""

    pid: int
    host: str
    user: str = ""
    since: str = ""


def _owner(file: Path) -> _Owner | None:
    """Returns the engine that a lock file names; None if the file cannot be read or names no host."""
    try:
        lock = cast("State", json.loads(file.read_text(encoding="utf-8")))
        owner = _Owner(
            pid=int(lock.get("pid") or 0),
            host=str(lock.get("hostname") or ""),
            user=str(lock.get("username") or ""),
            since=str(lock.get("timestamp") or ""),
        )
    except (OSError, ValueError, TypeError, AttributeError):
        owner = None
    if owner is not None and owner.host:
        return owner
    # A power cut leaves an incomplete file. An engine of this host that wrote it before the restart has ended.
    before_restart = file.exists() and file.stat().st_mtime < psutil.boot_time()
    return _Owner(pid=0, host=socket.gethostname()) if before_restart else None


def _foreign(file: Path, owner: _Owner | None) -> UserError:
    stack = file.parent.name
    details = "a file that names no host"
    if owner is not None:
        user, since = (f"{owner.user}@" if owner.user else ""), (f", since {owner.since}" if owner.since else "")
        details = f"process {owner.pid} of {user}{owner.host}{since}"
    return UserError(
        f"An engine on another machine has locked stack {stack}. It may still be working.",
        where=str(file),
        found=details,
        fix=f"make sure that it has ended, then remove its lock: pulumi cancel --stack {stack}",
    )


def _is_engine(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except (psutil.Error, ValueError):
        return False


def _await_end(pid: int, file: Path, progress: Progress, sleep: Callable[[float], None]) -> None:
    with progress.step("wait for the engine of an earlier run to write its state") as step:
        step.note(f"process {pid}")
        waited = 0.0
        while _is_engine(pid):
            if waited >= _LOCK_WAIT_SECONDS:
                raise UserError(
                    "Another `pulumi` is working on this stack.",
                    where=str(file),
                    found=f"process {pid}",
                    fix="wait until that process ends, or end it; then run this command again",
                )
            sleep(1.0)
            waited += 1.0
