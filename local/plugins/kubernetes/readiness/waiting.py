"""Waits until an object is what it should be, or says why it is not."""

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
"""Seconds between the first two looks: short, for what is ready at once."""
_LAST: Final = 1.0
_GROWTH: Final = 1.3


class NotReady(Exception):  # noqa: N818, it reads as what happened
    """The object is there and is not ready."""

    def __init__(self, what: str, reasons: list[str]) -> None:
        super().__init__(what)
        self.reasons = [what, *reasons]


@dataclass(frozen=True)
class Readiness:
    """How far an object is."""

    ready: bool
    status: str = ""
    """A few words for whoever waits."""
    reasons: list[str] = field(default_factory=list[str])
    """Why it is not ready, as far as it can be told without asking further."""
    failed: bool = False
    """It will not get ready any more."""


@dataclass(frozen=True)
class Judge:
    """Decides on the readiness of a kind of objects."""

    look: Callable[[Cluster, Object], Readiness]
    explain: Callable[[Cluster, Object], list[str]] = lambda _cluster, _obj: []
    """Further reasons, asked for once when it has not got ready: pods, logs, events."""
    seconds: int = 600
    once: bool = False
    """Only after creation: later it cannot become unready."""
    read: bool = True
    """A refresh looks at it as well."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, who may end it, and whom to tell."""

    seconds: float
    cancelled: threading.Event
    say: Callable[[str], None]


def until_ready(cluster: Cluster, obj: Object, judge: Judge, patience: Patience) -> Object:
    """The object once it is ready.

    Raises:
        NotReady: it failed, time is up or the operation was cancelled.
    """
    deadline = time.monotonic() + patience.seconds
    pause, told = _FIRST, ""
    while True:
        live = cluster.find(obj)
        if live is None:
            raise NotReady("it was deleted meanwhile", [])
        found = judge.look(cluster, live)
        if found.ready:
            patience.say("")
            return live
        if found.failed:
            raise NotReady("it has failed", _all(cluster, live, judge, found))
        if found.status != told:
            told = found.status
            patience.say(told)
        if time.monotonic() + pause > deadline:
            raise NotReady(f"it was given {patience.seconds:.0f} s", _all(cluster, live, judge, found))
        if patience.cancelled.wait(pause):
            raise NotReady("the operation was cancelled", _all(cluster, live, judge, found))
        pause = min(pause * _GROWTH, _LAST)


def _all(cluster: Cluster, live: Object, judge: Judge, found: Readiness) -> list[str]:
    try:
        return [*found.reasons, *judge.explain(cluster, live)]
    except Failed as error:
        return [*found.reasons, f"(no more is known: {error})"]


def reasons_now(cluster: Cluster, live: Object, judge: Judge) -> list[str]:
    """Why the object is not ready at this moment; empty when it is."""
    found = judge.look(cluster, live)
    return [] if found.ready else _all(cluster, live, judge, found)


def until_deleted(cluster: Cluster, obj: Object, patience: Patience) -> None:
    """Returns when the object is gone (or another has its name)."""
    deadline, uid = time.monotonic() + patience.seconds, objects.text(obj, "metadata", "uid")
    pause, told = _FIRST, ""
    while True:
        try:
            live = cluster.get(obj)
        except ApiServerError as error:
            if error.not_found:
                patience.say("")
                return
            raise
        if uid and objects.text(live, "metadata", "uid") != uid:
            return
        status = f"Waiting for deletion ({_keepers(live)})"
        if status != told:
            told = status
            patience.say(status)
        if time.monotonic() + pause > deadline:
            what = f"{objects.text(obj, 'apiVersion')}/{objects.kind(obj)}"
            raise Failed(f"{what} {objects.full_name(obj)} is still there after {patience.seconds:.0f} s: {_keepers(live)}")
        if patience.cancelled.wait(pause):
            raise Failed(f"cancelled while {objects.kind(obj)} {objects.full_name(obj)} was being deleted")
        pause = min(pause * _GROWTH, _LAST)


def _keepers(live: Object) -> str:
    """What keeps an object that is to be deleted."""
    told = [str(one.get("message")) for one in objects.items(live, "status", "conditions") if one.get("status") == "True"]
    finalizers = objects.at(live, "metadata", "finalizers")
    if isinstance(finalizers, list) and finalizers:
        told.append(f"finalizers {finalizers}")
    return "; ".join(told) if objects.kind(live) == "Namespace" and told else (told[-1] if told else "it is still there")
