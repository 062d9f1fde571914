"""Creates and updates one object on the cluster, or previews this with a dry run."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.api import ApiServerError, NoSuchKind
from local.plugins.kubernetes.manifests import naming, objects
from local.plugins.kubernetes.readiness.waiting import WaitOptions, wait_until_deleted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.kubernetes.settings import Settings
    from local.plugins.protocol.messages import Failed
    from local.plugins.protocol.values import Object, Value

_PAUSES: Final = (0.5, 1, 2, 4, 8)
"""Seconds between attempts to create an object whose namespace or definition does not exist yet."""
_TERMINATING_SECONDS: Final = 120
_CONFLICT: Final = 409
_IMMUTABLE: Final = "field is immutable"
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"


@dataclass(frozen=True)
class Change:
    """The context of one operation."""

    cluster: Cluster
    settings: Settings
    manager: str
    preview: bool
    patch: bool
    """Whether this is a `...Patch` resource, which sets fields of an object that it does not own."""
    cancelled: threading.Event
    show_status: Callable[[str], None]


def force(inputs: Object, change: Change) -> bool:
    """Returns whether the operation takes over fields of other field managers.

    Always in a preview, because only the update itself shows whether there is a conflict.
    """
    return change.preview or change.settings.patch_force or objects.flagged(inputs, objects.PATCH_FORCE)


def create(inputs: Object, change: Change) -> Object:
    """Creates the object. Tries again while its namespace or its definition does not exist yet.

    Raises:
        ApiServerError: the server refuses the object, or another object with its name exists.
        NoSuchKind: the definition still does not exist after the last attempt.
        Unreachable: the server does not respond.
    """
    for attempt, pause in enumerate((*_PAUSES, None), start=1):
        try:
            if change.preview:
                return _preview(inputs, change)
            _check_existing(inputs, change)
            if change.settings.server_side:
                return change.cluster.apply(inputs, change.manager, force=force(inputs, change))
            return change.cluster.create(inputs, change.manager)
        except (ApiServerError, NoSuchKind) as error:
            may_retry = isinstance(error, NoSuchKind) or error.not_found
            if change.preview or not may_retry or pause is None:
                raise
            change.show_status(f"not created yet, will retry (attempt {attempt}): {error}")
            if change.cancelled.wait(pause):
                raise
    raise AssertionError("the last attempt returns or raises")


def _preview(inputs: Object, change: Change) -> Object:
    if not change.settings.server_side:
        return change.cluster.create(inputs, change.manager, preview=True)
    try:
        return change.cluster.apply(inputs, change.manager, force=True, preview=True)
    except ApiServerError as error:
        if not error.invalid or _IMMUTABLE not in str(error):
            raise
    # The object that will be replaced still exists. The server checks all other fields under another name.
    name = objects.name(inputs)
    renamed = objects.with_metadata(inputs, name=f"{name}{secrets.token_hex(3)}")
    return objects.with_metadata(change.cluster.apply(renamed, change.manager, force=True, preview=True), name=name)


def _check_existing(inputs: Object, change: Change) -> None:
    """Waits for the deletion of an object with this name, and refuses to take over an object that somebody else created."""
    if change.patch or change.settings.upsert or objects.flagged(inputs, objects.PATCH_FORCE):
        return
    live = change.cluster.find(inputs)
    if live is None:
        return
    if objects.text(live, "metadata", "deletionTimestamp"):
        options = WaitOptions(_TERMINATING_SECONDS, change.cancelled, change.show_status)
        wait_until_deleted(change.cluster, live, options)
    elif naming.is_applied_by(live, change.manager):
        change.show_status("continues a creation that was interrupted")
    else:
        plural = change.cluster.api.endpoint(objects.text(inputs, "apiVersion"), objects.kind(inputs)).plural
        group = objects.group(inputs)
        message = (
            f'{plural}{f".{group}" if group else ""} "{objects.name(inputs)}" already exists. Import it with '
            "`pulumi import`, give the resource another name, or take over the object with the annotation "
            f'{objects.PATCH_FORCE}: "true"'
        )
        raise ApiServerError(_CONFLICT, {"reason": "AlreadyExists", "message": message})


def update(inputs: Object, old_inputs: Object, live: Object, ignore: list[str], change: Change) -> Object:
    """Changes the current object (`live`) to match the inputs, and returns the result."""
    if objects.is_kind(inputs, "apiextensions.k8s.io", "CustomResourceDefinition"):
        return change.cluster.replace(inputs, live, preview=change.preview)
    desired = _without_ignored(inputs, live, ignore, change.manager)
    if change.settings.server_side:
        return change.cluster.apply(desired, change.manager, force=force(inputs, change), preview=change.preview)
    return change.cluster.merge(desired, merge_patch(old_inputs, desired), change.manager, preview=change.preview)


def merge_patch(old: Object, new: Object) -> Object:
    """Returns the JSON merge patch that changes `old` to `new`. A field that was removed is null in the patch."""
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
    """Returns the inputs with the cluster's value in each ignored field. Omits the fields that another field manager owns."""
    desired = inputs
    for path in ignore:
        steps = path.split(".")
        if any("[" in step for step in steps):
            continue  # items of lists have no names, so they cannot be matched
        value = objects.at(live, *steps)
        if value is not None:
            is_owner = _is_owner(live, steps, manager)
            desired = cast("Object", _with_value(desired, steps, value if is_owner else None))
    return desired


