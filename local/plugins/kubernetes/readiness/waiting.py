"""Waits until an object is ready or deleted, and reports the reasons if it is not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.api import ApiServerError
from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object

_FIRST: Final = 0.1
"""Seconds between the first two checks. Short, because some objects are ready at once."""
_LAST: Final = 1.0
_GROWTH: Final = 1.3


class NotReady(Exception):  # noqa: N818, the name states what happened
    """The object exists and is not ready."""

    def __init__(self, summary: str, reasons: list[str]) -> None:
        super().__init__(summary)
        self.reasons = [summary, *reasons]


@dataclass(frozen=True)
class Readiness:
    """The readiness of an object at one moment."""

    ready: bool
    status: str = ""
    """A short text for the user who waits."""
    reasons: list[str] = field(default_factory=list[str])
    """Why the object is not ready, as far as the object itself shows it."""
    failed: bool = False
    """Whether the object can no longer become ready."""


@dataclass(frozen=True)
class ReadinessCheck:
    """Decides whether objects of a kind are ready."""

    evaluate: Callable[[Cluster, Object], Readiness]
    explain: Callable[[Cluster, Object], list[str]] = lambda _cluster, _obj: []
    """Returns further reasons from pods, logs and events. Called once, if the object has not become ready."""
    seconds: int = 600
    """The default timeout."""
    only_after_creation: bool = False
    """Whether to check only after creation, because the object cannot become unready later."""
    on_refresh: bool = True
    """Whether a refresh also checks the object."""


@dataclass(frozen=True)
class WaitOptions:
    """How to wait for an object."""

    seconds: float
    """The timeout."""
    cancelled: threading.Event
    """Ends the waiting when it is set."""
    show_status: Callable[[str], None]
    """Shows a short text to the user. An empty text removes it."""


def wait_until_ready(cluster: Cluster, obj: Object, check: ReadinessCheck, options: WaitOptions) -> Object:
    """Waits until the object is ready, and returns it.

    Raises:
        NotReady: the object has failed or was deleted, the timeout has passed, or the operation was cancelled.
    """
    deadline = time.monotonic() + options.seconds
    pause, shown = _FIRST, ""
    while True:
        live = cluster.find(obj)
        if live is None:
            raise NotReady("it was deleted in the meantime", [])
        readiness = check.evaluate(cluster, live)
        if readiness.ready:
            options.show_status("")
            return live
        if readiness.failed:
            raise NotReady("it has failed", _all_reasons(cluster, live, check, readiness))
        if readiness.status != shown:
            shown = readiness.status
            options.show_status(shown)
        if time.monotonic() + pause > deadline:
            raise NotReady(f"timed out after {options.seconds:.0f} s", _all_reasons(cluster, live, check, readiness))
        if options.cancelled.wait(pause):
            raise NotReady("the operation was cancelled", _all_reasons(cluster, live, check, readiness))
        pause = min(pause * _GROWTH, _LAST)


def _all_reasons(cluster: Cluster, live: Object, check: ReadinessCheck, readiness: Readiness) -> list[str]:
    try:
        return [*readiness.reasons, *check.explain(cluster, live)]
    except Failed as error:
        return [*readiness.reasons, f"(further reasons cannot be read: {error})"]


def current_reasons(cluster: Cluster, live: Object, check: ReadinessCheck) -> list[str]:
    """Returns why the object is not ready at this moment. The list is empty if the object is ready."""
    readiness = check.evaluate(cluster, live)
    return [] if readiness.ready else _all_reasons(cluster, live, check, readiness)


def wait_until_deleted(cluster: Cluster, obj: Object, options: WaitOptions) -> None:
    """Returns when the object no longer exists, or another object has its name.

    Raises:
        Failed: the timeout has passed or the operation was cancelled.
    """
    deadline, uid = time.monotonic() + options.seconds, objects.text(obj, "metadata", "uid")
    pause, shown = _FIRST, ""
    while True:
        try:
            live = cluster.get(obj)
        except ApiServerError as error:
            if error.not_found:
                options.show_status("")
                return
            raise
        if uid and objects.text(live, "metadata", "uid") != uid:
            return
        status = f"Waiting for deletion ({_deletion_blockers(live)})"
        if status != shown:
            shown = status
            options.show_status(status)
        if time.monotonic() + pause > deadline:
            full_kind = f"{objects.text(obj, 'apiVersion')}/{objects.kind(obj)}"
            raise Failed(
                f"{full_kind} {objects.full_name(obj)} still exists after {options.seconds:.0f} s: {_deletion_blockers(live)}"
            )
        if options.cancelled.wait(pause):
            raise Failed(f"cancelled while waiting for the deletion of {objects.kind(obj)} {objects.full_name(obj)}")
        pause = min(pause * _GROWTH, _LAST)


def _deletion_blockers(live: Object) -> str:
    """Returns what delays the deletion of an object: messages of conditions, and finalizers."""
    blockers = [str(one.get("message")) for one in objects.items(live, "status", "conditions") if one.get("status") == "True"]
    finalizers = objects.at(live, "metadata", "finalizers")
    if isinstance(finalizers, list) and finalizers:
        blockers.append(f"finalizers {finalizers}")
    if not blockers:
        return "it still exists"
    return "; ".join(blockers) if objects.kind(live) == "Namespace" else blockers[-1]
