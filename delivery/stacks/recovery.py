"""Going on after a run that was interrupted or killed: what it left locked or half recorded is set right.

The engine notes in its state that it is about to create something, and forgets the note once it is done. Killed in between, it
cannot know whether the thing exists. For Kubernetes objects the cluster knows: those that exist are taken into the state, so
that they are neither created twice nor forgotten. Everything else that we declare can be created again without harm.
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
_PATIENCE_SECONDS = 180.0


class Objects(Protocol):
    """The cluster, as far as recovery looks at it."""

    def exists(self, api_version: str, kind: str, namespace: str, name: str) -> bool: ...


@dataclass(frozen=True)
class Mended:
    """A state set right. `imported` and `cleared` are URNs."""

    state: State
    imported: list[str]
    cleared: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.imported or self.cleared)


def lock_folder(backend: Path, stack: str) -> Path:
    """Where the engine keeps a stack's locks in a file backend."""
    return backend / ".pulumi" / "locks" / "organization" / PROJECT / stack


def has_node(state: State) -> bool:
    """Whether the stack has started an embedded node."""
    resources = cast("list[State]", state.get("resources") or [])
    return any("modelstack:cluster:EmbeddedCluster$command:local:Command" in str(resource["urn"]) for resource in resources)


def release_locks(folder: Path, progress: Progress, sleep: Callable[[float], None] = time.sleep) -> int:
    """Removes the locks of engines that are gone, after waiting for one that is still writing its state.

    Args:
        folder: of the stack's locks in the file backend.
        progress: told when there is something to wait for.
        sleep: waits some seconds.

    Raises:
        UserError: somebody else's `pulumi` is working on the stack.
    """
    removed = 0
    for file in sorted(folder.glob("*.json")):
        pid, host = _owner(file)
        if host == socket.gethostname() and _is_engine(pid):
            _await_end(pid, file, progress, sleep)
        file.unlink(missing_ok=True)
        file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)  # what the backend writes beside each file
        removed += 1
    return removed


def mend(state: State, objects: Objects | None) -> Mended:
    """Resolves the operations that an engine began and did not end.

    Args:
        state: a deployment as the engine exports it.
        objects: the cluster; None where it cannot be asked, and then nothing in it can have been created.
    """
    pending = cast("list[State]", state.get("pending_operations") or [])
    resources = cast("list[State]", state.get("resources") or [])
    known = {str(resource["urn"]) for resource in resources if not resource.get("delete")}
    imported: list[State] = []
    cleared: list[str] = []
    for operation in pending:
        resource = cast("State", operation["resource"])
        urn = str(resource["urn"])
        # What was being updated or deleted is in the state as it was before: the next update does it again.
        found = _identity(resource) if operation["type"] == "creating" and urn not in known else None
        if found is not None and objects is not None and objects.exists(*found):
            _, _, namespace, name = found
            outputs = cast("State", resource.get("outputs") or resource.get("inputs"))
            imported.append({**resource, "id": f"{namespace}/{name}" if namespace else name, "outputs": outputs})
        else:
            cleared.append(urn)
    if not pending:
        return Mended(state, [], [])
    mended = {key: value for key, value in state.items() if key != "pending_operations"}
    return Mended({**mended, "resources": [*resources, *imported]}, [str(found["urn"]) for found in imported], cleared)


def _identity(resource: State) -> tuple[str, str, str, str] | None:
    """API version, kind, namespace and name of a Kubernetes object; None for anything else."""
    if not str(resource.get("type", "")).startswith("kubernetes:"):
        return None
    inputs = cast("State", resource.get("inputs") or {})
    metadata = cast("State", inputs.get("metadata") or {})
    if not metadata.get("name"):
        return None
    return str(inputs.get("apiVersion")), str(inputs.get("kind")), str(metadata.get("namespace") or ""), str(metadata["name"])


def _owner(file: Path) -> tuple[int, str]:
    try:
        found = cast("State", json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0, ""
    return int(found.get("pid") or 0), str(found.get("hostname") or "")


def _is_engine(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except (psutil.Error, ValueError):
        return False


def _await_end(pid: int, file: Path, progress: Progress, sleep: Callable[[float], None]) -> None:
    with progress.step("an engine of an earlier run is still writing its state") as step:
        step.note(f"process {pid}")
        waited = 0.0
        while _is_engine(pid):
            if waited >= _PATIENCE_SECONDS:
                raise UserError(
                    "Another `pulumi` is working on this stack.", where=str(file), found=f"process {pid}", fix="end it"
                )
            sleep(1.0)
            waited += 1.0