def _is_owner(live: Object, steps: list[str], manager: str) -> bool:
    """Returns whether `manager` owns the field, or nobody does."""
    owners = [
        entry.get("manager")
        for entry in objects.items(live, "metadata", "managedFields")
        if objects.at(entry, "fieldsV1", *(f"f:{step}" for step in steps)) is not None
    ]
    return not owners or manager in owners


def _with_value(value: Value, steps: list[str], new: Value) -> Value:
    fields = dict(cast("Object", value)) if isinstance(value, dict) else {}
    if not steps:
        return new
    inner = _with_value(fields.get(steps[0]), steps[1:], new)
    if inner is None:
        fields.pop(steps[0], None)
    else:
        fields[steps[0]] = inner
    return fields


def relinquish(inputs: Object, change: Change) -> None:
    """Gives up the fields that a `...Patch` resource owns. The server removes the fields that have no other owner."""
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


def with_managed_by_label(inputs: Object, old_inputs: Object) -> Object:
    """Returns the inputs with the label that marks objects of Pulumi. Used without server-side apply."""
    if old_inputs and not objects.text(old_inputs, "metadata", "labels", _MANAGED_BY):
        return inputs
    found = objects.at(inputs, "metadata", "labels")
    labels = cast("Object", found) if isinstance(found, dict) else {}
    return objects.with_metadata(inputs, labels={**labels, _MANAGED_BY: "pulumi"})


def awaits_deletion(inputs: Object) -> bool:
    """Returns whether to wait for the end of a deletion.

    The annotation `skipAwait` only has an effect on kinds whose deletion also deletes their pods.
    """
    kinds = {
        "apps": ("DaemonSet", "Deployment", "StatefulSet"),
        "batch": ("Job",),
        "": ("Namespace", "Pod", "ReplicationController"),
    }
    may_skip = objects.kind(inputs) in kinds.get(objects.group(inputs), ())
    return not (may_skip and objects.flagged(inputs, objects.SKIP_AWAIT))


def propagation(inputs: Object) -> str:
    """Returns the propagation policy: how the deletion of the object affects the objects that it owns."""
    policy = objects.annotation(inputs, objects.PROPAGATION).lower()
    return {"orphan": "Orphan", "background": "Background"}.get(policy, "Foreground")


def is_gone(error: Failed) -> bool:
    """Returns whether the error means that the object, or its kind, does not exist."""
    return isinstance(error, NoSuchKind) or (isinstance(error, ApiServerError) and error.not_found)


def is_inconclusive(error: Failed) -> bool:
    """Returns whether the update could succeed although the dry run was refused.

    This is so if dry runs are forbidden or unsupported, or if the namespace or the definition does not exist yet.
    """
    if isinstance(error, NoSuchKind):
        return True
    return isinstance(error, ApiServerError) and (
        error.forbidden or error.missing_namespace or "does not support dry run" in str(error)
    )
