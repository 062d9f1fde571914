"""Creating and updating one object on the cluster, for real or as a dry run."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.api import ApiServerError, NoSuchKind
from local.plugins.kubernetes.manifests import naming, objects
from local.plugins.kubernetes.readiness.waiting import Patience, until_deleted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.kubernetes.settings import Settings
    from local.plugins.protocol.messages import Failed
    from local.plugins.protocol.values import Object, Value

_PAUSES: Final = (0.5, 1, 2, 4, 8)
"""Seconds between tries to create something whose namespace or definition is just being made."""
_TERMINATING_SECONDS: Final = 120
_CONFLICT: Final = 409
_IMMUTABLE: Final = "field is immutable"
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"


@dataclass(frozen=True)
class Change:
    """What one operation works with."""

    cluster: Cluster
    settings: Settings
    manager: str
    preview: bool
    patch: bool
    """A `...Patch` resource: it sets fields of an object that is not its own."""
    cancelled: threading.Event
    say: Callable[[str], None]


def force(inputs: Object, change: Change) -> bool:
    """Whether fields that others own are taken from them. Always in previews: what conflicts is only known when it is tried."""
    return change.preview or objects.flagged(inputs, objects.PATCH_FORCE)


def create(inputs: Object, change: Change) -> Object:
    """Makes the object; tried again while its namespace or its definition is not there yet."""
    for attempt, pause in enumerate((*_PAUSES, None), start=1):
        try:
            if change.preview:
                return _preview(inputs, change)
            _make_way(inputs, change)
            if change.settings.server_side:
                return change.cluster.apply(inputs, change.manager, force=force(inputs, change))
            return change.cluster.create(inputs, change.manager)
        except (ApiServerError, NoSuchKind) as error:
            waits = isinstance(error, NoSuchKind) or error.not_found
            if change.preview or not waits or pause is None:
                raise
            change.say(f"not yet ({error}); tries again ({attempt})")
            if change.cancelled.wait(pause):
                raise
    raise AssertionError("the last try returns or raises")


def _preview(inputs: Object, change: Change) -> Object:
    if not change.settings.server_side:
        return change.cluster.create(inputs, change.manager, preview=True)
    try:
        return change.cluster.apply(inputs, change.manager, force=True, preview=True)
    except ApiServerError as error:
        if not error.invalid or _IMMUTABLE not in str(error):
            raise
    # The one it replaces is still there. Under another name, the server checks the rest.
    name = objects.name(inputs)
    other = objects.with_metadata(inputs, name=f"{name}{secrets.token_hex(3)}")
    return objects.with_metadata(change.cluster.apply(other, change.manager, force=True, preview=True), name=name)


def _make_way(inputs: Object, change: Change) -> None:
    """Lets an object of this name finish its deletion; refuses to take over one that somebody else made."""
    if change.patch or change.settings.upsert or objects.flagged(inputs, objects.PATCH_FORCE):
        return
    live = change.cluster.find(inputs)
    if live is None:
        return
    if objects.text(live, "metadata", "deletionTimestamp"):
        patience = Patience(_TERMINATING_SECONDS, change.cancelled, change.say)
        until_deleted(change.cluster, live, patience)
    elif naming.is_ours(live, change.manager):
        change.say("goes on with a creation that was interrupted")
    else:
        plural = change.cluster.api.endpoint(objects.text(inputs, "apiVersion"), objects.kind(inputs)).plural
        group = objects.group(inputs)
        message = (
            f'{plural}{f".{group}" if group else ""} "{objects.name(inputs)}" already exists. Bring it under the program with '
            f"`pulumi import`, give the resource another name, or take it over with the annotation {objects.PATCH_FORCE}: "
            '"true"'
        )
        raise ApiServerError(_CONFLICT, {"reason": "AlreadyExists", "message": message})


def update(inputs: Object, old_inputs: Object, live: Object, ignore: list[str], change: Change) -> Object:
    """Changes the object as it is now (`live`) into what the inputs want."""
    if objects.is_kind(inputs, "apiextensions.k8s.io", "CustomResourceDefinition"):
        return change.cluster.replace(inputs, live, preview=change.preview)
    wanted = _without_ignored(inputs, live, ignore, change.manager)
    if change.settings.server_side:
        return change.cluster.apply(wanted, change.manager, force=force(inputs, change), preview=change.preview)
    return change.cluster.merge(wanted, merge_patch(old_inputs, wanted), change.manager, preview=change.preview)


def merge_patch(old: Object, new: Object) -> Object:
    """The JSON merge patch from one to the other; what identifies the object stays in it."""
    patch: Object = {}
    for key in {*old, *new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            if inner := merge_patch(cast("Object", before), cast("Object", after)):
                patch[key] = inner
        elif before != after:
            patch[key] = after
    return patch


def _without_ignored(inputs: Object, live: Object, ignore: list[str], manager: str) -> Object:
    """Inputs whose ignored fields have the values they have on the cluster, or are left to the controller that owns them."""
    wanted = inputs
    for path in ignore:
        steps = path.split(".")
        if any("[" in step for step in steps):
            continue  # list items have no name to find them by
        value = objects.at(live, *steps)
        if value is not None:
            owned = _owned(live, steps, manager)
            wanted = cast("Object", _placed(wanted, steps, value if owned else None))
    return wanted


def _owned(live: Object, steps: list[str], manager: str) -> bool:
    """Whether nobody but us owns the field."""
    owners = [
        entry.get("manager")
        for entry in objects.items(live, "metadata", "managedFields")
        if objects.at(entry, "fieldsV1", *(f"f:{step}" for step in steps)) is not None
    ]
    return not owners or manager in owners


def _placed(value: Value, steps: list[str], new: Value) -> Value:
    fields = dict(cast("Object", value)) if isinstance(value, dict) else {}
    if not steps:
        return new
    inner = _placed(fields.get(steps[0]), steps[1:], new)
    if inner is None:
        fields.pop(steps[0], None)
    else:
        fields[steps[0]] = inner
    return fields


def relinquish(inputs: Object, change: Change) -> None:
    """Gives up what a `...Patch` resource owns of an object; what nobody else owns is removed from it."""
    identity = {
        "apiVersion": inputs["apiVersion"],
        "kind": inputs["kind"],
        "metadata": {
            "name": objects.name(inputs),
            **({"namespace": objects.namespace(inputs)} if objects.namespace(inputs) else {}),
        },
    }
    if change.cluster.find(identity) is not None:
        change.cluster.apply(identity, change.manager, force=True)


def labelled(inputs: Object, old_inputs: Object) -> Object:
    """Without server-side apply: who manages the object is a label."""
    if old_inputs and not objects.text(old_inputs, "metadata", "labels", _MANAGED_BY):
        return inputs
    found = objects.at(inputs, "metadata", "labels")
    labels = cast("Object", found) if isinstance(found, dict) else {}
    return objects.with_metadata(inputs, labels={**labels, _MANAGED_BY: "pulumi"})


def awaitable_deletion(inputs: Object) -> bool:
    """Whether the end of a deletion is waited for: `skipAwait` counts for kinds whose deletion takes their pods along."""
    kinds = {
        "apps": ("DaemonSet", "Deployment", "StatefulSet"),
        "batch": ("Job",),
        "": ("Namespace", "Pod", "ReplicationController"),
    }
    may_skip = objects.kind(inputs) in kinds.get(objects.group(inputs), ())
    return not (may_skip and objects.flagged(inputs, objects.SKIP_AWAIT))


def propagation(inputs: Object) -> str:
    """What happens to what the object owns when it is deleted."""
    asked = objects.annotation(inputs, objects.PROPAGATION).lower()
    return {"orphan": "Orphan", "background": "Background"}.get(asked, "Foreground")


def already_gone(error: Failed) -> bool:
    """Whether what is to be deleted is not there, or cannot be because its kind is not."""
    return isinstance(error, NoSuchKind) or (isinstance(error, ApiServerError) and error.not_found)


def says_nothing(error: Failed) -> bool:
    """Refusals that say nothing of the update: dry runs are forbidden, or the namespace or definition is yet to be made."""
    if isinstance(error, NoSuchKind):
        return True
    return isinstance(error, ApiServerError) and (
        error.forbidden or error.missing_namespace or "does not support dry run" in str(error)
    )
