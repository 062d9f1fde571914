"""Type tokens of the SDK: which of them are objects of the API, and which only the official plugin supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object, Value

UNREACHABLE_HELP: Final = (
    "Start the cluster. If it no longer exists, run the command again with PULUMI_K8S_DELETE_UNREACHABLE=true to remove its "
    "objects from the state"
)
_ONLY_OFFICIAL: Final = ("helm.sh", "kustomize", "yaml")


def _split(type_token: str) -> tuple[str, str, str]:
    """Splits `kubernetes:apps/v1:Deployment` into the API version `apps/v1`, the kind, and the first part of the module."""
    module, _, kind = type_token.removeprefix("kubernetes:").rpartition(":")
    group, _, version = module.partition("/")
    return (version if group == "core" else module), kind, group


def is_patch(type_token: str) -> bool:
    """Returns whether this is a `...Patch` resource, which sets fields of an object that it does not own."""
    return type_token.endswith("Patch")


def refuse_unsupported(type_token: str) -> None:
    """Refuses types that are not objects of the API.

    Raises:
        Failed: the type is one of those.
    """
    _, kind, group = _split(type_token)
    if group in _ONLY_OFFICIAL:
        raise Failed(
            f"only the official kubernetes plugin supports {type_token}. With this stand-in, use typed resources, "
            "apiextensions.CustomResource or kubernetes.yaml.ConfigGroup (version 1)"
        )
    if kind.endswith("List") and kind != "List":
        raise Failed(
            f"{type_token} is a list of objects, and the API server does not store lists: declare each object as a resource"
        )


def identity(type_token: str, resource_id: str, cluster: Cluster) -> Object:
    """Returns an object with the kind, namespace and name of a resource id (`namespace/name` or `name`), for an import."""
    api_version, kind, _ = _split(type_token)
    namespace, _, name = resource_id.rpartition("/")
    obj: Object = {"apiVersion": api_version, "kind": kind.removesuffix("Patch"), "metadata": {"name": name}}
    if cluster.namespaced(obj):
        return objects.with_metadata(obj, namespace=namespace or cluster.api.access.namespace)
    return obj


def with_default_namespace(documents: list[Value], namespace: str) -> list[Value]:
    """Returns the objects of all manifests and lists. Objects without a namespace get `namespace`.

    The server ignores the namespace of an object whose kind has none.
    """
    flat: list[Object] = []
    for document in documents:
        if isinstance(document, dict):
            obj = cast("Object", document)
            flat += objects.items(obj, "items") if objects.kind(obj).endswith("List") else [obj]
    if not namespace:
        return cast("list[Value]", flat)
    return [obj if objects.namespace(obj) else objects.with_metadata(obj, namespace=namespace) for obj in flat]
